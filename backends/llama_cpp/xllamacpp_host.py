"""The process that holds a model: llama.cpp's own server on a unix socket, and nothing else."""

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
    params.n_parallel = task["parallel"]
    # llama.cpp divides the context among the slots; each is to have all that was asked for.
    params.n_ctx = task["context"] * task["parallel"]
    # Between two batches progress is told and a closed connection noticed.
    params.n_batch = params.n_ubatch = 256
    params.cache_ram_mib = task["cache_mib"]
    if task["states"]:
        params.slot_save_path = task["states"] + "/"  # It is put before a name.
    for cpu in (params.cpuparams, params.cpuparams_batch):
        cpu.n_threads = task["threads"]
        cpu.poll = 0
    if (layers := task["gpu_layers"]) is not None:
        params.n_gpu_layers = layers
    # Trying what fits reads the vocabulary a second time (0.15 s): only where there is a GPU, and
    # nobody has said how much of the model it takes.
    params.fit_params = layers is None and any(map(_is_gpu, xllamacpp.get_device_info()))
    return xllamacpp.Server(params)


def _is_gpu(device: dict[str, Any]) -> bool:
    return "GPU" in device["type"].name


if __name__ == "__main__":
    host(serve)
