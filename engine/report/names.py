"""A report without what things are called here. Its numbers stay."""

from __future__ import annotations

from typing import Any

from engine.contract.report import Breakdown, MediaReport


def without_names(found: MediaReport) -> MediaReport:
    """Libraries, in their order, are called by numbers; what else has a name of its own has none.

    What a camera is called, and a type of file, says nothing of whose it is.
    """
    numbers = {one.library: f"library {n}" for n, one in enumerate(found.libraries, 1)}

    def of(rows: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
        return rows and tuple(
            row.model_copy(update={"library": numbers[row.library]} | _unnamed(row)) for row in rows
        )

    growth, duplicates, sources = found.growth, found.duplicates, found.sources
    series = tuple(numbers.get(name, "") for name in growth.series)
    return found.model_copy(
        update={
            "machine": "",
            "libraries": of(found.libraries),
            "largest": of(found.largest),
            "integrity": of(found.integrity),
            "limits": of(found.limits),
            "growth": growth.model_copy(update={"series": series}),
            "duplicates": duplicates.model_copy(update={"groups": of(duplicates.groups)}),
            "sources": sources.model_copy(update={"hosts": _numbered(sources.hosts)}),
        }
    )


def _unnamed(row: Any) -> dict[str, Any]:
    """A note may name files."""
    update: dict[str, Any] = {"note": ""} if hasattr(row, "note") else {}
    return update | ({"path": None} if hasattr(row, "path") else {})


def _numbered(hosts: Breakdown) -> Breakdown:
    rows = tuple(
        row.model_copy(update={"name": f"server {n}"}) for n, row in enumerate(hosts.rows, 1)
    )
    return hosts.model_copy(update={"rows": rows})
