"""A GGUF model on this machine: llama.cpp in a child process."""

from __future__ import annotations

from pathlib import Path

from backends.hosted.backend import Hosted
from backends.hosted.settings import Host, Options, Patience, Setup
from backends.hosted.states import StateStore
from backends.llama_cpp.gguf import check_gguf, control_tokens
from engine.contract.backend import Feature

INSTALL = "Install it (pip install xllamacpp), or use another model: arcanum model list"
XLLAMACPP = Host(
    "backends.llama_cpp.xllamacpp_host",
    "xllamacpp",
    "llama.cpp (xllamacpp)",
    INSTALL,
    control_tokens,
    frozenset({Feature.SCHEMA, Feature.LOGPROBS}),
)


class LlamaCpp(Hosted):
    """The ``Backend`` over llama.cpp, as whichever ``host`` brings it."""

    def __init__(
        self,
        model: Path,
        runtime_dir: Path,
        options: Options | None = None,
        patience: Patience | None = None,
        *,
        states: StateStore | None = None,
        host: Host = XLLAMACPP,
    ) -> None:
        setup = Setup(
            model, host, runtime_dir, options or Options(), patience or Patience(), states
        )
        super().__init__("llama_cpp", check_gguf, setup)
