"""What programs wrote into a file's extended attributes when they fetched it.

Browsers, curl, wget and yt-dlp write ``user.xdg.*``; macOS ``com.apple.*``; Windows a stream called
Zone.Identifier, which file systems and servers here show as an attribute under one name or other.
Standard library only.
"""

from __future__ import annotations

import os
import re
import sys
from datetime import UTC, datetime
from typing import Any

from engine.media.source import property_list
from engine.media.source.redacting import place, text, url

Row = dict[str, Any]
MOST_BYTES = 64 * 1024
"""Of one attribute; Linux allows no more."""

_ORIGIN, _REFERRER = "xdg.origin.url", "xdg.referrer.url"
_WHERE, _QUARANTINE = "com.apple.metadata:kMDItemWhereFroms", "com.apple.quarantine"
_ZONE = "Zone.Identifier"
_TELLING = {
    "creator": "program",
    "xdg.publisher": "publisher",
    "dublincore.title": "title",
    "dublincore.contributor": "uploader",
    "dublincore.creator": "uploader",
    "dublincore.publisher": "publisher",
    "dublincore.date": "published",
    "dublincore.source": "from",
    # Of the metadata of remotes, `rclone copy --metadata` keeps what the local disk can hold.
    "owner": "owner",
    "description": "description",
}
_OF_A_REMOTE = {"tier", "content-type", "viewed-by-me", "copy-requires-writer-permission", "btime"}
_ZONES = {"0": "this machine", "1": "local network", "2": "trusted", "3": "internet", "4": "unsafe"}


def read(fd: int) -> list[Row]:
    """Rows of evidence. What cannot be read is not there."""
    found: dict[str, tuple[str, bytes]] = {}
    for name in _names(fd):
        plain = _plain(name)
        if plain in _TELLING or plain in {_ORIGIN, _REFERRER, _WHERE, _QUARANTINE, _ZONE}:
            found.setdefault(plain, (name, _value(fd, name)))
        elif plain in _OF_A_REMOTE:
            found.setdefault("", (name, b""))
    told = {name: value for name, (_full, value) in found.items() if name}
    rows = [_desktop(told), _apple(told), zone(told.get(_ZONE, b""), _ZONE)]
    rows = [row for row in rows if row is not None]
    if "" in found and not rows:
        rows = [_remote(told)]
    return [row for row in rows if row is not None]


def _desktop(told: dict[str, bytes]) -> Row | None:
    """As browsers, curl, wget and yt-dlp write it."""
    origin, referrer = place(_text(told.get(_ORIGIN))), place(_text(told.get(_REFERRER)))
    more = {to: _text(told[name]) for name, to in _TELLING.items() if name in told}
    evidence = {to: text(value) for to, value in more.items() if value}
    if origin or referrer:
        evidence["told by"] = f"user.{_ORIGIN if origin else _REFERRER}"
        return _row("url", origin, referrer, 0.9 if origin else 0.8, evidence)
    if "publisher" in evidence or "uploader" in evidence:
        return _row("download", "", "", 0.5, {**evidence, "told by": "user.dublincore"})
    return None


def _apple(told: dict[str, bytes]) -> Row | None:
    """The first of WhereFroms is what was fetched, the second the page that led there."""
    froms = property_list.strings(told.get(_WHERE, b""))
    evidence = _quarantine(_text(told.get(_QUARANTINE)))
    if froms:
        evidence["told by"] = _WHERE
        origin, referrer = place(froms[0]), place((*froms, "")[1])
        if origin:
            return _row("url", origin, referrer, 0.9, evidence)
        return _row("download", url(froms[0]), referrer, 0.6, evidence)
    if evidence:
        evidence["told by"] = _QUARANTINE
        return _row("download", "", "", 0.5, evidence)
    return None


def _quarantine(value: str) -> dict[str, str]:
    """``flags;seconds in hex;program;id``."""
    parts = [*value.split(";"), "", "", ""][:3]
    if not re.fullmatch(r"[0-9a-f]{4}", parts[0]):
        return {}
    evidence = {"program": text(parts[2])} if parts[2] else {}
    if re.fullmatch(r"[0-9a-f]{1,10}", parts[1]) and 0 < (at := int(parts[1], 16)) < 2**33:
        evidence["fetched"] = datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
    return evidence


def zone(value: bytes, told_by: str) -> Row | None:
    """The text of a Zone.Identifier, as Windows and its browsers write it."""
    wide = value.startswith((b"\xff\xfe", b"\xfe\xff"))
    words = value[:MOST_BYTES].decode("utf-16" if wide else "utf-8", "replace")
    if "[ZoneTransfer]" not in words:
        return None
    told: dict[str, str] = {}
    for line in words.splitlines()[:50]:
        key, _, rest = line.partition("=")
        told.setdefault(key.strip().lower(), rest.strip(" \t\0"))
    origin, referrer = place(told.get("hosturl", "")), place(told.get("referrerurl", ""))
    evidence = {"told by": told_by}
    if (number := told.get("zoneid", "")) in _ZONES:
        evidence["zone"] = _ZONES[number]
    if program := told.get("lastwriterpackagefamilyname", ""):
        evidence["program"] = text(program.partition("_")[0])
    if origin or referrer:
        return _row("url", origin, referrer, 0.9 if origin else 0.7, evidence)
    return _row("download", "", "", 0.4, evidence) if "zone" in evidence else None


def _remote(told: dict[str, bytes]) -> Row:
    """A copy that kept a remote's metadata: that it came from one, not from which."""
    evidence = {to: text(_text(told[name])) for name, to in _TELLING.items() if name in told}
    return _row("remote", "", "", 0.3, {**evidence, "told by": "metadata of a remote"})


def _row(kind: str, origin: str, referrer: str, confidence: float, evidence: dict[str, str]) -> Row:
    return {
        "kind": kind,
        "origin": origin,
        "referrer": referrer,
        "confidence": confidence,
        "evidence": evidence,
    }


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "backslashreplace").strip(" \t\r\n\0")


def _plain(name: str) -> str:
    """Without what systems and servers put around it: Samba's streams, the name space."""
    name = name.removeprefix("user.").removeprefix("DosStream.").removesuffix(":$DATA")
    return name.replace("\uf022", ":")


# --- the system ---------------------------------------------------------------------------------

if sys.platform == "darwin":
    import ctypes

    _libc = ctypes.CDLL(None, use_errno=True)
    _SIZE = ctypes.c_ssize_t
    _libc.flistxattr.restype = _libc.fgetxattr.restype = _SIZE

    def _names(fd: int) -> list[str]:
        space = ctypes.create_string_buffer(MOST_BYTES)
        size = _libc.flistxattr(fd, space, ctypes.c_size_t(MOST_BYTES), 0)
        return [os.fsdecode(name) for name in space.raw[: max(0, size)].split(b"\0") if name]

    def _value(fd: int, name: str) -> bytes:
        space = ctypes.create_string_buffer(MOST_BYTES)
        size = _libc.fgetxattr(
            fd, os.fsencode(name), space, ctypes.c_size_t(MOST_BYTES), ctypes.c_uint32(0), 0
        )
        return space.raw[: max(0, size)]

else:

    def _names(fd: int) -> list[str]:
        try:
            return os.listxattr(fd)
        except OSError:  # Not on this file system, or not for us.
            return []

    def _value(fd: int, name: str) -> bytes:
        try:
            return os.getxattr(fd, name)
        except OSError:
            return b""
