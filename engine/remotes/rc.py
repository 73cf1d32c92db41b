"""rclone's remote control: JSON over HTTP on a private socket, every answer bounded."""

from __future__ import annotations

import asyncio
import codecs
import json
import re
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

from engine.contract.base import Json
from engine.contract.errors import Unavailable
from engine.remotes.errors import RcloneGone, explain

if TYPE_CHECKING:
    import httpx

MAX_ANSWER = 4 * 1024 * 1024
_MAX_ENTRY = 256 * 1024
_CHUNK = 32 * 1024
_DECODER = json.JSONDecoder()
_NOTHING = re.compile(r'\s*\{\s*"list":\s*null\s*\}\s*')


class Rc:
    """A connection to the rclone that listens on ``socket``."""

    def __init__(self, socket: str, user: str, password: str) -> None:
        import httpx

        self._errors = (httpx.TransportError, httpx.StreamError)
        self._client = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(
                uds=socket, limits=httpx.Limits(max_connections=64, max_keepalive_connections=16)
            ),
            base_url="http://rclone",
            auth=(user, password),
            timeout=httpx.Timeout(None, connect=5.0),
            trust_env=False,
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def ask(
        self, command: str, where: str = "rclone", *, within_s: float | None = None, **given: Any
    ) -> Json:
        """Runs one command. Leaving it cancels what it does there.

        Raises RcloneGone, Unavailable after ``within_s`` seconds, or what ``explain`` makes of
        rclone's own words about ``where``.
        """
        try:
            async with asyncio.timeout(within_s):
                return await self._ask(command, where, given)
        except TimeoutError:
            raise Unavailable(
                f"{where} did not answer within {within_s:g} s.", "Is it slow, or away? Try again."
            ) from None

    async def _ask(self, command: str, where: str, given: Json) -> Json:
        try:
            async with self._client.stream("POST", f"/{command}", json=given) as answer:
                body = await _whole(answer)
        except self._errors as error:
            raise _gone(error) from error
        found = _parsed(body)
        if answer.status_code != 200:
            raise explain(answer.status_code, str(found.get("error", body[:200])), where)
        return found

    async def entries(
        self, where: str, fs: str, remote: str, options: Json
    ) -> AsyncIterator[list[Json]]:
        """The entries of one folder as they come, some at a time. Raises as ``ask`` does."""
        given = {"fs": fs, "remote": remote, "opt": options}
        try:
            async with self._client.stream("POST", "/operations/list", json=given) as answer:
                if answer.status_code != 200:
                    found = _parsed(await _whole(answer))
                    raise explain(answer.status_code, str(found.get("error", "")), where)
                reader = Entries()
                async for chunk in answer.aiter_bytes(_CHUNK):
                    if some := list(reader.feed(chunk)):
                        yield some
                reader.close()
        except self._errors as error:
            raise _gone(error) from error
        except ValueError as error:
            raise RcloneGone(f"rclone's list of {where} breaks off.", "Try again.") from error


class Entries:
    """Takes ``{"list": [entry, …]}`` in pieces and gives each entry once it is whole.

    A folder of a million files is one such answer: it is never held, or parsed, as a whole.
    """

    def __init__(self) -> None:
        self._text = ""
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._begun = False
        self._ended = False

    def feed(self, data: bytes) -> Iterator[Json]:
        """Raises ValueError for what is no such list."""
        self._text += self._decode(data)
        at = 0
        if not self._begun:
            at = self._text.find("[") + 1
            if not at:
                if len(self._text) > _MAX_ENTRY:
                    raise ValueError("no list begins")
                return
            self._begun = True
        while not self._ended:
            while at < len(self._text) and self._text[at] in " \t\r\n,":
                at += 1
            if at == len(self._text):
                break
            if self._text[at] == "]":
                self._ended = True
                break
            try:
                entry, at = _DECODER.raw_decode(self._text, at)
            except ValueError:
                if len(self._text) - at > _MAX_ENTRY:
                    raise
                break  # The rest of it comes with the next piece.
            yield entry
        self._text = "" if self._ended else self._text[at:]

    def close(self) -> None:
        """Raises ValueError where the list did not come to its end."""
        if not (self._ended or _NOTHING.fullmatch(self._text)):
            raise ValueError("the list breaks off")


async def _whole(answer: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in answer.aiter_bytes(_CHUNK):
        body += chunk
        if len(body) > MAX_ANSWER:
            raise RcloneGone("rclone's answer is larger than 4 MiB.", "This is a defect.")
    return bytes(body)


def _parsed(body: bytes) -> Json:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    return found if isinstance(found, dict) else {"error": body[:200].decode("utf-8", "replace")}


def _gone(error: Exception) -> RcloneGone:
    gone = RcloneGone("rclone ended in the middle of it.", "Try again: it is started anew.")
    gone.__cause__ = error
    return gone
