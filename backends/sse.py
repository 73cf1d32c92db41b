"""Server-sent events as chat servers write them: one ``data:`` line is one event."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

MAX_LINE = 256 * 1024


class MalformedStream(Exception):
    """What came is no event stream, or an event is too long."""


async def events(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    """The data of each event. Comments and other fields are skipped; at most MAX_LINE is held."""
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > MAX_LINE or any(len(line) > MAX_LINE for line in lines):
            raise MalformedStream(f"one event is longer than {MAX_LINE // 1024} KiB")
        for line in lines:
            if line.startswith(b"data:"):
                yield line[5:].strip()
    if rest.startswith(b"data:"):
        yield rest[5:].strip()
