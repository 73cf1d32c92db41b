"""The operations that tell whether files are still what they were; and the scrub."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence

from engine.contract import media
from engine.contract.assets import Library
from engine.contract.base import PathRef
from engine.contract.call import Call
from engine.contract.errors import Invalid, NotFound, Refused
from engine.contract.integrity import (
    AskHistory,
    Damage,
    DamagedPage,
    History,
    ListDamaged,
    VerifyLibrary,
    VerifyResult,
)
from engine.contract.ports import Concern, JobControl, Severity
from engine.ground import Ground
from engine.media.catalogue import Files
from engine.media.hints import condense
from engine.media.indexer import Indexer
from engine.media.integrity.checks import Checks
from engine.media.integrity.deeds import Deeds
from engine.media.integrity.history import Histories
from engine.media.integrity.outside import Outside
from engine.media.integrity.scrub import Scrub
from engine.media.integrity.strain import Strain
from engine.media.integrity.verify import Found, Reading, Verifier, VerifyPace
from engine.media.looking import Pace, Workers
from engine.media.process import Lost
from engine.media.timing import Timing
from engine.store import Transaction

_DAY_NS = 86_400 * 10**9
_STORED = frozenset({"md5", "sha1", "sha256"})
"""Hashes that the catalogue keeps besides BLAKE3."""


def integrity_concerns(library: Library) -> list[Concern]:
    """What is wrong with a library's files, and with what is told of them."""
    found, link = [], f"media/{library.name}"
    if library.damaged:
        files = "1 file is" if library.damaged == 1 else f"{library.damaged:,} files are"
        text = f"{files} damaged: arcanum media damaged {library.name}"
        found.append(Concern(Severity.BROKEN, library.name, text, link=f"{link}/damaged"))
    if library.drift:
        changes = "1 change was" if library.drift == 1 else f"{library.drift:,} changes were"
        text = f"{changes} noticed by no event, only by reading everything again"
        found.append(Concern(Severity.UNKNOWN, library.name, text, link=link))
    return found


class Integrity:
    """``indexers`` are the libraries that there are, by name: the room's own, as it changes."""

    def __init__(
        self,
        ground: Ground,
        files: Files,
        workers: Workers,
        indexers: Mapping[str, Indexer],
        *,
        timing: Timing,
        strain: Strain,
        threads: int,
    ) -> None:
        self._ground, self._files, self._workers = ground, files, workers
        self._indexers, self._timing, self._strain = indexers, timing, strain
        self._threads = threads
        self._checks = Checks(ground.catalogue)
        self.outside = Outside(ground, self._checks)
        self._histories, self.deeds = Histories(ground.catalogue), Deeds(ground)
        self._scrub = Scrub(ground.config.media, timing, strain, indexers, self._read_alone)

    def start(self) -> None:
        """Binds the operations, and begins to scrub."""
        door = self._ground.door
        door.job(media.VERIFY, self._verify, lambda request: request.library)
        door.unary(media.DAMAGED, self._damaged)
        door.unary(media.HISTORY, self._history)
        self._scrub.start()

    async def stop(self) -> None:
        await self._scrub.stop()

    def _indexer(self, name: str) -> Indexer:
        if name not in self._indexers:
            known = ", ".join(sorted(self._indexers)) or "none yet: arcanum media add PATH"
            raise NotFound(f"There is no library {name}.", f"Libraries: {known}.")
        return self._indexers[name]

    def _names(self) -> dict[int, str]:
        return {indexer.shelf.stored.id: name for name, indexer in self._indexers.items()}

    # --- reading --------------------------------------------------------------------------------

    def _verifier(self, indexer: Indexer) -> Verifier:
        return Verifier(self._files, self._checks, self._workers, indexer.shelf.stored)

    async def _told(self, library: str, damage: Damage, files: int, paths: Sequence[bytes]) -> None:
        event = media.DamageFound(
            library=library,
            damage=damage,
            files=files,
            paths=tuple(map(PathRef.of, paths)),
            machine=self._ground.machine,
        )

        async def work(tx: Transaction) -> None:
            await tx.emit(event)

        await self._ground.state.write(work)

    async def _read_alone(self, indexer: Indexer, reading: Reading, pace: Pace) -> Found:
        """What the scrub reads. Raises as ``Verifier.read`` does."""
        reading.settle_s = self._timing.still
        found = await self._verifier(indexer).read(reading, pace, self._told)
        indexer.hint(found.again)
        if found.rotten or found.unreadable or found.mended:
            indexer.shelf.touch()
        return found

    async def _verify(self, request: VerifyLibrary, control: JobControl) -> VerifyResult:
        indexer = self._indexer(request.library)
        shelf, begun = indexer.shelf, time.monotonic()
        reading = self._reading(request, shelf.stored.root)
        if request.remote is not None:
            kind = await self.outside.hash_of(request.remote, control.call)
            reading.also = (kind,) if kind in _STORED else ()
        pace = VerifyPace(control, self._strain, request.mib_s, lambda: indexer.removed)
        reading.mib_s = await pace.first()
        try:
            found = await self._verifier(indexer).read(reading, pace, self._told)
        except Lost as lost:
            raise await indexer.away(lost) from lost
        if found.again:
            await indexer.refresh(found.again)
        compared, troubles = found.compared, found.troubles
        if request.remote is not None:
            compared, more = await self.outside.compare(request.library, request.remote, control)
            troubles += more
        damaged = await self._checks.named(self._names(), shelf.stored.id, found.damaged)
        library = await shelf.read()
        shelf.touch()
        return VerifyResult(
            library=request.library,
            checked=found.files,
            checked_bytes=found.size,
            intact=found.intact,
            rotten=found.rotten,
            unreadable=found.unreadable,
            mended=found.mended,
            edited=found.edited,
            fresh=found.fresh,
            refused=found.refused,
            pending=library.pending,
            unread=library.unread,
            damaged=await self.outside.offered(damaged),
            troubles=tuple(troubles),
            compared=compared,
            seconds=round(time.monotonic() - begun, 3),
        )

    def _reading(self, request: VerifyLibrary, root: bytes) -> Reading:
        """What a request asks to be read. Raises Invalid."""
        against = None if request.against is None else _data(request.against)
        some = request.paths or request.hashes or request.days is not None
        if against is not None and (some or request.remote is not None):
            raise Invalid(
                "A checksum list says itself which files are read.",
                "Leave out paths, days, hashes and the remote.",
            )
        if request.remote is not None and some:
            raise Invalid(
                "With a remote the whole library is compared.", "Leave out paths, days and hashes."
            )
        if against is not None and not against.startswith(b"/"):
            against = root + b"/" + against
        paths = [within(root, _data(path)) for path in request.paths]
        ago = None if request.days is None else time.time_ns() - request.days * _DAY_NS
        return Reading(
            # The root itself is everything.
            paths=condense(paths) if paths and b"" not in paths else None,
            before=ago,
            hashes=request.hashes,
            against=against,
            threads=1 if against is not None else self._threads,
            settle_s=self._timing.still,
        )

    # --- being asked ----------------------------------------------------------------------------

    async def _damaged(self, request: ListDamaged, _call: Call) -> DamagedPage:
        library = None
        if request.library is not None:
            library = self._indexer(request.library).shelf.stored.id
        page = await self._checks.page(self._names(), library, request.limit, request.after or 0)
        return page.model_copy(update={"damaged": await self.outside.offered(page.damaged)})

    async def _history(self, request: AskHistory, _call: Call) -> History:
        if request.path is not None and request.id is not None:
            raise Invalid("A file is named by its path or by its number.", "Leave one of them out.")
        stored = self._indexer(request.library).shelf.stored
        path = None if request.path is None else within(stored.root, _data(request.path))
        found = await self._histories.page(self._names(), stored.id, path, request)
        if found is None:
            what = f"number {request.id}" if request.path is None else request.path.display
            raise NotFound(
                f"No file {what} is known in {request.library}, nor was one.",
                f"arcanum media list {request.library} names its files.",
            )
        happenings = await self.deeds.named(found.happenings)
        return found.model_copy(update={"happenings": happenings})


def _data(path: PathRef) -> bytes:
    try:
        data = path.data
    except ValueError as error:
        raise Invalid("The path's raw form is not base64.", "Encode its bytes.") from error
    if b"\0" in data or not data:
        raise Invalid("A path is not empty and has no NUL in it.", "Name a file or a folder.")
    return data


def within(root: bytes, path: bytes) -> bytes:
    """The path relative to the root; empty for the root itself. Raises Refused."""
    whole = os.path.normpath(path if path.startswith(b"/") else root + b"/" + path)
    if whole != root and not whole.startswith(root + b"/"):
        raise Refused(
            f"{PathRef.of(path).display} is not in the library.",
            f"Name a path below {PathRef.of(root).display}.",
        )
    return whole[len(root) + 1 :]
