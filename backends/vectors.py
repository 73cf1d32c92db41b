"""Vectors of texts, from a server's ``/v1/embeddings``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from backends.failures import Wording
from backends.wire import field, is_number, whole

if TYPE_CHECKING:
    from backends.chat import ChatServer

# So many at a time that parsing their vectors does not hold up the event loop.
TEXTS_AT_ONCE = 8
MAX_DIMENSIONS = 16_384


async def embed(server: ChatServer, model: str, texts: Sequence[str]) -> list[list[float]] | None:
    """One vector for each text, all of one length; None where the server makes none.

    Raises ModelFailed where what it makes is no vector, and what ``server`` raises.
    """
    found: list[list[float]] = []
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        some = [whole(text) for text in texts[start : start + TEXTS_AT_ONCE]]
        body = {"model": model, "input": some, "encoding_format": "float"}
        reply = await server.offered("POST", f"{server.address.api}/embeddings", body)
        if reply is None:
            return None
        found += _vectors(reply, len(some), len(found[0]) if found else 0, server.words)
    return found


def _vectors(reply: Any, number: int, length: int, words: Wording) -> list[list[float]]:
    """The vectors of a reply, in the order of the texts; each of ``length`` where that is not 0."""
    told = field(reply, "data")
    if not isinstance(told, list) or len(told) != number:
        raise words.malformed(f"not {number} vectors for {number} texts")
    vectors: list[list[float]] = [[] for _ in told]
    for each in told:
        index, vector = field(each, "index"), field(each, "embedding")
        if not isinstance(index, int) or not 0 <= index < number or vectors[index]:
            raise words.malformed("vectors that belong to no text")
        if not isinstance(vector, list) or not 0 < len(vector) <= MAX_DIMENSIONS:
            raise words.malformed("what it calls a vector is none")
        if not all(map(is_number, vector)):
            raise words.malformed("a vector with what is no number")
        length = length or len(vector)
        if len(vector) != length:
            raise words.malformed(f"vectors of {length} and of {len(vector)} numbers")
        vectors[index] = [float(value) for value in vector]
    return vectors
