"""Which library a file belongs to: the innermost of those whose roots lie around it.

Standard library only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from engine.media.hints import ancestors


def lies_in(path: bytes, places: Collection[bytes]) -> bool:
    """Whether one of these places is this path, or a folder above it."""
    return path in places or any(up in places for up in ancestors(path))


class Nesting:
    """The roots of the libraries, by id. One that leaves keeps its place until nothing of it is
    left: until then its files are nobody else's.
    """

    def __init__(self) -> None:
        self._roots: dict[int, bytes] = {}
        self._leaving: set[int] = set()
        self._inner: dict[int, frozenset[bytes]] = {}

    def add(self, library: int, root: bytes) -> None:
        self._roots[library] = root
        self._leaving.discard(library)
        self._inner.clear()

    def leave(self, library: int, root: bytes) -> None:
        """It is no library any more, and what is known of its files is still to be handed over."""
        self._roots[library] = root
        self._leaving.add(library)
        self._inner.clear()

    def drop(self, library: int) -> None:
        self._roots.pop(library, None)
        self._leaving.discard(library)
        self._inner.clear()

    def inner(self, library: int) -> frozenset[bytes]:
        """The outermost places in a library that are others' roots, relative to its own."""
        if library not in self._inner:
            self._inner[library] = frozenset(self._find_inner(library))
        return self._inner[library]

    def _find_inner(self, library: int) -> Iterable[bytes]:
        root = self._roots.get(library)
        if root is None:
            return
        below = {
            other[len(root) + 1 :]
            for other in self._roots.values()
            if other.startswith(root + b"/")
        }
        yield from (path for path in below if not any(up in below for up in ancestors(path)))

    def around(self, library: int) -> int | None:
        """The innermost library around another one, or at its very place; none that leaves."""
        root = self._roots[library]
        found = [
            other
            for other, place in self._roots.items()
            if other != library and other not in self._leaving and lies_in(root, (place,))
        ]
        return max(found, key=lambda other: len(self._roots[other]), default=None)

    def outer(self, library: int) -> dict[int, bytes]:
        """All libraries around another one, with its path in each."""
        root = self._roots[library]
        return {
            other: root[len(place) + 1 :]
            for other, place in self._roots.items()
            if root.startswith(place + b"/")
        }

    def path(self, library: int, outer: int) -> bytes:
        """Where the one begins in the other, which lies around it; empty at its very place."""
        return self._roots[library][len(self._roots[outer]) + 1 :]

    def owner(self, library: int, path: bytes) -> tuple[int, bytes]:
        """Whose file it is that a library has at this path, and its path there."""
        whole = self._roots[library] + b"/" + path
        found = [
            other
            for other, place in self._roots.items()
            if other not in self._leaving and whole.startswith(place + b"/")
        ]
        best = max(found, key=lambda other: len(self._roots[other]), default=library)
        return best, whole[len(self._roots[best]) + 1 :]
