"""The peer of everything about models: the bare binding in a process of its own.

``python bare.py TASK``: loads the model of the task (JSON), says ``ready``. Each line of stdin is
then a chat request as llama.cpp takes it; the reply is a line of figures. Nothing of ours is
imported: what is measured is xllamacpp as its own documentation uses it.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import xllamacpp


def load(task: dict[str, Any]) -> Any:
    """A model with the same settings as ours."""
    params = xllamacpp.CommonParams()
    params.model.path = task["model"]
    params.verbosity = 1
    params.ui = False
    params.hostnames, params.port = [task["socket"]], 0
    params.n_parallel = task["parallel"]
    params.n_ctx = task["context"] * task["parallel"]
    for cpu in (params.cpuparams, params.cpuparams_batch):
        cpu.n_threads = task["threads"]
        cpu.poll = 0
    return xllamacpp.Server(params)


def answer(server: Any, body: dict[str, Any]) -> dict[str, Any]:
    """Seconds to the first piece and to the end, and how many tokens it took."""
    began = time.perf_counter()
    first: float | None = None
    timings: dict[str, Any] = {}

    def take(chunk: Any) -> bool:
        nonlocal first, timings
        if first is None and chunk["choices"] and chunk["choices"][0]["delta"].get("content"):
            first = time.perf_counter() - began
        timings = chunk.get("timings") or timings
        return False

    server.handle_chat_completions(body, take)
    return {
        "first_s": first,
        "seconds": time.perf_counter() - began,
        "prompt_tokens": timings.get("prompt_n", 0),
        "new_tokens": timings.get("predicted_n", 0),
    }


def main() -> None:
    server = load(json.loads(sys.argv[1]))
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(server, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
