"""What a file holds, and all else that is known of one."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from engine.contract.assets import Asset
from engine.contract.base import Name, PathRef, Wire
from engine.contract.integrity import Damage, Happening, RemoteCopy

FileKind = Literal["image", "video", "audio", "document", "archive", "text", "other"]


class Traits(Wire):
    """What its bytes say of a file. ``type`` is told by content: no name was looked at.

    ``taken_at``: when a picture was taken, a film or a document made, as the file says. Latitude
    and longitude in degrees, north and east positive. ``width`` and ``height`` in pixels, as it is
    shown. ``details``: everything else, by name. ``problem``: why less is known than could be.
    """

    kind: FileKind
    type: str
    taken_at: datetime | None = None
    camera: str = ""
    latitude: float | None = None
    longitude: float | None = None
    width: int | None = None
    height: int | None = None
    duration_ms: int | None = None
    container: str = ""
    codecs: str = ""
    details: dict[str, str] = Field(default_factory=dict)
    problem: str = ""


class Provenance(Wire):
    """A piece of evidence of where a file came from, noted ``at`` that time.

    ``confidence`` from 0 to 1. ``origin`` and ``referrer`` hold no credentials and no query.
    """

    at: datetime
    kind: str
    origin: str
    referrer: str
    confidence: float
    evidence: dict[str, str]


class ShowAsset(Wire):
    """By where it is (``path``, absolute or relative to the library's root), or by ``id``."""

    library: Name | None = Field(None, description="the library's name")
    path: PathRef | None = Field(None, description="the file: absolute, or below the library")
    id: Annotated[int, Field(ge=1)] | None = Field(None, description="the file, by its number")


class Elsewhere(Wire):
    """Another name of a file, or another file with its bytes. ``path`` is relative to its library,
    ``checked_at``: when it was last read whole and was right. ``unreachable``: not to be reached
    now."""

    id: int
    library: str
    path: PathRef
    checked_at: datetime | None = None
    unreachable: bool = False


class OutOfReach(Wire):
    """The place for which a file cannot be looked at: a folder, or the root of its library (whole
    paths). ``seen_at``: when the file last was looked at."""

    place: PathRef
    why: str
    since: datetime
    seen_at: datetime


class AssetDetail(Wire):
    """All that is known of one file.

    ``traits`` is None until it was looked into. ``names`` are its other names on the disk (hard
    links); ``copies`` other files with the bytes that it should have, ``copies_total`` how many
    there are; ``damaged_copies`` had them, and are damaged.
    ``remotes``: files there with these bytes, as far as inventories tell.
    ``reason``: why it is rotten, or cannot be read. ``held``: the BLAKE3 that a damaged file should
    have, ``found``: the one of what was read in a rotten one instead.
    ``unreachable``: that it cannot be looked at now, so what is told is of before.
    ``sources``: the most telling first. ``history``: the newest first.
    """

    library: str
    asset: Asset
    first_seen_at: datetime
    checked_at: datetime | None
    damage: Damage | None
    reason: str = ""
    unreachable: OutOfReach | None = None
    held: str | None = None
    found: str | None = None
    traits: Traits | None
    hashes: dict[str, str]
    sources: tuple[Provenance, ...]
    names: tuple[Elsewhere, ...]
    copies: tuple[Elsewhere, ...]
    copies_total: int
    damaged_copies: tuple[Elsewhere, ...] = ()
    remotes: tuple[RemoteCopy, ...] = ()
    history: tuple[Happening, ...]
