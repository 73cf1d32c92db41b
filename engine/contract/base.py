"""What every model on the wire has in common."""

from __future__ import annotations

import base64
import os
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from engine.contract.errors import ArcanumError
from engine.contract.shown import shown_path
from engine.contract.shown import visible as visible  # noqa: PLC0414 - many take it from here


class Wire(BaseModel):
    """A frozen value that travels as JSON. Unknown fields are refused: a typo is not an option."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def now() -> datetime:
    """The present, in UTC. Written as RFC 3339 with ``Z`` on the wire."""
    return datetime.now(UTC)


def machine_name() -> str:
    """This machine's name as events, plans and approvals carry it."""
    return visible(os.environ.get("ARCANUM_MACHINE") or os.uname().nodename)[:64] or "machine"


class PathRef(Wire):
    """A path: ``display`` for people, ``raw`` (base64 of the bytes) for the file system.

    JSON cannot hold every name that a disk can, so the bytes travel apart from what is shown.
    """

    display: str
    raw: str

    @classmethod
    def of(cls, path: bytes | str | os.PathLike[str]) -> PathRef:
        data = os.fsencode(path)
        return cls(
            display=shown_path(os.fsdecode(data)), raw=base64.b64encode(data).decode("ascii")
        )

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
