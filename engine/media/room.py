"""The media room: libraries are named here, scanned, watched and listed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Collection, Sequence

from engine.contract import assets, media
from engine.contract.base import Empty, PathRef
from engine.contract.call import ActorKind, Call
from engine.contract.errors import Forbidden, Invalid, NotFound, Unavailable
from engine.contract.holding import Copies, Holders, Inode
from engine.contract.origins import Origins
from engine.contract.ports import (
    Catalogue,
    CatalogueFile,
    Concern,
    Described,
    JobControl,
    MediaCounts,
)
from engine.ground import Ground
from engine.media.catalogue import Files, Stored
from engine.media.copied import copied
from engine.media.describe import describe
from engine.media.duplicates.desk import Duplicates
from engine.media.duplicates.exporting import Exporting
from engine.media.duplicates.gallery import Gallery
from engine.media.first import FirstLook
from engine.media.handover import Handover
from engine.media.indexer import Indexer
from engine.media.integrity.desk import Integrity, integrity_concerns
from engine.media.integrity.strain import MachineStrain, Strain
from engine.media.libraries import Libraries, name_from
from engine.media.listing.desk import Lists
from engine.media.looking import Reader, Workers
from engine.media.nesting import Nesting
from engine.media.paging import Pages
from engine.media.places import Places
from engine.media.process import STALL_S
from engine.media.report.counting import Counting
from engine.media.root import Root
from engine.media.shelf import Shelf, shelf_concerns
from engine.media.source.desk import SourceDesk
from engine.media.survey.records import Records
from engine.media.survey.showing import Others, Showing
from engine.media.survey.surveyor import Surveyor
from engine.media.timing import Timing
from engine.media.unseen import Place, Unseen
from engine.media.watch import Watchers
from engine.store import Transaction

_READ_WITHIN_S = 10.0


class MediaRoom:
    """``timing``, ``stall_s`` (seconds) and ``strain`` are for tests; by default they follow the
    settings and the machine.
    """

    def __init__(
        self,
        ground: Ground,
        timing: Timing | None = None,
        stall_s: float = STALL_S,
        strain: Strain | None = None,
    ) -> None:
        settings = ground.config.media
        self._ground = ground
        self._timing = timing or Timing(rescan=settings.rescan_minutes * 60)
        self._threads = settings.hash_threads or min(4, os.cpu_count() or 1)
        self._libraries = Libraries(ground.state, ground.machine)
        self._records = Records(ground.catalogue)
        nesting = Nesting()
        self._files = Files(ground.catalogue, settings.hashes, self._records.placed, nesting)
        self._handover = Handover(ground.catalogue, nesting, self._moved_between)
        self._pages = Pages(ground.catalogue)
        self._workers = Workers(stall_s)
        self._watchers = Watchers(nesting)
        self._indexers: dict[str, Indexer] = {}
        self._places = Places(
            nesting,
            self._handover,
            self._files,
            workers=self._workers,
            watchers=self._watchers,
            indexers=self._indexers,
        )
        self._lists = Lists(ground, self._indexers)
        self._strain = strain or MachineStrain()
        self._integrity = Integrity(
            ground,
            self._files,
            self._workers,
            self._indexers,
            timing=self._timing,
            strain=self._strain,
            threads=self._threads,
        )
        self._surveyor = Surveyor(self._records, busy=self._is_busy, told=self._surveyed)
        self._showing = Showing(
            ground.catalogue,
            self._stored,
            self._surveyor.look,
            Others(self._integrity.outside.sure, self._out_of_reach, self._integrity.deeds.named),
        )
        self._sources = SourceDesk(ground.catalogue, self._stored, self._surveyor.look, settings)
        self._duplicates = Duplicates(
            ground, self._files, self._workers, self._stored, self._threads
        )
        self._gallery = Gallery(ground, self._files, self._workers, self._duplicates.chosen)

    async def start(self) -> None:
        stored = await self._libraries.every()
        await self._places.start(stored)
        for library in stored:
            (await self._open(library)).start()
        door = self._ground.door
        door.unary(media.ADD, self._add)
        door.unary(media.REMOVE, self._remove)
        door.unary(media.LIBRARIES, self._list_libraries)
        self._lists.start()
        door.unary(media.SHOW, self._showing.show)
        door.job(media.SCAN, self._scan, lambda request: request.library)
        self._integrity.start()
        self._duplicates.start()
        self._gallery.start()
        Exporting(self._duplicates.page, self._gallery.page).start(door)
        await self._sources.start(door)
        self._ground.provide(Catalogue, self)  # type: ignore[type-abstract]
        self._ground.provide(Copies, self)  # type: ignore[type-abstract]
        holders = self._sources.holders(lambda name: self._indexer(name).shelf.stored.id)
        self._ground.provide(Holders, holders)  # type: ignore[type-abstract]
        origins = self._sources.origins(lambda name: self._indexer(name).shelf.stored.id)
        self._ground.provide(Origins, origins)  # type: ignore[type-abstract]
        counting = Counting(self._ground.catalogue, self._ground.machine, self._by_id)
        self._ground.provide(MediaCounts, counting)  # type: ignore[type-abstract]
        self._ground.probes["media"] = self._concerns

    async def stop(self) -> None:
        await self._lists.stop()
        await self._integrity.stop()
        await self._duplicates.stop()
        await self._gallery.stop()
        await asyncio.gather(*(indexer.stop() for indexer in self._indexers.values()))
        await self._surveyor.stop()
        await self._sources.stop()
        await self._watchers.stop()
        await self._workers.close()
        await self._places.stop()

    async def _open(self, library: Stored, root: Root | None = None) -> Indexer:
        """``root``: which folder its root is, where that is known."""
        await self._places.make_room(library, root)
        unseen = Unseen(self._ground.catalogue, library.id)
        await unseen.load()
        machine, publish = self._ground.machine, self._publish
        shelf = Shelf(library, self._files, machine, publish, unseen=unseen)
        await shelf.refresh()
        metrics = self._ground.metrics

        def hashed(files: int, size: int) -> None:
            metrics.files_hashed.inc(files)
            metrics.bytes_hashed.inc(size)

        reader = Reader(
            self._files,
            self._workers,
            library,
            self._threads,
            handover=self._handover,
            hashed=hashed,
            elsewhere=self._places.look_at,
        )
        indexer = self._indexers[library.name] = Indexer(
            shelf,
            files=self._files,
            reader=reader,
            watchers=self._watchers,
            timing=self._timing,
            drifted=self._drifted,
            came=self._moved_between,
            strain=self._strain,
            first=FirstLook(self._ground, library),
        )
        return indexer

    def _publish(self, library: assets.Library) -> None:
        self._ground.bus.publish(
            media.LibraryChanged(library=library, machine=self._ground.machine)
        )
        if (indexer := self._indexers.get(library.name)) is not None:
            self._surveyor.wake(indexer.shelf.stored)
        if not any(indexer.busy for indexer in self._indexers.values()):
            self._lists.wake()

    def _surveyed(self, library: Stored, _files: int) -> None:
        if (indexer := self._indexers.get(library.name)) is not None:
            indexer.shelf.touch()

    async def _is_busy(self) -> bool:
        """Whether a library is being read, which is more urgent than what its files hold, or the
        machine has better things to do."""
        reads = any(indexer.busy for indexer in self._indexers.values())
        return reads or bool(await self._strain.now())

    def _stored(self) -> dict[int, Stored]:
        shelves = (indexer.shelf for indexer in self._indexers.values())
        return {shelf.stored.id: shelf.stored for shelf in shelves}

    def _moved_between(self) -> None:
        """A file left one library for another: the numbers of both moved."""
        for indexer in self._indexers.values():
            indexer.shelf.touch()

    def _out_of_reach(self, library: int, path: bytes) -> Place | None:
        shelves = (indexer.shelf for indexer in self._indexers.values())
        shelf = next((shelf for shelf in shelves if shelf.stored.id == library), None)
        return None if shelf is None else shelf.out_of_reach(path)

    def _by_id(self) -> dict[int, assets.Library]:
        shelves = (indexer.shelf for indexer in self._indexers.values())
        return {shelf.stored.id: shelf.library for shelf in shelves}

    async def _drifted(self, library: str, files: int) -> None:
        await self._emit(
            media.DriftFound(library=library, files=files, machine=self._ground.machine)
        )

    async def _emit(self, event: media.DriftFound | media.LibraryScanned) -> None:
        async def work(tx: Transaction) -> None:
            await tx.emit(event)

        await self._ground.state.write(work)

    def _indexer(self, name: str) -> Indexer:
        if name not in self._indexers:
            known = ", ".join(sorted(self._indexers)) or "none yet: arcanum media add PATH"
            raise NotFound(f"There is no library {name}.", f"Libraries: {known}.")
        return self._indexers[name]

    # --- operations -----------------------------------------------------------------------------

    async def _add(self, request: assets.AddLibrary, _call: Call) -> assets.Library:
        try:
            path = request.path.data
        except ValueError as error:
            raise Invalid("The path's raw form is not base64.", "Encode its bytes.") from error
        if b"\0" in path or not path:
            raise Invalid("A path is not empty and has no NUL in it.", "Name a folder.")
        root, identity = await self._places.resolve(
            os.path.abspath(os.path.expanduser(path))  # noqa: ASYNC240
        )
        await self._places.refuse_twin((root, identity))
        home = self._ground.home
        own = [os.fsencode(folder.resolve()) for folder in (home.data, home.runtime)]
        library = await self._libraries.add(request.name or name_from(root), root, own)
        indexer = await self._open(library, identity)
        await self._places.take_over(library)
        indexer.start()
        return await indexer.shelf.read()

    async def _remove(self, request: assets.LibraryName, call: Call) -> assets.LibraryList:
        indexer = self._indexer(request.library)
        await self._libraries.remove(indexer.shelf.stored)
        del self._indexers[request.library]
        self._surveyor.forget(indexer.shelf.stored.id)
        self._places.leave(indexer.shelf.stored, indexer.stop(removed=True))
        return await self._list_libraries(Empty(), call)

    async def _list_libraries(self, _request: Empty, _call: Call) -> assets.LibraryList:
        return assets.LibraryList(libraries=tuple(await self.libraries()))

    async def _scan(self, request: assets.ScanLibrary, control: JobControl) -> assets.ScanResult:
        if request.as_it_is and control.call.actor.kind is not ActorKind.OPERATOR:
            raise Forbidden(
                f"Only an operator says that what lies at the root of {request.library} is it.",
                "Leave as_it_is out.",
            )
        result = await self._indexer(request.library).scan(control, as_it_is=request.as_it_is)
        await self._emit(media.LibraryScanned(result=result, machine=self._ground.machine))
        return result

    # --- the port, for other rooms --------------------------------------------------------------

    async def libraries(self) -> list[assets.Library]:
        return [indexer.shelf.library for _name, indexer in sorted(self._indexers.items())]

    async def library(self, name: str) -> assets.Library:
        return await self._indexer(name).shelf.read()

    def oldest_first(self, library: str) -> AsyncIterator[list[CatalogueFile]]:
        return self._pages.oldest_first(self._indexer(library).shelf.stored.id)

    def by_path(self, library: str, folder: bytes = b"") -> AsyncIterator[list[CatalogueFile]]:
        return self._pages.by_path(self._indexer(library).shelf.stored.id, folder)

    async def file(self, library: str, path: bytes) -> CatalogueFile | None:
        return await self._pages.file(self._indexer(library).shelf.stored.id, path)

    async def copied(self, hashes: Collection[str], without: Collection[Inode]) -> set[str]:
        shelves = (indexer.shelf for indexer in self._indexers.values())
        there = [shelf.stored.id for shelf in shelves if shelf.numbers.state == "ok"]
        return await copied(self._ground.catalogue, hashes, without, there)

    async def describe(self, library: str, path: bytes) -> Described:
        stored = self._indexer(library).shelf.stored
        file = await self._pages.file(stored.id, path)
        shown = PathRef.of(path).display
        if file is None:
            raise NotFound(
                f"There is no file {shown} in the library {library}.",
                f"arcanum media list {library} names its files.",
            )
        try:
            async with asyncio.timeout(_READ_WITHIN_S):
                return await asyncio.to_thread(describe, library, stored.root, file)
        except TimeoutError:
            raise Unavailable(
                f"The disk of {library} does not answer: {shown} cannot be read.",
                "Is it mounted, and awake? Try again.",
            ) from None

    async def refresh(self, library: str, paths: Sequence[bytes]) -> None:
        for path in paths:
            if not path or any(part in {b"", b".", b".."} for part in path.split(b"/")):
                raise Invalid(f"Not a path inside {library}: {PathRef.of(path).display}.")
        asked = self._indexer(library)
        owners = [*self._places.owners(asked.shelf.stored.id, paths)]
        for indexer, own in owners or [(asked, [])]:  # That its root is there, in any case.
            await indexer.refresh(own)

    async def _concerns(self) -> Sequence[Concern]:
        found = []
        for _name, indexer in sorted(self._indexers.items()):
            found += [*shelf_concerns(indexer.shelf), *integrity_concerns(indexer.shelf.library)]
        return [*found, *self._sources.concerns()]
