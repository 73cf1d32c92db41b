"""The digest that an approval approves: over canonical JSON, so that every process finds the same.

Canonical: keys sorted, no blanks, ASCII with escapes, integers only. A float is refused: two
machines may print it differently, and clocks and forecasts have no place under a digest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from json import JSONDecoder
from json.encoder import encode_basestring_ascii as _quoted
from typing import Any

from engine.contract.base import Json

_FLUSH = 4096
_DECODER = JSONDecoder()


def canonical(value: Any) -> bytes:
    """``value`` as canonical JSON. Raises TypeError for what has no canonical form."""
    found = bytearray()
    _encode_all(value, found.extend)
    return bytes(found)


def parsed(text: str) -> Any:
    """The value whose canonical JSON this is. CPU-bound: call it in a thread.

    Piece by piece too: an object is taken apart, and a list, and a list within an object. Raises
    ValueError for what is no canonical JSON.
    """
    try:
        value, end = _piece(text, 0, 2 if text.startswith("{") else 1)
    except IndexError:
        raise ValueError("It ends too soon.") from None
    if end != len(text):
        raise ValueError("There is more than one value.")
    return value


def _piece(text: str, at: int, depth: int) -> tuple[Any, int]:
    """The value that begins at ``at``, and where it ends."""
    if not depth or text[at] not in "[{":
        return _DECODER.raw_decode(text, at)
    closing, named = ("}", True) if text[at] == "{" else ("]", False)
    pairs: dict[str, Any] = {}
    items: list[Any] = []
    at += 1
    while text[at] != closing:
        if pairs or items:
            at = _past(text, at, ",")
        if not named:
            item, at = _piece(text, at, depth - 1)
            items.append(item)
            continue
        key, at = _DECODER.raw_decode(text, at)
        pairs[key], at = _piece(text, _past(text, at, ":"), depth - 1)
    return (pairs if named else items), at + 1


def _past(text: str, at: int, mark: str) -> int:
    if text[at] != mark:
        raise ValueError(f"There is no {mark} at {at}.")
    return at + 1


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
