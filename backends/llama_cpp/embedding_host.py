"""The process that holds a model which makes vectors: llama.cpp's own server on a unix socket."""

from __future__ import annotations

from typing import Any

from backends.hosted.hosting import host


def serve(task: dict[str, Any]) -> object:
    """A running server."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = task["model"]
    params.hostnames = [task["socket"]]
    params.port = 0
    params.api_keys = [task["key"]]
    params.ui = False
    params.verbosity = 1
    params.embedding = True
    params.warmup = False
    params.fit_params = False
    params.cache_ram_mib = 0
    params.n_parallel = task["parallel"]
    params.n_ctx = task["context"] * task["parallel"]
    # A text is read at once. One that is too long for a batch is an error of llama.cpp's own, one
    # that is too long for the context is told as what it is. No memory is taken for more than that.
    params.n_batch = params.n_ubatch = 32 * params.n_ctx
    for cpu in (params.cpuparams, params.cpuparams_batch):
        cpu.n_threads = task["threads"]
        cpu.poll = 0
    if (layers := task["gpu_layers"]) is not None:
        params.n_gpu_layers = layers
    return xllamacpp.Server(params)


if __name__ == "__main__":
    host(serve)
