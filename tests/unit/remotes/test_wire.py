"""The private socket's HTTP: whole answers, broken ones, and lines that were closed meanwhile."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.remotes.wire import Broken, Wire

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter, int], Awaitable[None]]


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[Wire]:
    """``serve`` is called with each connection, and how many there were before."""
    count = 0
    with tempfile.TemporaryDirectory(prefix="arc-w-") as folder:

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal count
            count += 1
            try:
                await serve(reader, writer, count - 1)
            except (ConnectionError, EOFError):
                pass
            finally:
                writer.close()

        path = str(Path(folder) / "s")
        server = await asyncio.start_unix_server(connected, path)
        wire = Wire(path, "me", "secret")
        try:
            yield wire
        finally:
            wire.close()
            server.close()


async def asked(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return head, await reader.readexactly(length)


def chunked(parts: list[bytes]) -> bytes:
    body = b"".join(b"%x;ext=1\r\n%s\r\n" % (len(part), part) for part in parts if part)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body + b"0\r\n\r\n"


def plain(body: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


async def read(wire: Wire, body: bytes = b"{}") -> tuple[int, bytes]:
    async with wire.post("core/version", body) as answer:
        return answer.status, b"".join([chunk async for chunk in answer.chunks()])


@settings(max_examples=30)
@given(st.lists(st.binary(max_size=70_000), max_size=4), st.booleans())
async def test_whatever_comes_in_whichever_pieces_is_read_whole(
    parts: list[bytes], in_chunks: bool
) -> None:
    whole = b"".join(parts)
    answer = chunked(parts) if in_chunks else plain(whole, b"500 Oh no")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _n: int) -> None:
        while True:
            head, body = await asked(reader)
            assert head.startswith(b"POST /core/version HTTP/1.1\r\n")
            assert b"Authorization: Basic bWU6c2VjcmV0\r\n" in head
            assert body == b'{"a": 1}'
            writer.write(answer)

    async with serving(serve) as wire:
        for _ in range(2):  # The second one on the same line.
            assert await read(wire, b'{"a": 1}') == (200 if in_chunks else 500, whole)


async def test_a_line_that_was_closed_meanwhile_is_replaced_and_the_question_asked_once() -> None:
    questions: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, n: int) -> None:
        await asked(reader)
        questions.append(n)
        writer.write(plain(b"yes"))  # And closes it.

    async with serving(serve) as wire:
        for _ in range(3):
            assert await read(wire) == (200, b"yes")
    assert questions == [0, 1, 2]


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000,
        b"x" * 200_000,
    ],
    ids=range(11),
)
async def test_what_is_no_whole_answer_is_told_as_broken(said: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _n: int) -> None:
        await asked(reader)
        writer.write(said)
        await writer.drain()

    async with serving(serve) as wire:
        with pytest.raises(Broken):
            await read(wire)


async def test_leaving_an_answer_ends_what_the_server_does_for_it() -> None:
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _n: int) -> None:
        await asked(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun")
        await writer.drain()
        await reader.read(1)
        ended.set()

    async with serving(serve) as wire:
        async with wire.post("operations/copyfile", b"{}") as answer:
            assert answer.status == 200
        await asyncio.wait_for(ended.wait(), 5)


async def test_a_closed_wire_and_one_without_a_server_say_so() -> None:
    wire = Wire("/nonexistent/s", "me", "secret")
    with pytest.raises(Broken):
        await read(wire)
    wire.close()
    with pytest.raises(Broken, match="closed"):
        await read(wire)
