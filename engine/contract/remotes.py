"""Remotes: where files are besides this machine's libraries, reached through rclone."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import ByteSize, Field

from engine.contract.base import Empty, Name, PathRef, Wire
from engine.contract.call import ONLY_OPERATOR, ActorKind
from engine.contract.events import Event
from engine.contract.operation import Kind, Limits, Operation, Risk

MOST_SHOWN = 200
"""Files that a result names, of each kind; the numbers are of all."""

RemoteRef = Annotated[
    str,
    Field(
        min_length=1,
        max_length=4096,
        description="where: REMOTE:FOLDER as rclone knows it, or a folder of this machine",
    ),
]
Rate = Annotated[ByteSize, Field(ge=0, le=2**50)]
DifferenceKind = Literal["missing_there", "missing_here", "differing", "size_only", "unknown"]


class ListRemotes(Wire):
    probe: bool = Field(False, description="ask each of them whether it answers")


class Remote(Wire):
    """A remote of rclone's configuration. ``where``: its address, without a secret.

    ``reachable`` is None where it was not asked; ``problem``: why it does not answer. ``files``
    and ``bytes`` are those of its last inventories, the oldest of them taken at ``listed_at``.
    """

    name: str
    type: str
    where: str = ""
    reachable: bool | None = None
    problem: str = ""
    files: int | None = None
    bytes: int | None = None
    listed_at: datetime | None = None


class RemoteList(Wire):
    """``rclone``: its version; ``config``: the configuration that it reads."""

    rclone: str
    config: PathRef
    remotes: tuple[Remote, ...]


class TakeInventory(Wire):
    remote: RemoteRef
    hashes: bool = Field(
        False, description="also where the remote has to read each file for it (sftp, a disk)"
    )


class FolderSize(Wire):
    """A folder directly in the listed one, with all that is below; "" is the listed one itself."""

    name: str
    files: int
    bytes: int


class RemoteFile(Wire):
    """A file as its remote tells it. ``path`` is below the listed folder, as rclone writes it."""

    path: PathRef
    size: int
    modified_at: datetime | None = None
    hash: str | None = None


class Inventory(Wire):
    """What is there. ``hash``: of which kind the files' hashes are; "" where none are known.

    ``folders`` and ``largest``: the largest first. ``unread`` folders could not be listed, the
    first of them are in ``troubles``: what is in them is not known.
    """

    remote: str
    hash: str
    files: int
    bytes: int
    hashed: int
    folders: tuple[FolderSize, ...]
    largest: tuple[RemoteFile, ...]
    unread: int
    troubles: tuple[str, ...] = ()
    seconds: float


class CheckRemote(Wire):
    library: Annotated[Name, Field(description="the library's name")]
    remote: RemoteRef
    folder: PathRef | None = Field(
        None, description="only this folder of the library, absolute or below its root"
    )


class Difference(Wire):
    """``size_only``: of the same size, and the remote has no hash to tell more. ``unknown``: it
    could not be compared; ``why`` says what stood in the way."""

    kind: DifferenceKind
    path: PathRef
    size: int
    why: str = ""


class CheckResult(Wire):
    """A library, or a folder of it, against a remote folder. The numbers are of files.

    ``hash``: what was compared; "" where the remote has none. ``read`` bytes were read here because
    the catalogue had no such hash. ``differences``: the first of each kind.
    """

    library: str
    remote: str
    hash: str
    same: int
    missing_there: int
    missing_here: int
    differing: int
    size_only: int
    unknown: int
    read: int
    differences: tuple[Difference, ...]
    seconds: float

    @property
    def alike(self) -> bool:
        """Nothing is missing, nothing differs, and nothing is unknown."""
        return not (
            self.missing_there
            or self.missing_here
            or self.differing
            or self.size_only
            or self.unknown
        )


class Send(CheckRemote):
    bandwidth: Rate | None = Field(
        None,
        description="send at most so much a second, such as 4MB; 0: no limit;"
        " by default what the configuration says",
    )


class ApprovalOf(Wire):
    id: Annotated[int, Field(ge=1, description="the number of the approval that is carried out")]


class Transfer(Wire):
    """An approved copy or sync that runs. ``id`` is its approval's.

    ``done`` and ``total`` count files; sizes in bytes, ``rate`` in bytes a second. ``now``: the
    files in flight.
    """

    id: int
    operation: str
    library: str
    remote: str
    state: Literal["waiting", "sending", "paused", "verifying", "deleting", "stopping"]
    done: int
    total: int
    bytes: int
    total_bytes: int
    rate: float | None = None
    eta_s: float | None = None
    now: tuple[PathRef, ...] = ()


class TransferList(Wire):
    """``bandwidth``: the limit in force, in bytes a second; 0: none."""

    transfers: tuple[Transfer, ...]
    bandwidth: int


class SetBandwidth(Wire):
    bandwidth: Annotated[
        Rate,
        Field(description="send at most so much a second from now on, such as 4MB; 0: no limit"),
    ]


class FindFile(Wire):
    library: Annotated[Name, Field(description="the library's name")]
    path: Annotated[PathRef, Field(description="the file: absolute, or below the library")]


class Holder(Wire):
    """A file elsewhere. ``by``: the hash by which it is the same; "size" where only that and the
    name are the same, so that it is not sure. Told by an inventory ``at`` that time."""

    remote: str
    path: PathRef
    by: str
    at: datetime


class Holders(Wire):
    """Who else has a file, as far as inventories were taken."""

    library: str
    path: PathRef
    size: int
    holders: tuple[Holder, ...]


class InventoryTaken(Event):
    kind: Literal["remotes.inventory_taken"] = "remotes.inventory_taken"
    remote: str
    files: int
    bytes: int


class Sent(Event):
    """A copy or a sync ended; ``complete``: all that was approved was done and verified."""

    kind: Literal["remotes.sent"] = "remotes.sent"
    library: str
    remote: str
    files: int
    bytes: int
    deleted: int
    complete: bool


_LONG = Limits(timeout_s=None)
# They go out with the person's own keys: neither a model nor an agent sends them.
_TRUSTED = frozenset({ActorKind.OPERATOR, ActorKind.SCHEDULE})

LIST = Operation(
    "remotes.list",
    "The remotes that rclone knows",
    ListRemotes,
    RemoteList,
    actors=_TRUSTED,
    limits=Limits(timeout_s=60.0),
)
INVENTORY = Operation(
    "remotes.inventory",
    "What is on a remote: files, sizes, hashes",
    TakeInventory,
    Inventory,
    kind=Kind.JOB,
    risk=Risk.WRITE,
    actors=_TRUSTED,
    limits=_LONG,
    audit=("remote",),
    positional=("remote",),
)
CHECK = Operation(
    "remotes.check",
    "Compare a library with a remote",
    CheckRemote,
    CheckResult,
    kind=Kind.JOB,
    risk=Risk.WRITE,
    actors=_TRUSTED,
    limits=_LONG,
    audit=("library", "remote"),
    positional=("library", "remote"),
)
COPY = Operation(
    "remotes.copy",
    "Send what is missing or different on a remote, after your approval",
    Send,
    Empty,
    risk=Risk.HIGH,
    actors=_TRUSTED,
    limits=_LONG,
    audit=("library", "remote"),
    positional=("library", "remote"),
)
SYNC = Operation(
    "remotes.sync",
    "Make a remote like a library: send, and delete what is not here, after your approval",
    Send,
    Empty,
    risk=Risk.HIGH,
    actors=_TRUSTED,
    limits=_LONG,
    audit=("library", "remote"),
    positional=("library", "remote"),
)
TRANSFERS = Operation(
    "remotes.transfers", "The approved copies and syncs that run now", Empty, TransferList
)
PAUSE = Operation(
    "remotes.pause",
    "Start no other file; those in flight are finished",
    ApprovalOf,
    TransferList,
    risk=Risk.WRITE,
    actors=ONLY_OPERATOR,
    audit=("id",),
    positional=("id",),
)
RESUME = Operation(
    "remotes.resume",
    "Go on with what was paused",
    ApprovalOf,
    TransferList,
    risk=Risk.WRITE,
    actors=ONLY_OPERATOR,
    audit=("id",),
    positional=("id",),
)
CANCEL = Operation(
    "remotes.cancel",
    "Stop a copy or sync for good; what was sent stays there",
    ApprovalOf,
    TransferList,
    risk=Risk.WRITE,
    actors=ONLY_OPERATOR,
    audit=("id",),
    positional=("id",),
)
LIMIT = Operation(
    "remotes.limit",
    "Limit the bandwidth of what runs now",
    SetBandwidth,
    TransferList,
    risk=Risk.WRITE,
    actors=ONLY_OPERATOR,
    audit=("bandwidth",),
    positional=("bandwidth",),
)
FIND = Operation(
    "remotes.find",
    "Which remotes have a file, as far as inventories tell",
    FindFile,
    Holders,
    positional=("library", "path"),
)
