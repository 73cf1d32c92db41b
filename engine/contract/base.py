"""What every model on the wire has in common."""

from __future__ import annotations

import base64
import os
import re
import unicodedata
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from engine.contract.errors import ArcanumError


class Wire(BaseModel):
    """A frozen value that travels as JSON. Unknown fields are refused: a typo is not an option."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def now() -> datetime:
    """The present, in UTC. Written as RFC 3339 with ``Z`` on the wire."""
    return datetime.now(UTC)


def machine_name() -> str:
    """This machine's name as events, plans and approvals carry it."""
    return visible(os.environ.get("ARCANUM_MACHINE") or os.uname().nodename)[:64] or "machine"


# C0 and C1 controls, line separators and the bidirectional overrides: all of them can make a
# terminal, or a reader's eye, show something other than what is there.
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def _unsafe(char: str) -> bool:
    return char in _BIDI or unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"}


_BLANK_PART = re.compile(r"(?<![^/])[^\S/]+(?![^/])")


def visible(text: str, *, keep: str = "") -> str:
    """``text`` with every control character, lone surrogate and direction override made visible.

    Characters in ``keep`` (usually a newline and a tab) pass through. A byte that was not UTF-8
    (``os.fsdecode`` makes it a lone surrogate) is shown as ``\\xNN``.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c in keep or not _unsafe(c) else _escape(c) for c in text)


def _escape(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    named = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(char)
    return named or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


def _no_blank_part(path: str) -> str:
    """A name that holds nothing else than blanks shows these: it would look like no name at all."""
    if " " not in path and path.isascii():
        return path
    return _BLANK_PART.sub(lambda part: "".join(map(_escape, part[0])), path)


class PathRef(Wire):
    """A path: ``display`` for people, ``raw`` (base64 of the bytes) for the file system.

    JSON cannot hold every name that a disk can, so the bytes travel apart from what is shown.
    """

    display: str
    raw: str

    @classmethod
    def of(cls, path: bytes | str | os.PathLike[str]) -> PathRef:
        data = os.fsencode(path)
        display = _no_blank_part(visible(os.fsdecode(data)))
        return cls(display=display, raw=base64.b64encode(data).decode("ascii"))

    @property
    def data(self) -> bytes:
        """The bytes that the file system knows."""
        return base64.b64decode(self.raw, validate=True)


def _plain_name(value: str) -> str:
    if "/" in value or value[0] == "-" or value[0].isspace():
        raise ValueError("must hold no slash, and begin with neither a dash nor a blank")
    if value != visible(value) or not value.strip():
        raise ValueError("must be visible text without control characters")
    return value


Name = Annotated[
    str,
    Field(min_length=1, max_length=64),
    AfterValidator(_plain_name),
]
"""A name that a person chose: 1–64 visible characters, no slash, not starting with ``-``."""

Json = dict[str, Any]
"""A JSON object."""


class ErrorInfo(Wire):
    """An error as data (``ArcanumError.to_wire``)."""

    title: str
    message: str
    hint: str = ""
    code: str
    retryable: bool = False

    @classmethod
    def of(cls, error: ArcanumError) -> ErrorInfo:
        wire = error.to_wire()
        return cls.model_validate({name: wire[name] for name in cls.model_fields})


class Empty(Wire):
    """A request or a result that says nothing."""
