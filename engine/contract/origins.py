"""Ports: what other rooms tell the media room of where files came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from engine.contract.sources import SourceKind


@dataclass(frozen=True, slots=True)
class Origin:
    """Of the file at ``path``, relative to its library. ``where`` holds no credentials;
    ``confidence``: from 0 to 1."""

    path: bytes
    kind: SourceKind
    where: str
    confidence: float
    evidence: Mapping[str, str] = field(default_factory=dict)


class Origins(Protocol):
    """Where files came from, noted by whoever brought them. It stays with a file that moves."""

    async def came(self, library: str, origins: Sequence[Origin]) -> int:
        """How many of these files are catalogued, so that it was noted. Raises NotFound,
        StoreFailed."""
        ...
