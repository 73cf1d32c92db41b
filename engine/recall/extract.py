"""What a file says: its bytes to the parts of a text. Standard library, and pypdf for a PDF.

It runs in a process of its own: a file may be made to break whoever reads it.
"""

from __future__ import annotations

import hashlib
import math
import os
import stat
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from engine.recall.passages import Section, passages, plain, sections
from engine.recall.walking import Version, version
from engine.worker.files import open_below

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_BYTES = 20 * 1024 * 1024
MAX_PASSAGES = 4_000
_MAX_PAGES = 5_000
_MAX_CHARACTERS = MAX_PASSAGES * 1_200
_BROKEN_PAGES = 20
_TITLE = 80
_WIDE = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


class UnreadError(Exception):
    """Why a file cannot be read. ``lasting``: until it is changed. ``gone``: there is none now."""

    def __init__(self, why: str, *, lasting: bool, gone: bool = False) -> None:
        super().__init__(why)
        self.lasting, self.gone = lasting, gone


class Content:
    """A file that was read: SHA-256 of its bytes, and its passages. ``note``: what is left out."""

    def __init__(self, seen: Version, digest: bytes) -> None:
        self.seen, self.digest = seen, digest
        self.passages: list[str] = []
        self.note = ""

    def fill(self, parts: Iterable[Section]) -> None:
        for passage in passages(parts):
            if len(self.passages) == MAX_PASSAGES:
                self.cut()
                return
            self.passages.append(passage)

    def cut(self) -> None:
        self.note = f"too long: only its first {len(self.passages):,} passages are remembered"


def load(root_fd: int, path: bytes, until: float = math.inf) -> Content:
    """``until`` (of the monotonic clock): then a long file is left at what was read of it.

    Raises UnreadError, MemoryError; OSError where a folder on the way cannot be opened."""
    fd = open_below(root_fd, path)
    try:
        data, seen = _bytes(fd)
    finally:
        os.close(fd)
    content = Content(seen, hashlib.sha256(data).digest())
    name = path.rpartition(b"/")[2]
    stem, _dot, suffix = name.rpartition(b".")
    title = " ".join(plain(stem.decode("utf-8", "replace")).split())[:_TITLE]
    if data[:1024].lstrip().startswith(b"%PDF-"):
        _pdf(data, title, content, until)
    elif text := _text(data):
        kind = f".{suffix.decode('ascii', 'replace').lower()}"
        content.fill(sections(text[:_MAX_CHARACTERS], kind, title))
        if len(text) > _MAX_CHARACTERS:
            content.cut()
    return content


def _bytes(fd: int) -> tuple[bytes, Version]:
    """All of a file that held still meanwhile."""
    before = os.fstat(fd)
    if not stat.S_ISREG(before.st_mode):
        raise UnreadError("it is no file any more", lasting=False, gone=True)
    if before.st_size > MAX_BYTES:
        raise UnreadError(f"larger than {MAX_BYTES // 1024**2} MiB", lasting=True)
    with os.fdopen(os.dup(fd), "rb") as file:
        data = file.read(MAX_BYTES + 1)
    after = os.fstat(fd)
    if version(before) != version(after) or len(data) != after.st_size:
        raise UnreadError("it changed while it was read", lasting=False)
    return data, version(after)


def _text(data: bytes) -> str:
    """The words of a text; "" where it is something else under a text's name."""
    encoding = _WIDE.get(data[:2], "utf-8-sig")
    if encoding == "utf-8-sig" and b"\0" in data:
        return ""
    try:
        return plain(data.decode(encoding))
    except UnicodeDecodeError as error:
        raise UnreadError("not UTF-8 text", lasting=True) from error


# --- PDF ----------------------------------------------------------------------------------------


def _pdf(data: bytes, title: str, content: Content, until: float) -> None:
    """Whatever goes wrong in there is this file's trouble and nobody else's."""
    try:
        from pypdf import PdfReader
        from pypdf.errors import DependencyError
    except ImportError as error:
        raise UnreadError("pypdf is not installed: make setup", lasting=False) from error
    from io import BytesIO

    try:
        reader = PdfReader(BytesIO(data))
        locked = reader.is_encrypted and not reader.decrypt("")
        pages = _Pages(() if locked else reader.pages, title, until)
        content.fill(pages)
    except DependencyError as error:
        raise UnreadError("it is encrypted", lasting=True) from error
    except MemoryError:
        raise
    except Exception as error:
        raise UnreadError("not a PDF that can be read", lasting=True) from error
    if locked:
        raise UnreadError("it is encrypted", lasting=True)
    if pages.broken and not content.passages:
        raise UnreadError("none of its pages can be read", lasting=True)
    if pages.cut:
        content.cut()
    elif pages.broken:
        content.note = content.note or f"{pages.broken} of its pages cannot be read"


class _Pages:
    """The text of each page, with its number. ``broken`` counts those that cannot be read; ``cut``:
    not every page was read."""

    def __init__(self, pages: Iterable[Any], title: str, until: float) -> None:
        self._pages, self._title, self._until = pages, title, until
        self.broken = 0
        self.cut = False

    def __iter__(self) -> Iterator[Section]:
        left = _MAX_CHARACTERS
        for number, page in enumerate(self._pages, 1):
            late = time.monotonic() > self._until
            if late or number > _MAX_PAGES or left <= 0 or self.broken == _BROKEN_PAGES:
                self.cut = self.broken < _BROKEN_PAGES
                return
            try:
                text = plain(page.extract_text()[:left])
            except MemoryError:
                raise
            except Exception:  # noqa: BLE001 - one bad page: the others may be well
                self.broken += 1
                continue
            left -= len(text)
            yield f"{self._title}, page {number}".removeprefix(", "), text
