"""Ports: what the media room asks of the remotes room."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from engine.contract.ports import JobControl
from engine.contract.remotes import CheckResult, Holder


class Elsewhere(Protocol):
    """Where the same files are besides this machine's libraries."""

    async def hash_of(self, remote: str) -> str:
        """The kind of hash by which it can be compared; "" where it has none. Raises Invalid,
        NotFound, Unavailable."""
        ...

    async def compare(self, library: str, remote: str, control: JobControl) -> CheckResult:
        """The whole library against a remote folder, which is listed anew. Raises as ``hash_of``
        does, and Refused where it is not known what is in the library."""
        ...

    async def holders(
        self, hashes: Mapping[str, str], size: int, name: str, most: int
    ) -> list[Holder]:
        """Files that inventories name: with one of these hashes (hex, by kind), or else of that
        size and name. Raises StoreFailed."""
        ...
