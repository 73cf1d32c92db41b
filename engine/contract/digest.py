"""The digest that an approval approves: over canonical JSON, so that every process finds the same.

Canonical: keys sorted, no blanks, ASCII with escapes, integers only. A float is refused: two
machines may print it differently, and clocks and forecasts have no place under a digest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from json.encoder import encode_basestring_ascii as _quoted
from typing import Any

from engine.contract.base import Json

_FLUSH = 4096


def canonical(value: Any) -> bytes:
    """``value`` as canonical JSON. Raises TypeError for what has no canonical form."""
    found = bytearray()
    _encode_all(value, found.extend)
    return bytes(found)


def digest(request: Json, payload: Json, preconditions: Sequence[Json]) -> str:
    """SHA-256, in hex, of what an approval is about. CPU-bound: call it in a thread."""
    hasher = hashlib.sha256()
    whole = {"request": request, "payload": payload, "preconditions": preconditions}
    _encode_all(whole, hasher.update)
    return hasher.hexdigest()


# In Python, piece by piece: the C encoder would hold the interpreter for a whole plan of 100,000
# files, and the screen with it, even when called in a thread.
def _encode_all(value: Any, sink: Callable[[bytes], object]) -> None:
    pieces: list[str] = []
    _encode(value, pieces, sink)
    sink("".join(pieces).encode("ascii"))


def _encode(value: Any, pieces: list[str], sink: Callable[[bytes], object]) -> None:
    if len(pieces) > _FLUSH:
        sink("".join(pieces).encode("ascii"))
        pieces.clear()
    if isinstance(value, str):
        pieces.append(_quoted(value))
    elif value is None or isinstance(value, bool):
        pieces.append({None: "null", True: "true", False: "false"}[value])
    elif isinstance(value, int):
        pieces.append(int.__repr__(value))
    elif isinstance(value, Mapping):
        lead = "{"
        for key in sorted(value):
            if not isinstance(key, str):
                raise TypeError(f"a key of type {type(key).__name__} has no canonical form")
            pieces.append(f"{lead}{_quoted(key)}:")
            _encode(value[key], pieces, sink)
            lead = ","
        pieces.append("}" if value else "{}")
    elif isinstance(value, (list, tuple)):
        lead = "["
        for item in value:
            pieces.append(lead)
            _encode(item, pieces, sink)
            lead = ","
        pieces.append("]" if value else "[]")
    else:
        raise TypeError(f"a {type(value).__name__} has no canonical form")
