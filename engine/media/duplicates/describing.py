"""What is told of a group of copies: which to keep, why, and what the others free.

It is found out in the worker: what the catalogue knows of each copy, and what the disk says now.
Standard library only.
"""

from __future__ import annotations

import heapq
import os
import sqlite3
import stat
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from engine.media import mounts
from engine.media.duplicates import keeper
from engine.media.duplicates.extents import Layout, Weight, never_share, shared_spans, weigh
from engine.media.duplicates.keeper import Candidate
from engine.media.link import Link
from engine.media.look import open_catalogue
from engine.media.root import RootLostError, open_root
from engine.media.walk import GONE, Identity
from engine.worker.files import open_below
from engine.worker.frames import Frame, to_bytes, to_text

_MOST_NAMES = 50
_MOST_BYTES = 512 * 1024
# What a torrent client holds, paused or not, it wants to find again.
FACTS = """
SELECT file.id, library, path, dev, ino, size, file.mtime_ns, ctime_ns, nlink,
    first_seen_at, checked_at, damage,
    EXISTS (SELECT 1 FROM claim JOIN torrent USING (client, infohash)
        WHERE claim.file = file.id AND state <> 'removed') AS seeding,
    (SELECT count(*) FROM source WHERE source.file = file.id AND source.kind <> 'appeared')
        + EXISTS (SELECT 1 FROM trait WHERE trait.file = file.id AND problem = '') AS known
FROM file
"""


class Place(NamedTuple):
    """A library, or a folder: ``fd`` is None where its root is not there, or was not asked."""

    name: str
    root: bytes
    fd: int | None


class Name(NamedTuple):
    """``path`` as it is told: relative to ``library``, absolute where that is ''. ``fd`` and
    ``below``: a folder that is open, and where the file is from there; None where it is away."""

    id: int | None
    library: str
    path: bytes
    whole: bytes
    fd: int | None
    below: bytes


class Member(NamedTuple):
    """One inode with all of its known names, the best first. ``problem``: why it cannot be read."""

    names: list[Name]
    identity: Identity
    facts: Mapping[str, Any]
    problem: str = ""

    @property
    def inode(self) -> tuple[int, int]:
        return self.identity.dev, self.identity.ino

    @property
    def candidate(self) -> Candidate:
        first, facts = self.names[0], self.facts
        return Candidate(
            library=first.library or None,
            path=first.path,
            inode=self.inode,
            mtime_ns=self.identity.mtime_ns,
            first_seen_at=facts.get("first_seen_at"),
            checked_at=facts.get("checked_at"),
            damage=facts.get("damage", ""),
            problem=self.problem,
            seeding=bool(facts.get("seeding")),
            known=facts.get("known", 0),
            whole=len({name.whole for name in self.names}) >= self.identity.nlink,
        )


class _GoneError(Exception):
    """The file is not there any more, or is another one."""


class Describer:
    """``keep``: libraries whose copies are kept first, in order. ``most``: copies that are told of
    a group. ``touch``: whether the disk may be asked."""

    def __init__(self, keep: Sequence[str], most: int, *, touch: bool) -> None:
        self._most = most
        self.keep = {name: at for at, name in enumerate(keep)}
        self._touch = touch
        self._mounts = mounts.table()
        self._deaf: dict[int, bool] = {}

    def member(self, names: list[Name], identity: Identity, facts: Mapping[str, Any]) -> Member:
        def order(name: Name) -> tuple[Any, ...]:
            return (name.fd is None, *keeper.name_rank(name.library, name.path, self.keep))

        names.sort(key=order)
        away = self._touch and names[0].fd is None
        return Member(names, identity, facts, "its disk is away" if away else "")

    def group(self, blake3: bytes, members: Sequence[Member]) -> Frame | None:
        """A frame of what is told; None where no two of them are duplicates: the others are gone,
        or share all their bytes with it."""
        chosen = heapq.nsmallest(self._most, members, key=self._rank)
        more = len(members) - len(chosen)
        found = [told for member in chosen if (told := self._look(member)) is not None]
        if len(found) + more < 2:
            return None
        layouts = {member.inode: layout for member, layout in found}
        known = {member.inode: member for member, _layout in found}
        verdicts = keeper.judge([member.candidate for member in known.values()], self.keep)
        ordered = [known[candidate.inode] for candidate, _role, _why in verdicts]
        weights = _weigh(
            ordered,
            [layouts[member.inode] for member in ordered],
            [role == "spare" for _candidate, role, _why in verdicts],
        )
        rows = [_row(*told) for told in zip(ordered, verdicts, weights, strict=True)]
        if not more and _one_body(rows):
            return None
        return _bounded(blake3, len(found) + more, members[0].identity.size, rows)

    def _rank(self, member: Member) -> keeper.Rank:
        return keeper.rank(member.candidate, self.keep)

    def _look(self, member: Member) -> tuple[Member, Layout] | None:
        """The copy as it is now, and where its bytes lie; None where it is gone, or changed."""
        try:
            if self._touch and not member.problem:
                return member, self._layout(member)
        except _GoneError:
            return None
        except OSError as error:
            member = member._replace(problem=f"it cannot be read: {error.strerror or error}")
        return member, Layout(member.identity.size, None)

    def _layout(self, member: Member) -> Layout:
        name = member.names[0]
        try:
            status = os.stat(name.below, dir_fd=name.fd, follow_symlinks=False)
        except OSError as error:
            if error.errno in GONE:
                raise _GoneError from error
            raise
        if not stat.S_ISREG(status.st_mode) or Identity.of(status)[:5] != member.identity[:5]:
            raise _GoneError
        taken = min(status.st_size, status.st_blocks * 512)
        if self._is_deaf(status.st_dev):
            return Layout(taken, [])
        fd = open_below(name.fd or 0, name.below)
        try:
            return Layout(taken, shared_spans(fd))
        finally:
            os.close(fd)

    def _is_deaf(self, dev: int) -> bool:
        if dev not in self._deaf:
            self._deaf[dev] = never_share(dev, self._mounts)
        return self._deaf[dev]


def _one_body(rows: Sequence[Frame]) -> bool:
    """Whether all of them are reflinks of one another."""
    one_disk = len({row["identity"][0] for row in rows}) == 1
    return one_disk and all(row["shares"] == "all" and not row["frees"] for row in rows)


def _weigh(
    members: Sequence[Member], layouts: Sequence[Layout], spare: Sequence[bool]
) -> list[Weight]:
    """Each file system by itself."""
    found: dict[int, Weight] = {}
    for dev in {member.identity.dev for member in members}:
        here = [at for at, member in enumerate(members) if member.identity.dev == dev]
        weights = weigh([layouts[at] for at in here], [spare[at] for at in here])
        found.update(zip(here, weights, strict=True))
    return [found[at] for at in range(len(members))]


def _row(member: Member, verdict: keeper.Verdict, weight: Weight) -> Frame:
    (candidate, role, why), facts = verdict, member.facts
    if role == "spare" and weight.shares == "all" and not weight.frees:
        role, why = "stay", ["its bytes lie where those of another copy do: it frees nothing"]
    return {
        "names": [[n.id, n.library, to_text(n.path)] for n in member.names[:_MOST_NAMES]],
        "identity": [*member.identity],
        "first_seen_at": facts.get("first_seen_at"),
        "checked_at": facts.get("checked_at"),
        "damage": candidate.damage,
        "seeding": candidate.seeding,
        "role": role,
        "reasons": why,
        "shares": weight.shares,
        "frees": weight.frees,
    }


def _bounded(blake3: bytes, count: int, size: int, rows: list[Frame]) -> Frame:
    """As many copies as a frame holds: every byte of a name may take six."""
    told: list[Frame] = []
    weight = 0
    for row in rows:
        weight += 600 + sum(6 * len(path) + 40 for _id, _library, path in row["names"])
        if told and weight > _MOST_BYTES:
            break
        told.append(row)
    return {
        "k": "group",
        "blake3": blake3.hex(),
        "size": size,
        "count": count,
        "frees": sum(row["frees"] for row in rows),
        "copies": told,
    }


class Libraries:
    """The catalogue, and the roots of its libraries, open for as long as a command runs."""

    def __init__(self, catalogue: str, libraries: Iterable[Sequence[Any]], *, touch: bool) -> None:
        self.db = open_catalogue(catalogue)
        self.db.row_factory = sqlite3.Row
        self.places: dict[int, Place] = {}
        for id_, name, path in libraries:
            root, fd = to_bytes(path), None
            if touch:
                with suppress(RootLostError):
                    fd, _identity, _device = open_root(root)
            self.places[id_] = Place(name, root, fd)

    def at(self, path: bytes) -> tuple[int, bytes] | None:
        """The library that a path lies in, and where in it; of nested ones the innermost."""
        best = None
        for id_, place in self.places.items():
            within = path.startswith(place.root.rstrip(b"/") + b"/")
            if within and (best is None or len(place.root) > len(self.places[best].root)):
                best = id_
        return None if best is None else (best, path[len(self.places[best].root) + 1 :])

    def name(self, row: sqlite3.Row) -> Name:
        """A row of FACTS as a name of its file."""
        place, path = self.places[row["library"]], row["path"]
        return Name(row["id"], place.name, path, place.root + b"/" + path, place.fd, path)

    def facts(self, path: bytes, identity: Identity) -> sqlite3.Row | None:
        """What is known of the file at this place, if it is still the same."""
        found = self.at(path)
        if found is None:
            return None
        row = self.db.execute(f"{FACTS} WHERE library = ? AND path = ?", found).fetchone()
        return row if row is not None and [*row][3:8] == [*identity[:5]] else None

    def close(self) -> None:
        for place in self.places.values():
            if place.fd is not None:
                os.close(place.fd)
        self.db.close()


class Describe:
    """``command``: catalogue, libraries (id, name, root), keep, most, touch, hashes (BLAKE3 in
    hex).

    Tells a ``group`` for each; those of reflinks alone are counted.
    """

    def __init__(self, command: Frame, link: Link) -> None:
        self._link, self._hashes = link, command["hashes"]
        self._libraries = Libraries(
            command["catalogue"], command["libraries"], touch=command["touch"]
        )
        self._describer = Describer(command["keep"], command["most"], touch=command["touch"])

    def run(self) -> Frame:
        """Returns the closing frame."""
        left_out = 0
        for text in self._hashes:
            blake3 = bytes.fromhex(text)
            members = self._members(blake3)
            self._link.advance(1)
            if len(members) > 1:
                frame = self._describer.group(blake3, members)
                if frame is None:
                    left_out += 1
                else:
                    self._link.send(frame)
        self._libraries.close()
        return {"k": "done", "left_out": left_out}

    def _members(self, blake3: bytes) -> list[Member]:
        """Those that the catalogue knows of now."""
        asked = ",".join("?" * len(self._libraries.places))
        rows: dict[tuple[int, int], list[sqlite3.Row]] = {}
        for row in self._libraries.db.execute(
            # Signs before names keep SQLite from going by them instead of by the hash.
            f"{FACTS} WHERE blake3 = ? AND +size > 0 AND +library IN ({asked}) ORDER BY +file.id",
            (blake3, *self._libraries.places),
        ):
            rows.setdefault((row["dev"], row["ino"]), []).append(row)
        return [self._member(same) for same in rows.values()]

    def _member(self, rows: Sequence[sqlite3.Row]) -> Member:
        names = [self._libraries.name(row) for row in rows]
        return self._describer.member(names, Identity(*[*rows[0]][3:9]), facts_of(rows))


def facts_of(rows: Sequence[sqlite3.Row]) -> dict[str, Any]:
    """What is known of an inode by all of its names."""
    checked = [row["checked_at"] for row in rows if row["checked_at"] is not None]
    return {
        "first_seen_at": min(row["first_seen_at"] for row in rows),
        "checked_at": max(checked, default=None),
        "damage": max(row["damage"] for row in rows),
        "seeding": any(row["seeding"] for row in rows),
        "known": max(row["known"] for row in rows),
    }
