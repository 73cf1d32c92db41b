"""Content credentials (C2PA): what a manifest in a file claims. Standard library only.

The manifest is found in JPEG, PNG, MP4-like files (HEIC and AVIF, too) and RIFF (WebP, WAV), and
read; its signature is not checked, and says so: that takes a list of whom to trust, and the library
that could do it weighs 50 MB and fetches what a file names from the network. What is claimed
without proof is possible, no more.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from typing import Any

from engine.media.source import cbor
from engine.media.source.redacting import text

MOST_BYTES = 2 * 1024**2
"""Of a manifest: one with a thumbnail has some 100 KB."""

_BOXES, _DEPTH = 400, 6
_STEPS = 200
_MP4_UUID = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
_GENERATED = re.compile(r"(?:^|/)(\w*[aA]lgorithmicMedia)$")
_LIKELY = 0.4

Row = dict[str, Any]


def read(fd: int) -> list[Row]:
    """One row where the file carries a manifest. What cannot be read is not there."""
    try:
        data = _manifest(fd)
        if not data:
            return []
        return [_row(_told(data))]
    except (OSError, ValueError, IndexError, struct.error, RecursionError):
        return []


def _row(told: dict[str, str]) -> Row:
    return {
        "kind": "credentials",
        "origin": "",
        "referrer": "",
        "confidence": _LIKELY,
        "evidence": {**told, "told by": "C2PA", "signature": "not verified"},
    }


# --- where it is --------------------------------------------------------------------------------


def _manifest(fd: int) -> bytes:
    head = os.pread(fd, 16, 0)
    if head.startswith(b"\xff\xd8\xff"):
        return _jpeg(fd)
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return _chunk(fd, 8, b"caBX", ">I4s", 4)
    if head[:4] == b"RIFF":
        return _chunk(fd, 12, b"C2PA", "<4sI", 0)
    if head[4:8] == b"ftyp":
        return _mp4(fd)
    return b""


def _jpeg(fd: int) -> bytes:
    """APP11 segments with the same number are one box, whose head each of them repeats."""
    parts: dict[int, bytes] = {}
    at = 2
    for _ in range(_STEPS):
        marker = os.pread(fd, 4, at)
        if len(marker) < 4 or marker[0] != 0xFF or marker[1] in {0xD9, 0xDA}:
            break
        size = int.from_bytes(marker[2:4], "big")
        if marker[1] == 0xEB and size > 18:
            segment = os.pread(fd, size - 2, at + 4)
            if segment[:2] == b"JP":
                number = int.from_bytes(segment[2:4], "big")
                known = parts.get(number, b"")
                if len(known) < MOST_BYTES:
                    parts[number] = known + segment[16 if known else 8 :]
        at += 2 + size
    return next((part for part in parts.values() if b"c2pa" in part[:64]), b"")[:MOST_BYTES]


def _chunk(fd: int, at: int, wanted: bytes, form: str, after: int) -> bytes:
    for _ in range(_STEPS):
        head = os.pread(fd, 8, at)
        if len(head) < 8:
            return b""
        first, second = struct.unpack(form, head)
        size, name = (second, first) if form[0] == "<" else (first, second)
        if name == wanted:
            return os.pread(fd, min(size, MOST_BYTES), at + 8)
        at += 8 + size + after + (size & 1 if form[0] == "<" else 0)
    return b""


def _mp4(fd: int) -> bytes:
    at = 0
    for _ in range(_STEPS):
        head = os.pread(fd, 32, at)
        if len(head) < 8:
            return b""
        size, begin = int.from_bytes(head[:4], "big"), 8
        if size == 1:
            size, begin = int.from_bytes(head[8:16], "big"), 16
        if head[4:8] == b"uuid" and head[begin : begin + 16] == _MP4_UUID:
            body = os.pread(fd, min(size, MOST_BYTES), at + begin + 16)
            # Version and flags, the purpose as text that ends with a zero, an offset.
            start = body.index(b"\0", 4) + 1 + 8
            return body[start:] if body[4:12] == b"manifest" else b""
        if size < begin:
            return b""
        at += size
    return b""


# --- what it says -------------------------------------------------------------------------------


def _told(data: bytes) -> dict[str, str]:
    """The claim of the last manifest, which is the one in force, and how the content was made."""
    found: dict[str, bytes] = {}
    for label, body in _boxes(data, 0, [_BOXES]):
        name = label.partition("__")[0]
        if name in {"c2pa.claim", "c2pa.claim.v2", "c2pa.actions", "c2pa.actions.v2"}:
            found[name.removesuffix(".v2")] = body
    claim = cbor.loads(found["c2pa.claim"]) if "c2pa.claim" in found else {}
    actions = cbor.loads(found["c2pa.actions"]) if "c2pa.actions" in found else {}
    told = {"program": _generator(claim), "title": _string(claim, "dc:title")}
    for action in _list(actions, "actions")[:50]:
        kind = _GENERATED.search(_string(action, "digitalSourceType"))
        if kind:
            told["made by"] = kind[1]
        agent = action.get("softwareAgent") if isinstance(action, dict) else None
        told.setdefault("agent", agent if isinstance(agent, str) else _string(agent, "name"))
    return {name: text(value) for name, value in told.items() if value}


def _generator(claim: Any) -> str:
    info = claim.get("claim_generator_info") if isinstance(claim, dict) else None
    first = info[0] if isinstance(info, list) and info else info
    named = " ".join(filter(None, (_string(first, "name"), _string(first, "version"))))
    return named or _string(claim, "claim_generator")


def _string(value: Any, name: str) -> str:
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, str) else ""


def _list(value: Any, name: str) -> list[Any]:
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, list) else []


def _boxes(
    data: bytes, depth: int, left: list[int], label: str = ""
) -> Iterator[tuple[str, bytes]]:
    """Every CBOR box with the label of the JUMBF box that it lies in."""
    at = 0
    while at + 8 <= len(data) and left[0] > 0 and depth < _DEPTH:
        left[0] -= 1
        size, kind = struct.unpack_from(">I4s", data, at)
        if size < 8:
            return
        body = data[at + 8 : at + size]
        if kind == b"jumb":
            yield from _boxes(body, depth + 1, left)
        elif kind == b"jumd" and len(body) > 17 and body[16] & 2:
            label = body[17:].partition(b"\0")[0].decode("utf-8", "replace")
        elif kind == b"cbor":
            yield label, body
        at += size
