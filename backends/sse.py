"""Server-sent events as chat servers write them: one ``data:`` line is one event."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncGenerator, AsyncIterator

MAX_LINE = 256 * 1024
COMMENTS_ONLY = 4
"""A server that writes comments lives, but not for ever: so many times the patience."""

_BOM = b"\xef\xbb\xbf"


class MalformedStream(Exception):
    """What came is no event stream, or an event is too long."""


class Stalled(Exception):
    """Bytes come, but no event."""


async def events(
    chunks: AsyncIterator[bytes], patience_s: float = math.inf
) -> AsyncGenerator[bytes]:
    """The data of each event. Comments and other fields are skipped; at most MAX_LINE is held.

    ``patience_s`` bounds the time that is waited for the end of a line; that for a single chunk is
    not bounded here.
    """
    held = bytearray()
    for_line = for_event = 0.0
    start = True
    while True:
        began = time.monotonic()
        chunk = await anext(chunks, None)
        waited = time.monotonic() - began
        if chunk is None:
            break
        if start:
            start, chunk = False, chunk.removeprefix(_BOM)
        for_line, for_event = for_line + waited, for_event + waited
        head, newline, tail = chunk.rpartition(b"\n")
        if newline:
            lines = (bytes(held) + head).split(b"\n")
            held = bytearray(tail)
            for_line = 0.0
            for line in lines:
                _check(line)
                if line.startswith(b"data:"):
                    for_event = 0.0
                    yield line[5:].strip()
        else:
            held += chunk
        if len(held) > MAX_LINE:
            raise MalformedStream(f"one event is longer than {MAX_LINE // 1024} KiB")
        if for_line > patience_s or for_event > COMMENTS_ONLY * patience_s:
            raise Stalled
    _check(held)
    if held.startswith(b"data:"):
        yield bytes(held[5:]).strip()


def _check(line: bytes | bytearray) -> None:
    if len(line) > MAX_LINE:
        raise MalformedStream(f"one event is longer than {MAX_LINE // 1024} KiB")
    if b"\0" in line:
        raise MalformedStream("what it wrote is not UTF-8")
