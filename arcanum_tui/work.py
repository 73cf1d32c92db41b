"""Work that a key starts and that the screen does not wait for."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

from textual.dom import DOMNode
from textual.worker import Worker

P = ParamSpec("P")


def start(
    node: DOMNode,
    group: str,
    work: Callable[P, Coroutine[Any, Any, None]],
    *args: P.args,
    **kwargs: P.kwargs,
) -> Worker[None]:
    """Runs ``work`` in the background of ``node``."""
    return node.run_worker(_made(work, *args, **kwargs), group=group)


def restart(
    node: DOMNode,
    group: str,
    work: Callable[P, Coroutine[Any, Any, None]],
    *args: P.args,
    **kwargs: P.kwargs,
) -> Worker[None]:
    """As ``start``, in the place of what this group of ``node`` still does."""
    return node.run_worker(_made(work, *args, **kwargs), group=group, exclusive=True)


def _made(
    work: Callable[P, Coroutine[Any, Any, None]], *args: P.args, **kwargs: P.kwargs
) -> Callable[[], Coroutine[None, None, None]]:
    # A coroutine is made only when the worker begins: one that is replaced before would be lost.
    async def run() -> None:
        await work(*args, **kwargs)

    return run
