"""The operations that list files: pages, facets, folders, and taking a list along."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from engine.contract import media
from engine.contract.assets import AssetPage, ListAssets, ListedAsset
from engine.contract.base import Name
from engine.contract.call import Call
from engine.contract.errors import NotFound
from engine.contract.listing import (
    AskFacets,
    AskThumbnail,
    AskTree,
    ExportAssets,
    Exported,
    Facets,
    FolderPage,
    Thumbnail,
)
from engine.contract.ports import JobControl
from engine.ground import Ground
from engine.media.indexer import Indexer
from engine.media.listing.aside import Aside
from engine.media.listing.blocks import Blocks
from engine.media.listing.exporting import Exporting
from engine.media.listing.facets import Counting
from engine.media.listing.pages import Pages, Shelved
from engine.media.listing.thumbnails import Thumbnails
from engine.media.listing.tree import Trees
from engine.media.unseen import Place

_AT_ONCE = 250


class Lists:
    """``indexers`` are the libraries that there are, by name: the room's own, as it changes."""

    def __init__(self, ground: Ground, indexers: Mapping[str, Indexer]) -> None:
        self._door, self._indexers = ground.door, indexers
        path = ground.catalogue.path
        # Two, so that whoever waits for rows does not wait for numbers.
        self._looking, self._counting = Aside(path), Aside(path)
        self._pages = Pages(ground.catalogue, self._looking)
        self._blocks = Blocks(ground.catalogue, self._counting)
        self._facets = Counting(self._counting)
        self._trees = Trees(self._looking, self._counting)
        self._exporting = Exporting(self._pages, self._out_of_reach)
        self._thumbnails = Thumbnails(ground.catalogue)

    def start(self) -> None:
        """Binds the operations."""
        self._door.unary(media.LIST, self._list)
        self._door.unary(media.FACETS, self._count)
        self._door.unary(media.TREE, self._tree)
        self._door.unary(media.THUMBNAIL, self._thumbnail)
        self._door.job(media.EXPORT, self._export, lambda request: request.library or "all")

    async def stop(self) -> None:
        await self._blocks.stop()
        await self._thumbnails.close()
        await self._looking.close()
        await self._counting.close()

    def wake(self) -> None:
        """Much may be known of the files that lists do not have in columns yet."""
        self._blocks.wake()

    def _chosen(self, name: Name | None) -> list[Indexer]:
        """The library of this name, or all. Raises NotFound."""
        if name is None:
            return [indexer for _name, indexer in sorted(self._indexers.items())]
        if name not in self._indexers:
            known = ", ".join(sorted(self._indexers)) or "none yet: arcanum media add PATH"
            raise NotFound(f"There is no library {name}.", f"Libraries: {known}.")
        return [self._indexers[name]]

    async def _shelved(self, name: Name | None) -> list[Shelved]:
        found = []
        for indexer in self._chosen(name):
            shelf = indexer.shelf
            await shelf.read()
            found.append(Shelved(shelf.stored.id, shelf.stored.name, shelf.numbers))
        return found

    def _named(self, name: Name | None) -> dict[int, str]:
        stored = [indexer.shelf.stored for indexer in self._chosen(name)]
        return {library.id: library.name for library in stored}

    async def _list(self, request: ListAssets, _call: Call) -> AssetPage:
        self._blocks.wake(listed=True)
        page = await self._pages.page(await self._shelved(request.library), request)
        return page.model_copy(update={"assets": await self._marked(page.assets)})

    def _out_of_reach(self, library: str, path: bytes) -> Place | None:
        indexer = self._indexers.get(library)
        return None if indexer is None else indexer.shelf.out_of_reach(path)

    async def _marked(self, assets: Sequence[ListedAsset]) -> tuple[ListedAsset, ...]:
        """The same, those that cannot be looked at now marked."""
        if all(indexer.shelf.whole for indexer in self._indexers.values()):
            return tuple(assets)
        marked: list[ListedAsset] = []
        for number, asset in enumerate(assets, 1):
            place = self._out_of_reach(asset.library, asset.path.data)
            if place is not None:
                seen = max(asset.seen_at, place.seen_at or asset.seen_at)
                update = {"unreachable": place.why, "seen_at": seen}
                marked.append(asset.model_copy(update=update))
            else:
                marked.append(asset)
            if number % _AT_ONCE == 0:  # The event loop is never held for long.
                await asyncio.sleep(0)
        return tuple(marked)

    async def _count(self, request: AskFacets, _call: Call) -> Facets:
        return await self._facets.facets(self._named(request.library), request)

    async def _tree(self, request: AskTree, _call: Call) -> FolderPage:
        return await self._trees.page(next(iter(self._named(request.library))), request)

    async def _export(self, request: ExportAssets, control: JobControl) -> Exported:
        return await self._exporting.export(self._named(request.library), request, control)

    async def _thumbnail(self, request: AskThumbnail, _call: Call) -> Thumbnail:
        roots = {i.shelf.stored.id: i.shelf.stored.root for i in self._indexers.values()}
        return await self._thumbnails.make(roots, request)
