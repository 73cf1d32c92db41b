"""How sizes, dates and plans are put into words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC, datetime

from engine.contract.approvals import Card, CardItem, CardRow, Mark
from engine.contract.base import PathRef
from engine.contract.holding import HeldFiles, Inode, Wanted
from engine.contract.quota import OtherCopies, Plan, PlanItem, Staying
from engine.contract.sources import TorrentClient
from engine.quota.book import PlanRow, weigh
from engine.quota.disk import Item
from engine.quota.in_use import InUse

_SHARES_BLOCKS = frozenset({"btrfs", "zfs", "bcachefs", "apfs", "xfs", "ocfs2"})
_FIRST, _LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)
_TOLD = 20
_TORRENTS = 3
OPEN, HELD = "is open in another program", "is held by a torrent client"
_HOLDS = "a torrent client holds it"


@dataclass(frozen=True, slots=True)
class Seeding:
    """What torrent clients hold of the files as old as those of a plan, and how the clients are."""

    stay: HeldFiles = field(default_factory=HeldFiles)
    clients: tuple[TorrentClient, ...] = ()


Copied = AbstractSet[str]
"""The BLAKE3 of those files of a plan of which another copy is known, that stays."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a plan's files beyond their rows."""

    use: InUse
    seeding: Seeding
    copied: Copied


def size(count: int) -> str:
    """Bytes for people, in powers of 1000, as limits are given: 198 GB."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(value) < 999.5 or unit == "TB":
            return (
                f"{value:.1f} {unit}"
                if unit != "B" and abs(value) < 9.95
                else f"{value:.0f} {unit}"
            )
        value /= 1000
    raise AssertionError("unreachable")


def files(count: int) -> str:
    return "1 file" if count == 1 else f"{count:,} files"


def when(time_ns: int) -> datetime:
    """A file's time; one beyond the calendar becomes its first or last moment."""
    try:
        return datetime.fromtimestamp(time_ns / 1e9, UTC)
    except (OverflowError, ValueError, OSError):
        return _FIRST if time_ns < 0 else _LAST


def some(problems: Sequence[str]) -> tuple[str, ...]:
    """At most twenty of them, and how many more there are."""
    if len(problems) <= _TOLD:
        return tuple(problems)
    return (*problems[:_TOLD], f"and {len(problems) - _TOLD:,} more")


def reason(item: Item, copied: Copied | None) -> str:
    text = f"oldest: not modified since {when(item.identity.mtime_ns):%Y-%m-%d}"
    if item.identity.nlink > 1 and not item.frees:
        text += "; another name of it holds its space"
    if copied is not None and has_copy(item, copied) is False:
        text += "; no other copy is known"
    return text


def has_copy(item: Item, copied: Copied) -> bool | None:
    """None: it is not hashed."""
    return None if item.blake3 is None else item.blake3 in copied


def copies(items: Sequence[Item], copied: Copied) -> OtherCopies:
    """Of how many of these files there is another copy, in numbers and in words."""
    count = Counter(has_copy(item, copied) for item in items)
    known, none, unhashed = count[True], count[False], count[None]
    if known == len(items):
        text = "another copy of each is known"
    elif none == len(items):
        text = f"no other copy of {'it' if none == 1 else 'any of them'} is known"
    else:
        parts = [f"no other copy of {none:,} of them is known"] if none else []
        parts += [f"another copy of {known:,} is known"] if known else []
        if unhashed:
            which = "any" if unhashed == len(items) else f"{unhashed:,}"
            parts.append(f"not known: other copies of {which} (not hashed)")
        text = " · ".join(parts)
    return OtherCopies(known=known, none=none, unhashed=unhashed, text=text)


def plan(row: PlanRow, items: Sequence[Item], seeding: Seeding, copied: Copied) -> Plan:
    """The plan as it goes over the wire. Call it in a thread."""
    return Plan(
        id=row.id,
        library=row.library,
        machine=row.machine,
        digest=row.digest,
        state=row.state,  # type: ignore[arg-type]  # The model checks it.
        created_at=row.created_at,
        used=row.used,
        limit=row.max_bytes,
        target=row.target,
        moves=row.moves,
        shortfall=row.shortfall,
        frees_now=0,
        frees_on_purge=row.frees_on_purge,
        items=tuple(
            PlanItem(
                key=item.key,
                path=PathRef.of(item.path),
                size=item.identity.size,
                frees=item.frees,
                modified_at=when(item.identity.mtime_ns),
                reason=reason(item, copied),
                copied=has_copy(item, copied),
            )
            for item in items
        ),
        stay=tuple(
            Staying(path=PathRef.of(file.path), size=file.size, reason=_HOLDS)
            for file in seeding.stay.first
        ),
        stay_files=seeding.stay.files,
        stay_bytes=seeding.stay.bytes,
        unknown=tuple(_unheard(seeding.clients)),
        copies=copies(items, copied),
    )


def prune_card(row: PlanRow, items: Sequence[Item], known: Known, fs_type: str) -> Card:
    """What a person reads before a prune. Call it in a thread."""
    use, seeding = known.use, known.seeding
    moves = weigh(items)
    held = moves - row.frees_on_purge
    at_most = "at most " if fs_type in _SHARES_BLOCKS else ""
    frees = f"0 now · {at_most}{size(row.frees_on_purge)} on purge"
    if held:
        frees += f" ({size(held)} hardlinked elsewhere)"
    if at_most:
        frees += f" · unknown: {fs_type} may share blocks with snapshots and copies"
    why = f"{size(row.used)} of {size(row.max_bytes)} used, {size(row.target)} over · oldest first"
    if row.shortfall:
        why += f" · {size(row.shortfall)} stays over"
    if count := seeding.stay.files:
        verb, whom = ("stays", "it") if count == 1 else ("stay", "them")
        total = size(seeding.stay.bytes)
        why += f" · {files(count)}, {total}, as old {verb}: a torrent client holds {whom}"
    rows = (
        CardRow(label="DO", text=f"move {files(len(items))}, {size(moves)}, to trash"),
        CardRow(label="FREES", text=frees),
        CardRow(label="WHY", text=why),
        _safe(items, use, seeding.clients),
        _risk(items, known),
        CardRow(label="UNDO", text=f"u until the trash is purged · biggest: {_biggest(items)}"),
    )
    return Card(
        verb="prune",
        subject=row.library,
        headline=f"{files(len(items))} · frees {size(row.frees_on_purge)}, on purge",
        rows=rows,
        items=_card_items(items, {}, known.copied),
        keepable=True,
    )


def _safe(items: Sequence[Item], use: InUse, clients: Sequence[TorrentClient]) -> CardRow:
    busy = any(item.inode in use.inodes for item in items)
    text = "each file is as catalogued · no link followed"
    if use.seen and not busy:
        text += " · none open"
    if use.hidden:
        who = "1 program" if use.hidden == 1 else f"{use.hidden} programs"
        text += f" ({who} of other users cannot be asked)"
    if clients:
        text += " · no torrent client is known to hold one"
    return CardRow(label="SAFE", text=text, mark=Mark.OK)


def _risk(items: Sequence[Item], known: Known) -> CardRow:
    found = copies(items, known.copied)
    parts = [found.text]
    if unheard := _unheard(known.seeding.clients):
        parts.append(f"not known: {', '.join(unheard)}")
    if busy := sum(item.inode in known.use.inodes for item in items):
        verb = "is" if busy == 1 else "are"
        parts.insert(0, f"{files(busy)} {verb} open now and will be skipped while open")
    safe = found.known == len(items) and len(parts) == 1
    return CardRow(label="RISK", text=" · ".join(parts), mark=Mark.OK if safe else Mark.WARN)


def _unheard(clients: Sequence[TorrentClient]) -> list[str]:
    """What is not known of seeding."""
    if not clients:
        return ["seeding (no torrent client is configured)"]
    return [words for client in clients if (words := _unheard_of(client))]


def _unheard_of(client: TorrentClient) -> str:
    if client.state != "ok":
        if client.asked_at is None:
            return f"what {client.name} seeds: it was never heard"
        return f"what {client.name} seeds since {client.asked_at:%Y-%m-%d %H:%M} UTC"
    if client.unfound:
        some = "1 torrent" if client.unfound == 1 else f"{client.unfound:,} torrents"
        return f"the files of {some} of {client.name}"
    return ""


def _biggest(items: Sequence[Item]) -> str:
    top = sorted(items, key=lambda item: -item.identity.size)[:3]
    return ", ".join(f"{_short(item)} {size(item.identity.size)}" for item in top)


def _short(item: Item) -> str:
    name = item.display.rpartition("/")[2]
    return name if len(name) <= 24 else f"{name[:23]}…"


def _card_items(
    items: Sequence[Item], wanted: Mapping[Inode, str], copied: Copied | None
) -> tuple[CardItem, ...]:
    return tuple(
        CardItem(
            key=item.key,
            text=item.display,
            size=item.identity.size,
            note=f"wanted by {whose}"
            if (whose := wanted.get(item.inode))
            else reason(item, copied),
        )
        for item in items
    )


def purge_card(
    row: PlanRow, items: Sequence[Item], frees: int, wanted: Wanted, copied: Copied | None
) -> Card:
    """What a person reads before a purge: it cannot be undone, so the count is asked for."""
    held = weigh(items) - frees
    text = f"{size(frees)}" + (f" ({size(held)} hardlinked elsewhere)" if held else "")
    since = f"{row.trashed_at:%Y-%m-%d}" if row.trashed_at else "?"
    total = f"{files(len(items))}, {size(weigh(items))}"
    return Card(
        verb="purge",
        subject=row.library,
        headline=f"{files(len(items))} of {row.id} · frees {size(frees)}",
        rows=(
            CardRow(label="DO", text=f"delete {total}, for good", mark=Mark.WARN),
            CardRow(label="FREES", text=text),
            CardRow(label="WHY", text=f"in the trash since {since} ({row.id})"),
            CardRow(label="SAFE", text=_purge_safe(wanted), mark=Mark.OK),
            CardRow(label="RISK", text=_purge_risk(items, wanted, copied), mark=Mark.WARN),
            CardRow(label="UNDO", text="none: deleted is deleted", mark=Mark.WARN),
        ),
        items=_card_items(items, wanted.by, copied),
        confirm_count=len(items),
    )


def _purge_safe(wanted: Wanted) -> str:
    text = "each is what was put there"
    if wanted.asked and not wanted.by:
        text += f" · not wanted by {', '.join(wanted.asked)}"
    return text


def _purge_risk(items: Sequence[Item], wanted: Wanted, copied: Copied | None) -> str:
    text = "not known: other copies" if copied is None else copies(items, copied).text
    missed = [f"what {name} still wants (not asked: {why})" for name, why in wanted.unasked]
    if missed:
        text += f" · not known: {', '.join(missed)}"
    whose = [wanted.by[item.inode] for item in items if item.inode in wanted.by]
    if whose:
        verb = "is" if len(whose) == 1 else "are"
        torrents = list(dict.fromkeys(whose))
        more = f" and {len(torrents) - _TORRENTS:,} more" if len(torrents) > _TORRENTS else ""
        named = f"{', '.join(torrents[:_TORRENTS])}{more}"
        text = f"{files(len(whose))} {verb} still wanted by torrents: {named} · {text}"
    return text
