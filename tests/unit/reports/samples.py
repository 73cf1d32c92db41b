"""A report as the engine makes it, with names of one's choice."""

from __future__ import annotations

from datetime import UTC, datetime

from engine.contract.base import PathRef
from engine.contract.copies import DuplicateTotals
from engine.contract.report import (
    Amount,
    Breakdown,
    Duplicates,
    Growth,
    HeldTwice,
    Integrity,
    LargeFile,
    LibraryShare,
    LimitShare,
    MediaReport,
    Month,
    Share,
    Sources,
    Total,
)

AT = datetime(2026, 11, 28, 22, 15, tzinfo=UTC)
NONE = Amount()
ALL = Amount(files=12_000, bytes=9_220_000_000)


def _all(name: str) -> Breakdown:
    half = Amount(files=6_000, bytes=4_610_000_000)
    return Breakdown(
        rows=(Share(name=name, files=half.files, bytes=half.bytes),), others=half, unknown=NONE
    )


def _month(month: str, held: int) -> Month:
    return Month(month=month, arrived=ALL, left=NONE, held=ALL, bytes=(held, 5))


def report(
    name: str = "films", *, path: bytes | None = b"dune.mkv", months: int = 2, damaged: int = 0
) -> MediaReport:
    """``name`` stands wherever something from outside may stand; ``path`` None: left out."""
    where = None if path is None else PathRef.of(path)
    broken = Amount(files=damaged, bytes=damaged * 1000)
    return MediaReport(
        at=AT,
        machine=name,
        seconds=1.5,
        total=Total(
            **ALL.model_dump(), bytes_once=9_000_000_000, pending=3, damaged=damaged, unreadable=1
        ),
        libraries=tuple(
            LibraryShare(
                **ALL.model_dump(),
                library=each,
                path=where,
                state="ok",
                note=name if each == name else "",
                last_scan_at=AT if each == name else None,
            )
            for each in (name, "music")
        ),
        kinds=_all("image"),
        types=_all(name),
        cameras=_all(name),
        modified=_all("2024"),
        first_seen=_all("2025"),
        growth=Growth(
            before=NONE,
            months=tuple(
                _month(f"{2020 + n // 12}-{n % 12 + 1:02}", 10**9 * n) for n in range(months)
            ),
            series=(name, ""),
            since=AT,
        ),
        largest=(
            LargeFile(library=name, path=where, size=10**9, links=2, modified_at=AT, kind="video"),
        ),
        duplicates=Duplicates(
            totals=DuplicateTotals(groups=1, copies=2, frees=10**9),
            pending=3,
            groups=(HeldTwice(size=10**9, copies=2, frees=10**9, library=name, path=where),),
        ),
        sources=Sources(kinds=_all("url"), hosts=_all(name)),
        integrity=(
            Integrity(
                library=name,
                verdict="damaged" if damaged else "unknown",
                month=ALL,
                quarter=NONE,
                year=NONE,
                older=NONE,
                unchecked=NONE,
                pending=Amount(files=3, bytes=9),
                rotten=broken,
                unreadable=NONE,
                unreadable_names=1,
            ),
        ),
        limits=(LimitShare(library=name, used=9, limit=5, over=4, in_trash=0, state="over"),),
    )
