"""The operations on pictures that look alike: comparing them, and pages of what was found."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from engine.contract import media
from engine.contract.base import PathRef
from engine.contract.call import Call
from engine.contract.copies import (
    MOST_COPIES,
    AskNear,
    ComparedPictures,
    ComparePictures,
    NearGroup,
    NearPage,
    NearPicture,
)
from engine.contract.errors import Busy, Invalid, Unavailable
from engine.contract.ports import JobControl
from engine.ground import Ground
from engine.media.catalogue import Files, Stored
from engine.media.looking import Workers
from engine.media.pace import checkpoint
from engine.media.paging import when
from engine.media.process import Lost
from engine.media.survey.process import Bounds, Examiner, Target
from engine.media.survey.records import target_of, text
from engine.store import Transaction

_TOGETHER = 64
_BOUND = 2**63
_BOUNDS = Bounds(processor_s=20, file_s=60.0, memory_mib=1536, files=5000)
# What was not looked into yet may be a picture: that is told when it is looked at. SQLite is told
# how to go, by the order of tables and by signs before names: it would read a library for a page.
_PENDING = """
SELECT file.id, path, dev, ino, file.size, file.mtime_ns, ctime_ns
FROM file NOT INDEXED LEFT JOIN trait ON trait.file = file.id
WHERE file.id > ? AND library = ? AND damage = '' AND file.size > 0
    AND (trait.kind = 'image' OR (trait.file IS NULL AND surveyed = 0))
    AND NOT EXISTS (SELECT 1 FROM picture WHERE picture.file = file.id)
ORDER BY file.id LIMIT ?
"""
_WAITING = """
SELECT (SELECT count(*) FROM trait CROSS JOIN file ON file.id = trait.file
    WHERE trait.kind = 'image' AND library IN ({asked}) AND damage = '' AND file.size > 0
        AND NOT EXISTS (SELECT 1 FROM picture WHERE picture.file = file.id))
    + (SELECT count(*) FROM file INDEXED BY file_unsurveyed
    WHERE library IN ({asked}) AND surveyed = 0 AND damage = '' AND size > 0
        AND NOT EXISTS (SELECT 1 FROM trait WHERE trait.file = file.id)
        AND NOT EXISTS (SELECT 1 FROM picture WHERE picture.file = file.id))
"""
_PUT = """
INSERT INTO picture (file, size, mtime_ns, shape, edges, plain, problem)
SELECT id, size, mtime_ns, ?, ?, ?, ? FROM file
WHERE id = ? AND size = ? AND mtime_ns = ? AND ctime_ns = ?
ON CONFLICT (file) DO NOTHING
"""
# The same bytes look the same.
_COPY = """
INSERT INTO picture (file, size, mtime_ns, shape, edges, plain, problem)
SELECT new.id, new.size, new.mtime_ns, shape, edges, plain, problem
FROM file AS new JOIN file AS old ON old.blake3 = new.blake3 AND old.id <> new.id
JOIN picture ON picture.file = old.id
WHERE new.id BETWEEN ? AND ? AND +new.library = ?
ON CONFLICT (file) DO NOTHING
"""
_GROUPS = """
FROM picture CROSS JOIN file ON file.id = picture.file
WHERE star IS NOT NULL AND library IN ({asked}) GROUP BY star HAVING count(*) > 1
"""
_MEMBERS = """
SELECT star, picture.file, shape, file.library, file.path, file.size, file.blake3,
    trait.width, trait.height, trait.taken_at,
    (SELECT count(*) FROM file AS other WHERE other.blake3 = file.blake3) AS copies
FROM picture JOIN file ON file.id = picture.file LEFT JOIN trait ON trait.file = file.id
WHERE star IN ({stars}) AND library IN ({asked}) ORDER BY star, picture.file <> star, away, file.id
"""
_NUMBERS = """
SELECT coalesce(sum(shape IS NOT NULL AND NOT plain), 0) AS compared,
    coalesce(sum(plain), 0) AS plain, coalesce(sum(problem <> ''), 0) AS failed
FROM picture CROSS JOIN file ON file.id = picture.file WHERE library IN ({asked})
"""


class Gallery:
    """``chosen``: the libraries of these names, or all."""

    def __init__(
        self,
        ground: Ground,
        files: Files,
        workers: Workers,
        chosen: Callable[[Sequence[str]], list[Stored]],
        bounds: Bounds = _BOUNDS,
    ) -> None:
        self._ground, self._files, self._workers, self._chosen = ground, files, workers, chosen
        self._db = ground.catalogue
        self._examiner = Examiner(bounds, "engine.media.duplicates.viewer")
        self._job: int | None = None

    def start(self) -> None:
        """Binds the operations."""
        self._ground.door.unary(media.NEAR, self.page)
        self._ground.door.job(
            media.COMPARE_PICTURES,
            self._compare,
            lambda request: ", ".join(request.libraries) or "all libraries",
        )

    async def stop(self) -> None:
        await self._examiner.close()

    # --- comparing ------------------------------------------------------------------------------

    async def _compare(self, request: ComparePictures, control: JobControl) -> ComparedPictures:
        if lacking := _lacking():
            raise lacking
        libraries = self._chosen(request.libraries)
        if self._job is not None:
            raise Busy(
                f"Pictures are being compared already, by job {self._job}.",
                f"arcanum jobs follow {self._job} shows it.",
            )
        began, self._job = time.monotonic(), control.job_id
        try:
            looked_at = await self._look(libraries, control)
            found = await self._stars(libraries, request.distance, control)
        finally:
            self._job = None
            await self._examiner.close()
        numbers = await self._numbers([library.id for library in libraries])
        return ComparedPictures(
            looked_at=looked_at,
            pictures=found["pictures"],
            plain=numbers["plain"],
            failed=numbers["failed"],
            groups=found["groups"],
            near=found["near"],
            seconds=round(time.monotonic() - began, 3),
        )

    async def _look(self, libraries: Sequence[Stored], control: JobControl) -> int:
        """Looks at what is new; how many pictures that were. A library that is away is passed."""
        waiting = await self._waiting([library.id for library in libraries])
        done = looked_at = 0
        for library in libraries:
            last = 0
            while page := await self._pending(library.id, last):
                await control.checkpoint()
                control.progress(min(done, waiting), waiting, "pictures")
                first, last = page[0][0], page[-1][0]
                copied = await self._copy(library.id, first, last)
                left = [target for target in page if target[0] not in copied]
                try:
                    looked_at += len(copied) + await self._examine(library, left)
                except Lost:
                    break
                done += len(page)
        return looked_at

    async def _waiting(self, libraries: Sequence[int]) -> int:
        sql = _WAITING.format(asked=_asked(libraries))
        return int((await self._db.read(sql, (*libraries, *libraries)))[0][0])

    async def _pending(self, library: int, last: int) -> list[Target]:
        rows = await self._db.read(_PENDING, (last, library, _TOGETHER))
        return [target_of(row) for row in rows]

    async def _copy(self, library: int, first: int, last: int) -> set[int]:
        """Takes over what is known of the same bytes; the files that need no look any more."""

        async def work(tx: Transaction) -> set[int]:
            await tx.execute(_COPY, (first, last, library))
            rows = await tx.fetch(
                "SELECT file FROM picture WHERE file BETWEEN ? AND ?", (first, last)
            )
            return {row["file"] for row in rows}

        return await self._db.write(work)

    async def _examine(self, library: Stored, targets: Sequence[Target]) -> int:
        """Raises Lost, WorkerFailed, Unavailable."""
        known, done = {target[0]: target for target in targets}, 0
        async for rows in self._examiner.examine(library.root, targets):
            values = [
                (*columns, *key)
                for row in rows
                if (columns := _columns(row)) is not None and (key := _key(row, known)) is not None
            ]

            async def work(tx: Transaction, values: Sequence[Any] = values) -> None:
                await tx.executemany(_PUT, values)

            if values:
                await self._db.write(work)
            done += len(values)
        return done

    async def _stars(
        self, libraries: Sequence[Stored], distance: int, control: JobControl
    ) -> Mapping[str, int]:
        control.progress(0, None, "pictures", "comparing")
        command = {
            "do": "alike",
            "catalogue": self._files.uri,
            "libraries": [library.id for library in libraries],
            "distance": distance,
        }
        rows: list[tuple[int, int, int]] = []
        async with self._workers.lend() as process:
            async for frame in process.answers(command):
                if frame["k"] == "star":
                    rows += [(middle, away, file) for file, middle, away in frame["rows"]]
                elif frame["k"] == "done":
                    await self._put_stars(rows)
                    return frame
                await checkpoint(control, process)
        raise AssertionError("answers end with done")

    async def _put_stars(self, rows: Sequence[tuple[int, int, int]]) -> None:
        """Instead of those of the last comparison."""

        async def work(tx: Transaction) -> None:
            await tx.execute("UPDATE picture SET star = NULL, away = NULL WHERE star IS NOT NULL")
            await tx.executemany("UPDATE picture SET star = ?, away = ? WHERE file = ?", rows)

        await self._db.write(work)

    # --- pages ----------------------------------------------------------------------------------

    async def page(self, request: AskNear, _call: Call) -> NearPage:
        libraries = {library.id: library.name for library in self._chosen(request.libraries)}
        groups = _GROUPS.format(asked=_asked(libraries))
        beyond, values = "", [*libraries]
        if request.after is not None and request.at is None:
            beyond, values = "AND (-count(*), star) > (?, ?)", [*values, *_position(request.after)]
        rows = await self._db.read(
            f"SELECT star, count(*) AS count {groups} {beyond} ORDER BY -count(*), star"
            " LIMIT ? OFFSET ?",
            (*values, request.limit + 1, request.at or 0),
        )
        more = len(rows) > request.limit
        rows = rows[: request.limit]
        total = await self._db.read(f"SELECT count(*) FROM (SELECT 1 {groups})", [*libraries])  # noqa: S608
        numbers = await self._numbers([*libraries])
        lacking = _lacking()
        last = (-rows[-1]["count"], rows[-1]["star"]) if more else None
        return NearPage(
            groups=tuple(await self._groups(libraries, rows)),
            total=total[0][0],
            compared=numbers["compared"],
            plain=numbers["plain"],
            failed=numbers["failed"],
            waiting=await self._waiting([*libraries]),
            problem=f"{lacking.message} {lacking.hint}" if lacking else "",
            next=last and base64.urlsafe_b64encode(json.dumps(last).encode()).decode("ascii"),
        )

    async def _groups(self, libraries: Mapping[int, str], found: Sequence[Any]) -> list[NearGroup]:
        stars = [row["star"] for row in found]
        members: dict[int, list[Any]] = {star: [] for star in stars}
        sql = _MEMBERS.format(stars=_asked(stars), asked=_asked(libraries))
        for row in await self._db.read(sql, (*stars, *libraries)):
            members[row["star"]].append(row)
        groups = []
        for star in stars:
            rows = members[star][:MOST_COPIES]
            pictures = [_picture(row, rows[0]["shape"], libraries) for row in rows]
            groups.append(NearGroup(count=len(members[star]), pictures=tuple(pictures)))
            await asyncio.sleep(0)  # The event loop is never held for long.
        return groups

    async def _numbers(self, libraries: Sequence[int]) -> Mapping[str, int]:
        rows = await self._db.read(_NUMBERS.format(asked=_asked(libraries)), libraries)
        return dict(rows[0])


def _lacking() -> Unavailable | None:
    """What comparing pictures needs, and is not here."""
    if find_spec("PIL") is not None:
        return None
    return Unavailable(
        "Pictures cannot be compared: Pillow is not installed.",
        "pip install 'arcanum[media]' (make setup does it).",
    )


def _asked(values: Sequence[int] | Mapping[int, str]) -> str:
    return ",".join("?" * len(values)) or "NULL"  # An index for none is no way to go.


def _picture(row: Any, shape: int, libraries: Mapping[int, str]) -> NearPicture:
    return NearPicture(
        id=row["file"],
        library=libraries[row["library"]],
        path=PathRef.of(row["path"]),
        size=row["size"],
        width=row["width"],
        height=row["height"],
        taken_at=None if row["taken_at"] is None else when(row["taken_at"]),
        blake3=row["blake3"] and row["blake3"].hex(),
        distance=((row["shape"] ^ shape) % 2**64).bit_count(),
        copies=row["copies"] or 1,
    )


def _key(row: Any, known: Mapping[int, Target]) -> tuple[int, ...] | None:
    id_ = row.get("id") if isinstance(row, dict) else None
    target = known.get(id_) if isinstance(id_, int) else None
    return None if target is None else (target[0], *target[2][2:5])


def _columns(row: Any) -> tuple[int | None, int | None, bool, str] | None:
    """What the process says of a picture, checked: a file may have taken it over. None where it
    says nothing of one."""
    trait = row.get("trait") if isinstance(row, dict) else None
    if not isinstance(trait, dict) or "other" in trait:
        return None
    shape, edges = (_hash(trait.get(name)) for name in ("shape", "edges"))
    if shape is None or edges is None:
        return None, None, False, text(trait.get("problem")) or "nothing is known of how it looks"
    return shape, edges, trait.get("plain") is True, ""


def _hash(value: Any) -> int | None:
    right = isinstance(value, int) and not isinstance(value, bool) and -_BOUND <= value < _BOUND
    return value if right else None


def _position(cursor: str) -> tuple[int, int]:
    """Raises Invalid."""
    try:
        count, star = json.loads(base64.urlsafe_b64decode(cursor.encode("ascii")))
        return int(count), int(star)
    except (ValueError, TypeError) as error:
        raise Invalid("'after' is not the 'next' of a page.", "Start at the first page.") from error
