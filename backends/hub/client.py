"""Looks models up on a hub and fetches them.

What is looked up is of one revision, so that all files belong together. A file counts once its
size and its SHA-256 are as the hub told; until then it is a part that the next try carries on.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from backends.hub.listing import MOST_FILES, Source, choose, entries, is_safe
from backends.hub.part import Part
from backends.hub.server import AGAIN, HubPatience, HubServer
from engine.contract.backend import Download
from engine.contract.base import visible
from engine.contract.errors import ArcanumError, Failed, Invalid, Unavailable

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")
HUGGING_FACE = "https://huggingface.co"
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
_MOST_JSON = 32 << 20
_MOST_PAGES = 20
_BATCH = 1 << 20
_BATCH_S = 0.25
_HEADROOM = 64 << 20
"""Bytes that a download leaves free on the disk."""
_HEADWAY = 1 << 20
"""Bytes that make a try worth another one."""


class _DroppedError(Exception):
    """The transfer broke off, and may go on. ``error`` is what a person is told if it does not."""

    def __init__(self, error: ArcanumError, wait_s: float = 0.0) -> None:
        super().__init__(error.message)
        self.error = error
        self.wait_s = wait_s


class HubClient:
    """Implements ``Hub``. Its parameters are those of ``HubServer``."""

    def __init__(
        self,
        base_url: str = HUGGING_FACE,
        token_env: str = "HF_TOKEN",  # noqa: S107 - the name of a variable
        environ: Mapping[str, str] = os.environ,
        patience: HubPatience | None = None,
    ) -> None:
        self._patience = patience or HubPatience()
        self._server = HubServer(base_url, token_env, environ, self._patience)

    # --- looking up -----------------------------------------------------------------------------

    async def look_up(self, source: str) -> Download:
        wanted = Source.parse(source)
        async with self._server.client() as client:
            about, _ = await self._json(client, f"/api/models/{wanted.repository}", wanted)
            sha = about.get("sha") if isinstance(about, dict) else None
            revision = sha if isinstance(sha, str) and _REVISION.fullmatch(sha) else "main"
            page: str | None = f"/api/models/{wanted.repository}/tree/{revision}?recursive=true"
            listed: list[Any] = []
            pages = 0
            while page is not None and pages < _MOST_PAGES and len(listed) < MOST_FILES:
                found, page = await self._json(client, page, wanted)
                listed += found if isinstance(found, list) else []
                pages += 1
        return choose(wanted, revision, entries(listed[:MOST_FILES]))

    async def _json(
        self, client: httpx.AsyncClient, path: str, source: Source
    ) -> tuple[Any, str | None]:
        """What stands at ``path``, and the path of the next page."""
        import httpx

        try:
            async with self._server.opened(client, self._server.base + path, {}) as response:
                if response.status_code != 200:
                    raise self._server.refusal(response, source.repository)
                body = bytearray()
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > _MOST_JSON:
                        raise Unavailable(f"{self._server.name} sends a listing that is too long.")
                found = await asyncio.to_thread(json.loads, body)
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise self._server.unreachable(error) from error
        except (ValueError, RecursionError) as error:
            raise Unavailable(
                f"{self._server.name} sends no listing of {source.repository} that can be read.",
                "Is it a hub that speaks like Hugging Face?",
            ) from error
        following = response.links.get("next", {}).get("url", "")
        mine = following.startswith(f"{self._server.base}/")
        return found, following.removeprefix(self._server.base) if mine else None

    # --- fetching -------------------------------------------------------------------------------

    async def fetch(
        self, download: Download, folder: Path, progress: Callable[[int, int], None]
    ) -> Path:
        if not download.names or not all(map(is_safe, download.names)):
            raise Invalid(f"{visible(download.repository)} names files that cannot be kept.")
        parts = [
            Part(folder / name, revision=download.revision, size=size, digest=digest)
            for name, size, digest in zip(
                download.names, download.sizes, download.digests, strict=True
            )
        ]
        total, before = sum(download.sizes), 0
        await asyncio.to_thread(_check_room, folder, parts)
        async with self._server.client() as client:
            for name, part in zip(download.names, parts, strict=True):
                url = f"{self._server.base}/{download.repository}/resolve/{download.revision}/"
                told = partial(_tell, progress, before, total)
                await self._bring(client, url + quote(name), part, download.repository, told)
                before += part.size
                progress(before, total)
        return folder if download.kind == "mlx" else folder / download.names[0]

    async def _bring(
        self,
        client: httpx.AsyncClient,
        url: str,
        part: Part,
        repository: str,
        progress: Callable[[int], None],
    ) -> None:
        """One file, complete and right. What is kept of a failed try stays a part."""
        if await _in_thread(part, part.is_there):
            return
        try:
            await _in_thread(part, part.open)
            resumed = True
            while resumed:
                resumed = part.had > 0
                await self._complete(client, url, part, repository, progress)
                if await _in_thread(part, part.finish):
                    return
            raise Failed(
                f"{part.name} is not what the hub says it is: its checksum is wrong.",
                "Nothing of it was kept. Try again later.",
            )
        except OSError as error:
            raise part.full(error) from error
        finally:
            await asyncio.to_thread(part.close)

    async def _complete(
        self,
        client: httpx.AsyncClient,
        url: str,
        part: Part,
        repository: str,
        progress: Callable[[int], None],
    ) -> None:
        """Receives until all is there; what drops is taken up again, a few times."""
        import httpx

        tries = 0
        progress(part.had)
        while part.had < part.size:
            had = part.had
            try:
                try:
                    await self._receive(client, url, part, repository, progress)
                except httpx.TransportError as error:
                    raise _DroppedError(_broken(part, self._server.said(error))) from error
            except _DroppedError as drop:
                tries = 1 if part.had - had >= _HEADWAY else tries + 1
                if tries >= self._patience.tries:
                    raise drop.error from drop
                wait_s = self._patience.backoff_s * 2 ** (tries - 1)
                await asyncio.sleep(max(wait_s, drop.wait_s))

    async def _receive(
        self,
        client: httpx.AsyncClient,
        url: str,
        part: Part,
        repository: str,
        progress: Callable[[int], None],
    ) -> None:
        headers = {"Accept-Encoding": "identity"}
        if part.had:
            headers["Range"] = f"bytes={part.had}-"
            if part.etag:
                headers["If-Range"] = part.etag
        async with self._server.opened(client, url, headers) as response:
            await self._agree(response, part, repository)
            batch, due = bytearray(), time.monotonic() + _BATCH_S
            try:
                async for chunk in response.aiter_raw():
                    batch += chunk
                    if len(batch) >= _BATCH or time.monotonic() >= due:
                        full, batch = batch, bytearray()
                        await _in_thread(part, partial(part.append, full))
                        progress(part.had)
                        due = time.monotonic() + _BATCH_S
            finally:
                if batch:
                    await asyncio.to_thread(part.append, batch)
                    progress(part.had)
        if part.had < part.size:
            raise _DroppedError(_broken(part))

    async def _agree(self, response: httpx.Response, part: Part, repository: str) -> None:
        """Makes the part ready for what comes. Raises what is wrong with it."""
        status, etag = response.status_code, response.headers.get("etag", "")
        etag = etag if etag.startswith('"') and len(etag) < 500 and etag.isascii() else ""
        if status == 206:
            told = _RANGE.fullmatch(response.headers.get("content-range", ""))
            fits = told and int(told[1]) == part.had and told[2] in {"*", str(part.size)}
            if not fits or (part.etag and etag and etag != part.etag):
                await _in_thread(part, partial(part.anew, ""))
                raise _DroppedError(_broken(part))
        elif status == 416:
            await _in_thread(part, partial(part.anew, ""))
            raise _DroppedError(_broken(part))
        elif status == 200:
            length = response.headers.get("content-length")
            if length is not None and length != str(part.size):
                raise Failed(
                    f"{part.name} has another size than the hub told: "
                    f"{visible(length)[:20]} instead of {part.size} bytes.",
                    "It may just have been changed. Start the download again.",
                )
            # All of it comes: there are no ranges there, or it is another file by now.
            await _in_thread(part, partial(part.anew, etag))
        else:
            error = self._server.refusal(response, repository)
            if status == 429 or status >= 500:
                asked = response.headers.get("retry-after", "")
                wait_s = float(asked) if asked.isdecimal() and len(asked) < 6 else 0.0
                if wait_s <= self._patience.most_wait_s:
                    raise _DroppedError(error, wait_s)
            raise error


def _broken(part: Part, why: str = "it ended early") -> Unavailable:
    return Unavailable(
        f"{part.name} broke off at {part.had:,} of {part.size:,} bytes: {why}.", AGAIN
    )


def _tell(progress: Callable[[int, int], None], before: int, total: int, had: int) -> None:
    progress(before + had, total)


def _check_room(folder: Path, parts: list[Part]) -> None:
    """Raises Failed, with the numbers, where the disk has no room for what is still to come."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    missing = sum(each.size - each.kept() for each in parts)
    free = shutil.disk_usage(folder).free
    if missing and missing + _HEADROOM > free:
        raise Failed(
            f"The disk has no room: {missing / 1e9:.2f} GB are to come, "
            f"{free / 1e9:.2f} GB are free where {visible(str(folder))} is.",
            "Make room, or take a smaller model.",
        )


async def _in_thread(part: Part, work: Callable[[], T]) -> T:
    """Runs it in a thread, which has ended when this returns, however it does."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    # Where this is cancelled, nobody asks what became of it.
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        part.stopped.set()
        await asyncio.wait({task})
        raise
