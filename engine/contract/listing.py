"""What a list of files can be narrowed by, the folders that it lies in, and taking it along."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field

from engine.contract.assets import Matching, Sort
from engine.contract.base import PathRef, Wire

FacetName = Literal[
    "library", "kind", "type", "year", "state", "source", "host", "camera", "larger"
]
FACETS: tuple[FacetName, ...] = get_args(FacetName)

MOST_VALUES = 100
"""Values that a facet names, those with most files; ``more`` says how many others there are."""


class AskFacets(Matching):
    """``facets``: only these; none: all."""

    facets: tuple[FacetName, ...] = Field(
        (), description="count only by: library, kind, type, year, state, source, host, camera,"
        " larger; none: by all"
    )  # fmt: skip


class FacetValue(Wire):
    """``value`` as the request's field of the facet's name takes it."""

    value: str
    files: int


class Facet(Wire):
    """How many of the files that match have which value. What is chosen of the facet itself does
    not narrow it, so that another value can be chosen. ``counted`` False: it took too long."""

    name: FacetName
    values: tuple[FacetValue, ...]
    more: int = 0
    counted: bool = True


class Facets(Wire):
    facets: tuple[Facet, ...]
    seconds: float


class AskTree(Wire):
    """The folders directly below one. A page: ``after`` so many of them."""

    library: Annotated[str, Field(max_length=64, description="the library's name")]
    under: PathRef | None = Field(None, description="the folder, below the library; none: its root")
    sort: Literal["path", "files", "size"] = Field("path", description="the order")
    limit: Annotated[int, Field(ge=1, le=5000, description="folders on a page")] = 500
    at: Annotated[int, Field(ge=0, description="the page from this folder on, from 0")] = 0
    quick: bool = Field(False, description="by path: do not wait until what is below is counted")


class Folder(Wire):
    """``path`` below the library. Files and bytes of all that is below it: each name is a file, a
    hardlinked one weighs once in each folder, as for du(1). None: not counted yet."""

    path: PathRef
    files: int | None
    bytes: int | None


class FolderPage(Wire):
    """``total`` folders there are; ``files`` and ``bytes`` lie directly in the folder itself.
    ``below_bytes``: of all that is below the folder, each hardlinked file once, so that the root's
    are the library's; ``shared`` of them are in more than one of the folders, or beside them too,
    and by so much these add up to more. ``counted`` False: what lies below is not counted yet."""

    library: str
    under: PathRef
    folders: tuple[Folder, ...]
    total: int
    files: int
    bytes: int
    below_bytes: int | None = None
    shared: int = 0
    counted: bool = True


class ExportAssets(Matching):
    """Everything that matches, in that order, to a new file on the engine's machine."""

    path: PathRef = Field(description="the file to write; it must not be there yet")
    format: Literal["csv", "jsonl", "md"] | None = Field(
        None, description="how; by default what the file's name ends with"
    )
    sort: Sort = Field("path", description="the order")
    reverse: bool = Field(False, description="the other way round")


class Exported(Wire):
    """``gone`` files left the catalogue while it was written. ``size`` of the file in bytes."""

    path: PathRef
    format: Literal["csv", "jsonl", "md"]
    files: int
    gone: int
    size: int
    seconds: float


class AskThumbnail(Wire):
    """A small picture of a picture, or of a film, at most ``width`` by ``height`` pixels."""

    id: Annotated[int, Field(ge=1, description="the file, by its number")]
    width: Annotated[int, Field(ge=1, le=512, description="pixels, at most")] = 64
    height: Annotated[int, Field(ge=1, le=512, description="pixels, at most")] = 64


class Thumbnail(Wire):
    """``pixels``: red, green, blue, row by row, in base64. Where there is none, ``problem`` says
    why and the size is 0."""

    id: int
    width: int
    height: int
    pixels: str
    problem: str = ""
