"""A folder on a remote, or on a disk of this machine: what it is, and how it may be compared."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from engine.contract.base import Json, visible
from engine.contract.errors import Invalid, NotFound, Refused
from engine.remotes.errors import RcloneFailed, redacted
from engine.remotes.rc import Rc

# As rclone allows names; a comma would begin options, a colon in front an unnamed remote.
_NAMED = re.compile(r"([\w.+@][\w .+@-]*):(.*)", re.DOTALL)
_ADDRESS = ("url", "endpoint", "host", "provider", "region", "remote", "upstreams", "drive_id")
"""What of a remote's configuration tells where it is, and is no secret."""
_NO_MODTIME_NS = 10**15
_FILE = "is a file not a directory"
_ANSWER_S = 60.0
PREFERRED = ("blake3", "sha256", "sha1", "md5")


@dataclass(frozen=True, slots=True)
class Target:
    """``fs`` is how rclone is told of it; ``where`` its address for eyes, without a secret.

    ``hashes``: the kinds that it knows; ``slow_hash``: it reads the file for one. ``precision_ns``
    of its files' times; None where it keeps none, ``slow_time`` where it must be asked for each.
    """

    fs: str
    remote: str
    folder: str
    type: str
    where: str
    hashes: tuple[str, ...]
    slow_hash: bool
    precision_ns: int | None
    slow_time: bool
    local: bool
    folds_case: bool
    bucket: bool

    @property
    def kind(self) -> Json:
        """What a plan relies on: that this name still means that place."""
        return {"type": self.type, "where": self.where}

    def common(self, made: Sequence[str]) -> str:
        """The hash to compare by: best one that the catalogue has, then one that can be made."""
        for kind in ("blake3", *made, *PREFERRED, *self.hashes):
            if kind in self.hashes:
                return kind
        return ""


def split(ref: str) -> tuple[str, str]:
    """The remote's name, "" for a folder of this machine, and the folder. Raises Invalid."""
    if ref != visible(ref).replace("\\u200e", "\u200e") and any(ord(char) < 32 for char in ref):
        raise Invalid(f"{visible(ref)} holds control characters.", "Name a folder without them.")
    if ref.startswith("/"):
        return "", os.path.normpath(ref)
    if found := _NAMED.fullmatch(ref):
        return found[1], found[2].rstrip("/")
    raise Invalid(
        f"{visible(ref)} is no place: it takes REMOTE:FOLDER, or a whole path of this machine.",
        "arcanum remotes list names the remotes.",
    )


async def remotes(rc: Rc) -> list[str]:
    """The names in rclone's configuration."""
    found = await rc.ask("config/listremotes", within_s=_ANSWER_S)
    return sorted(map(str, found.get("remotes") or ()))


async def about(rc: Rc, name: str) -> tuple[str, str]:
    """The type of a remote and its address. The secrets beside them are dropped here."""
    found = await rc.ask("config/get", f"{name}:", within_s=_ANSWER_S, name=name)
    told = [redacted(str(found[key])) for key in _ADDRESS if found.get(key)]
    return visible(str(found.get("type", "")))[:64], " ".join(told)


async def resolve(rc: Rc, ref: str) -> Target:
    """The place that ``ref`` names. Raises Invalid, NotFound, Unavailable, or rclone's words."""
    name, folder = split(ref)
    if name:
        known = await remotes(rc)
        if name not in known:
            listed = ", ".join(map(visible, known)) or "none yet: rclone config makes them"
            raise NotFound(f"rclone knows no remote {visible(name)}.", f"There are: {listed}.")
        type_, where = await about(rc, name)
    else:
        type_, where = "local", "a folder of this machine"
    fs = f"{name}:{folder}" if name else folder
    info = await _info(rc, fs)
    features = info.get("Features") or {}
    precision = int(info.get("Precision") or _NO_MODTIME_NS)
    if features.get("IsLocal"):
        folder = str(info.get("Root") or folder)
    return Target(
        fs=fs,
        remote=f"{name}:" if name else "",
        folder=folder,
        type=type_,
        where=where,
        hashes=tuple(map(str, info.get("Hashes") or ())),
        slow_hash=bool(features.get("SlowHash")),
        precision_ns=precision if precision < _NO_MODTIME_NS else None,
        slow_time=bool(features.get("SlowModTime")),
        local=bool(features.get("IsLocal")),
        folds_case=bool(features.get("CaseInsensitive")),
        bucket=bool(features.get("BucketBased")),
    )


async def _info(rc: Rc, fs: str) -> Json:
    """Raises what rclone says. It takes a bucket that does not answer for a file."""
    try:
        return await rc.ask("operations/fsinfo", fs, within_s=_ANSWER_S, fs=fs)
    except RcloneFailed as error:
        name, folder = split(fs)
        if not name or not folder or _FILE not in error.message:
            raise
        whole = f"{name}:"
        found = await rc.ask("operations/stat", fs, within_s=_ANSWER_S, fs=whole, remote=folder)
        if (found.get("item") or {}).get("IsDir") is False:
            raise Invalid(f"{visible(fs)} is a file.", "Name the folder that it is in.") from error
        raise


def apart(target: Target, roots: Sequence[bytes], own: Sequence[bytes]) -> None:
    """Raises Refused where a folder of this machine lies in a library, or around one.

    ``own``: Arcanum's folders, which nothing is ever sent to.
    """
    if not target.local:
        return
    there = os.path.realpath(os.fsencode(target.folder))
    for root in (*roots, *own):
        known = os.path.realpath(root)
        if there == known or _below(there, known) or _below(known, there):
            raise Refused(
                f"{visible(target.folder)} and {visible(os.fsdecode(root))} lie in each other:"
                " what is sent to one would change the other.",
                "Name a folder outside of every library.",
            )


def _below(path: bytes, folder: bytes) -> bool:
    return path.startswith(folder.rstrip(b"/") + b"/")
