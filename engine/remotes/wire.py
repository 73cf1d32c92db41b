"""HTTP/1.1 to a server on a private socket: as much of it as rclone's remote control speaks.

Small files are sent by thousands of requests, and a client for everything takes 2 ms of the loop
for each. This one takes a tenth of that.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

_CONNECT_S = 5.0
_MOST_IDLE = 16
_MOST_HEAD = 64 * 1024
_CHUNK = 32 * 1024


class Broken(Exception):
    """The server is not there, ended in the middle, or speaks something else."""


class _Unheard(Broken):
    """Not a byte of an answer came."""


class Answer:
    """What came back. Its bytes are read once, as they come; ``whole`` once all were."""

    def __init__(self, reader: asyncio.StreamReader, status: int, length: int | None) -> None:
        self.status = status
        self.whole = length == 0
        self._reader, self._length = reader, length

    async def chunks(self) -> AsyncIterator[bytes]:
        """At most 32 KiB at a time. Raises Broken where it breaks off."""
        try:
            if self._length is None:
                while (size := await self._size()) > 0:
                    async for part in self._parts(size):
                        yield part
                    await self._reader.readexactly(2)
                await self._reader.readuntil(b"\r\n")
            else:
                async for part in self._parts(self._length):
                    yield part
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
            raise Broken(str(error)) from error
        self.whole = True

    async def _size(self) -> int:
        line = await self._reader.readuntil(b"\r\n")
        return int(line.partition(b";")[0], 16)

    async def _parts(self, left: int) -> AsyncIterator[bytes]:
        while left > 0:
            part = await self._reader.read(min(left, _CHUNK))
            if not part:
                raise EOFError("the answer breaks off")
            left -= len(part)
            yield part


class _Line:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @property
    def usable(self) -> bool:
        return not (self._reader.at_eof() or self._writer.is_closing())

    async def ask(self, request: bytes) -> Answer:
        """Raises _Unheard, Broken."""
        try:
            self._writer.write(request)
            await self._writer.drain()
            first = await self._reader.readline()
        except OSError as error:
            raise _Unheard(str(error)) from error
        except ValueError as error:
            raise Broken("its first line has no end") from error
        if not first:
            raise _Unheard("no answer came")
        try:
            head = first + await self._reader.readuntil(b"\r\n\r\n")
            return _answer(self._reader, head)
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
            raise Broken(str(error)) from error

    def close(self) -> None:
        with suppress(RuntimeError):  # The loop may have gone.
            self._writer.transport.abort()


def _answer(reader: asyncio.StreamReader, head: bytes) -> Answer:
    """Raises ValueError for what is no answer."""
    first, *lines = head.decode("latin-1").split("\r\n")
    version, status, *_ = first.split(" ")
    if version != "HTTP/1.1":
        raise ValueError("it is no HTTP/1.1")
    fields = {name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
    if fields.get("transfer-encoding", "").lower() == "chunked":
        return Answer(reader, int(status), None)
    return Answer(reader, int(status), int(fields["content-length"]))


class Wire:
    """Connections to the server at ``path``, as many as are asked for at once."""

    def __init__(self, path: str, user: str, password: str) -> None:
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        self._path = path
        self._head = (
            "Host: rclone\r\nContent-Type: application/json\r\n"
            f"Authorization: Basic {token}\r\nContent-Length: "
        )
        self._idle: list[_Line] = []
        self._busy: set[_Line] = set()
        self._closed = False

    def close(self) -> None:
        """Ends every connection; whoever waits for an answer is told Broken."""
        self._closed = True
        for line in (*self._idle, *self._busy):
            line.close()
        self._idle.clear()

    @asynccontextmanager
    async def post(self, command: str, body: bytes) -> AsyncIterator[Answer]:
        """Raises Broken. An answer that is not read whole ends the connection, and what the
        server does for it."""
        request = f"POST /{command} HTTP/1.1\r\n{self._head}{len(body)}\r\n\r\n".encode() + body
        line, answer = await self._asked(request)
        try:
            yield answer
        finally:
            self._busy.discard(line)
            if answer.whole and not self._closed and len(self._idle) < _MOST_IDLE:
                self._idle.append(line)
            else:
                line.close()

    async def _asked(self, request: bytes) -> tuple[_Line, Answer]:
        """What the server had closed meanwhile, because it was idle, is asked on a new one."""
        while self._idle:
            line = self._idle.pop()
            if line.usable:
                with suppress(_Unheard):
                    return line, await self._on(line, request)
            line.close()
        line = await self._open()
        return line, await self._on(line, request)

    async def _on(self, line: _Line, request: bytes) -> Answer:
        self._busy.add(line)
        try:
            return await line.ask(request)
        except BaseException:
            self._busy.discard(line)
            line.close()
            raise

    async def _open(self) -> _Line:
        if self._closed:
            raise Broken("the connection was closed")
        try:
            async with asyncio.timeout(_CONNECT_S):
                found = await asyncio.open_unix_connection(self._path, limit=_MOST_HEAD)
        except OSError as error:  # TimeoutError is one.
            raise Broken(str(error)) from error
        return _Line(*found)
