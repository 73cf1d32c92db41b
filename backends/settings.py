"""What the configuration says of models."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from backends.openai_http import EndpointSettings


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """``runtime_dir`` is a short private folder for sockets.

    ``threads`` 0: one less than there are cores. ``context``: tokens for each of the ``parallel``
    answers of a model run here. ``gpu_layers`` None: as many as fit. ``library`` auto: the fastest
    that is here. ``states``: where what models have read is kept, ``state_bytes`` at most; 0 keeps
    nothing. ``made``: where a bundled model is kept that must be made first; None is in
    ``runtime_dir``. ``hub_token_env`` names an environment variable.
    """

    runtime_dir: Path
    gguf: Path | None = None
    endpoints: tuple[EndpointSettings, ...] = ()
    threads: int = 0
    context: int = 4096
    parallel: int = 2
    gpu_layers: int | None = None
    library: str = "auto"
    states: Path | None = None
    state_bytes: int = 0
    made: Path | None = None
    hub: str = "https://huggingface.co"
    hub_token_env: str = "HF_TOKEN"  # noqa: S105 - the name of a variable
