"""Events: past-tense facts on the wire, discriminated by ``kind``.

A durable event is written in the same transaction as the change it tells of and carries ``seq``,
which grows by one and survives restarts. A transient one (progress, gauges) has no ``seq``: only
the latest with the same ``key`` matters. The first part of ``kind`` names the contract module.
"""

from __future__ import annotations

from datetime import datetime
from importlib import import_module
from typing import Any, ClassVar, Literal

from pydantic import Field

from engine.contract.base import Wire, machine_name, now
from engine.contract.operation import ROOMS

_kinds: dict[str, type[Event]] = {}


class Event(Wire):
    """The base. A subclass names itself: ``kind: Literal["room.fact"] = "room.fact"``."""

    durable: ClassVar[bool] = True

    kind: str
    seq: int | None = None
    at: datetime = Field(default_factory=now)
    machine: str = Field(default_factory=machine_name)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        _kinds[cls.model_fields["kind"].default] = cls

    @property
    def key(self) -> str:
        """What a newer transient event of the same key replaces."""
        return self.kind


class Resync(Event):
    """The subscriber fell behind or asked for events that are gone: take a new snapshot.

    ``upto`` is the last durable sequence number at that moment.
    """

    durable: ClassVar[bool] = False

    kind: Literal["engine.resync"] = "engine.resync"
    upto: int


def parse(data: dict[str, Any]) -> Event | None:
    """The event that ``data`` describes; None for a kind that this version does not know."""
    kind = str(data.get("kind", ""))
    room = kind.partition(".")[0]
    if kind not in _kinds and room in ROOMS:
        import_module(f"engine.contract.{room}")
    cls = _kinds.get(kind)
    return None if cls is None else cls.model_validate(data)
