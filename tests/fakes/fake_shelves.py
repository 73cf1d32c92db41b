"""The files of the fake world: made when they are looked at, as many as a test says."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from engine.contract import assets, copies, jobs, listing, media, traits
from engine.contract.base import PathRef
from engine.contract.errors import NotFound

if TYPE_CHECKING:
    from tests.fakes.fake_world import World

KINDS = ("video", "video", "image", "text")
GB = 1_000_000_000


def film(index: int) -> str:
    return f"Film {index:06d} ({1950 + index % 75})/film-{index:06d}.mkv"


class Shelves:
    """``names``: other paths than the usual ones, by library. ``counting``: facets that took too
    long. ``groups``: of duplicates, ``left_out``: so many of a page are none any more. ``alike``:
    groups of pictures, ``uncompared`` others, and why there are none (``problem``). ``shared``:
    bytes that several folders hold. ``picture``: what every file looks like."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.names: dict[str, list[bytes]] = {}
        self.counting: set[str] = set()
        self.groups: list[copies.DuplicateGroup] = []
        self.left_out = 0
        self.alike: list[copies.NearGroup] = []
        self.uncompared = 0
        self.problem = ""
        self.shared = 0
        self.picture = listing.Thumbnail(id=1, width=0, height=0, pixels="", problem="no picture")

    # --- lists ----------------------------------------------------------------------------------

    def _path(self, library: str, index: int) -> bytes:
        named = self.names.get(library)
        return named[index] if named else film(index).encode()

    def _count(self, library: str) -> int:
        named = self.names.get(library)
        return len(named) if named else self._world.assets[library]

    def _kind(self, library: str, index: int) -> str:
        ending = self._path(library, index).rpartition(b".")[2]
        return {b"jpg": "image", b"pdf": "document"}.get(ending, KINDS[index % 4])

    def asset(self, library: str, index: int) -> assets.ListedAsset:
        at, kind = self._world.now - timedelta(days=index % 900), self._kind(library, index)
        return assets.ListedAsset(
            id=index + 1, path=PathRef.of(self._path(library, index)),
            size=700_000_000 + 37 * index, modified_at=at, links=1,
            blake3=f"{index:064x}" if index % 5 else None, seen_at=self._world.now,
            library=library, first_seen_at=self._world.now - timedelta(days=1),
            kind=kind, type=f"{kind}/x", taken_at=at, camera="",
            damage="rotten" if index == 7 else None,
        )  # fmt: skip

    def _meant(self, request: assets.Matching) -> list[str]:
        if request.library is None:
            return sorted(self._world.libraries)
        if request.library not in self._world.libraries:
            raise NotFound(f"There is no library {request.library!r}.", "arcanum media libraries")
        return [request.library]

    def _matching(self, request: assets.Matching) -> Sequence[tuple[str, int]]:
        libraries = self._meant(request)
        chosen = (request.filter, request.kind, request.under, request.year, request.state)
        if len(libraries) == 1 and not any(chosen):
            return _Whole(libraries[0], self._count(libraries[0]))
        found = [(name, i) for name in libraries for i in range(self._count(name))]
        return [place for place in found if self._fits(request, *place)]

    def _fits(self, request: assets.Matching, library: str, index: int) -> bool:
        path = PathRef.of(self._path(library, index))
        below = request.under.data if request.under else b""
        inside = path.data.startswith(below + b"/") if below else True
        rest = path.data[len(below) + 1 :] if below else path.data
        return (
            inside
            and not (request.direct and b"/" in rest)
            and request.filter.lower() in path.display.lower()
            and (not request.kind or self._kind(library, index) in request.kind)
            and (not request.state or (index == 7) == ("damaged" in request.state))
        )

    async def list(self, request: assets.ListAssets) -> assets.AssetPage:
        found = self._matching(request)
        start = request.at or int(request.after or 0)
        if request.reverse:
            found = [*reversed(found)]
        page = found[start : start + request.limit]
        end = start + len(page)
        counted = not (request.quick and request.filter and len(found) > request.limit)
        return assets.AssetPage(
            library=request.library,
            assets=tuple(self.asset(*place) for place in page),
            total=len(found) if counted else len(page) + 1,
            bytes=len(found) * 1000,
            counted=counted,
            at=start,
            handle="order" if request.at else "",
            next=str(end) if end < len(found) else None,
        )

    async def tree(self, request: listing.AskTree) -> listing.FolderPage:
        below = request.under.data if request.under else b""
        names = [self._path(request.library, i) for i in range(self._count(request.library))]
        inside = [n for n in names if n.startswith(below + b"/")] if below else names
        start = len(below) + 1 if below else 0
        rest = [name[start:] for name in inside]
        heads: dict[bytes, int] = {}
        for head, slash, _tail in (name.partition(b"/") for name in rest):
            if slash:
                heads[head] = heads.get(head, 0) + 1
        before = below + b"/" if below else b""
        found = [
            listing.Folder(
                path=PathRef.of(before + head),
                files=None if request.quick else n,
                bytes=None if request.quick else n * GB,
            )
            for head, n in sorted(heads.items())
        ]
        here = sum(1 for name in rest if b"/" not in name)
        return listing.FolderPage(
            library=request.library, under=PathRef.of(below),
            folders=tuple(found[request.at : request.at + request.limit]), total=len(found),
            files=here, bytes=here * GB, counted=not request.quick,
            below_bytes=None if request.quick else len(inside) * GB, shared=self.shared,
        )  # fmt: skip

    async def facets(self, request: listing.AskFacets) -> listing.Facets:
        values = {
            "library": [(name, self._count(name)) for name in self._meant(request)],
            "kind": [("video", 706), ("image", 353), ("text", 353)],
            "type": [("video/x", 706), ("image/x", 353), ("text/x", 353)],
            "year": [("2026", 1000), ("2025", 412)],
            "state": [("sound", 1128), ("pending", 283), ("damaged", 1)],
            "larger": [(str(GB), 12), ("1000000", 1412)],
        }
        names = request.facets or listing.FACETS
        return listing.Facets(
            facets=tuple(
                listing.Facet(
                    name=name,
                    values=tuple(
                        listing.FacetValue(value=v, files=n) for v, n in values.get(name, ())
                    ),
                    counted=name not in self.counting,
                )
                for name in names
            ),
            seconds=0.1,
        )

    # --- one file -------------------------------------------------------------------------------

    async def show(self, request: traits.ShowAsset) -> traits.AssetDetail:
        index = (request.id or 1) - 1
        asset = self.asset(min(self._world.libraries), index)
        fields = set(assets.Asset.model_fields)
        plain = assets.Asset.model_validate(asset.model_dump(include=fields))
        return traits.AssetDetail(
            library=asset.library, asset=plain, first_seen_at=asset.first_seen_at,
            checked_at=self._world.now - timedelta(hours=5), damage=asset.damage,
            traits=traits.Traits(
                kind="video", type="video/x-matroska", width=1920, height=1080,
                duration_ms=6_731_000, codecs="h264, aac", details={"title": "Heat [1995]"},
            ),
            hashes={"md5": "0" * 32},
            sources=(
                traits.Provenance(
                    at=self._world.now, kind="torrent", origin="tracker.example.org", referrer="",
                    confidence=0.95, evidence={},
                ),
            ),
            names=(),
            copies=(
                traits.Elsewhere(
                    id=9, library="series", path=PathRef.of("misfiled/film-000000.mkv")
                ),
            ),
            copies_total=1, history=(),
        )  # fmt: skip

    async def thumbnail(self, request: listing.AskThumbnail) -> listing.Thumbnail:
        made = self.picture
        if made.width:
            made = pixels(min(made.width, request.width), min(made.height, request.height))
        return made.model_copy(update={"id": request.id})

    # --- duplicates, jobs -----------------------------------------------------------------------

    def add_group(self, size: int, *paths: str) -> None:
        """The first is to be kept."""
        identity = copies.FileIdentity(dev=1, ino=1, size=size, mtime_ns=0, ctime_ns=0, links=1)
        self.groups.append(
            copies.DuplicateGroup(
                blake3=f"{len(self.groups):064x}", size=size, count=len(paths),
                frees=size * (len(paths) - 1),
                copies=tuple(
                    copies.Copy(
                        id=i + 1, library="films", path=PathRef.of(path), names=(),
                        identity=identity, modified_at=self._world.now, first_seen_at=None,
                        checked_at=None, damage=None, seeding=False,
                        role="spare" if i else "keep",
                        reasons=("the same bytes lie in the kept one",) if i else ("the oldest",),
                        shares="none", frees=size if i else 0,
                    )
                    for i, path in enumerate(paths)
                ),
            )
        )  # fmt: skip

    async def duplicates(self, request: copies.AskDuplicates) -> copies.DuplicatePage:
        start = int(request.after or 0) if request.at is None else request.at
        page = self.groups[start : start + request.limit]
        end = start + len(page)
        return copies.DuplicatePage(
            groups=tuple(page[: len(page) - self.left_out]),
            totals=copies.DuplicateTotals(
                groups=len(self.groups), copies=sum(g.count for g in self.groups),
                frees=sum(g.frees for g in self.groups),
            ),
            not_duplicates=self.left_out, pending=283, candidates=0, as_of=self._world.now,
            handle=f"counted {len(self.groups)}",
            next=str(end) if end < len(self.groups) else None,
        )  # fmt: skip

    def add_alike(self, *paths: str) -> None:
        """Each is two bits farther from the first than the one before."""
        known = sum(group.count for group in self.alike)
        pictures = tuple(
            copies.NearPicture(
                id=known + i + 1, library="films", path=PathRef.of(path), size=4_000_000 >> i,
                width=4000 >> i, height=3000 >> i, taken_at=self._world.now, blake3=None,
                distance=2 * i, copies=1 + i,
            )
            for i, path in enumerate(paths)
        )  # fmt: skip
        self.alike.append(copies.NearGroup(count=len(paths), pictures=pictures))

    async def near(self, request: copies.AskNear) -> copies.NearPage:
        start = int(request.after or 0) if request.at is None else request.at
        page = self.alike[start : start + request.limit]
        end = start + len(page)
        return copies.NearPage(
            groups=tuple(page), total=len(self.alike), waiting=self.uncompared, plain=0, failed=0,
            compared=0 if self.uncompared else 353, problem=self.problem,
            next=str(end) if end < len(self.alike) else None,
        )  # fmt: skip

    async def compare_pictures(self, request: copies.ComparePictures) -> jobs.JobStarted:
        job = self._world.start_job(media.COMPARE_PICTURES.name, "all libraries")
        return jobs.JobStarted(job_id=job.id)

    async def export(self, request: listing.ExportAssets) -> jobs.JobStarted:
        subject = request.library or "all"
        return jobs.JobStarted(job_id=self._world.start_job(media.EXPORT.name, subject).id)

    async def export_duplicates(self, request: copies.ExportDuplicates) -> jobs.JobStarted:
        subject = ", ".join(request.libraries) or "all libraries"
        job = self._world.start_job(media.EXPORT_DUPLICATES.name, subject)
        return jobs.JobStarted(job_id=job.id)

    async def verify(self, request: Any) -> jobs.JobStarted:
        return jobs.JobStarted(job_id=self._world.start_job(media.VERIFY.name, request.library).id)


class _Whole(Sequence[tuple[str, int]]):
    """A whole library, of which nothing is made before it is asked for."""

    def __init__(self, library: str, count: int) -> None:
        self._library, self._range = library, range(count)

    def __len__(self) -> int:
        return len(self._range)

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return [(self._library, index) for index in self._range[at]]
        return self._library, self._range[at]


HANDLERS: dict[str, Callable[[World, Any], Any]] = {
    media.LIST.name: lambda world, request: world.shelves.list(request),
    media.TREE.name: lambda world, request: world.shelves.tree(request),
    media.FACETS.name: lambda world, request: world.shelves.facets(request),
    media.SHOW.name: lambda world, request: world.shelves.show(request),
    media.THUMBNAIL.name: lambda world, request: world.shelves.thumbnail(request),
    media.DUPLICATES.name: lambda world, request: world.shelves.duplicates(request),
    media.NEAR.name: lambda world, request: world.shelves.near(request),
    media.COMPARE_PICTURES.name: lambda world, request: world.shelves.compare_pictures(request),
    media.EXPORT.name: lambda world, request: world.shelves.export(request),
    media.EXPORT_DUPLICATES.name: lambda world, request: world.shelves.export_duplicates(request),
    media.VERIFY.name: lambda world, request: world.shelves.verify(request),
}


def pixels(width: int, height: int) -> listing.Thumbnail:
    """A picture: blue above, green below."""
    rows = [(40, 90, 200) if y < height // 2 else (60, 140, 60) for y in range(height)]
    data = b"".join(bytes(row) * width for row in rows)
    told = base64.b64encode(data).decode("ascii")
    return listing.Thumbnail(id=1, width=width, height=height, pixels=told)
