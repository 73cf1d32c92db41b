"""llama-cpp-python: the same llama.cpp, built for this machine (CUDA, Metal, or its CPU)."""

from __future__ import annotations

from backends.hosted.settings import Host
from backends.llama_cpp.gguf import control_tokens
from engine.contract.backend import Feature

LLAMA_CPP_PYTHON = Host(
    module="backends.llama_cpp.binding_host",
    package="llama-cpp-python",
    label="llama.cpp (llama-cpp-python)",
    install="Build it (make llama, make cuda or make metal), or use another model: "
    "arcanum model list",
    control=control_tokens,
    features=frozenset({Feature.SCHEMA, Feature.LOGPROBS}),
    slots=1,
)
