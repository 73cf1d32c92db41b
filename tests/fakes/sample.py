"""A lived-in machine, for pictures and snapshots: every block of every screen has something."""

from __future__ import annotations

from datetime import timedelta

from engine.contract import assets, media, telemetry
from engine.contract.approvals import (
    ApprovalState,
    Card,
    CardItem,
    CardRow,
    Mark,
    Outcome,
    Undo,
)
from engine.contract.engine import ConcernLine
from engine.contract.jobs import JobState, Progress
from tests.fakes.fake_world import MACHINE, NOW, World

GB = 1_000_000_000


def prune_card(library: str = "films", count: int = 14) -> Card:
    """The card of a prune, with a warning in the row that matters most."""
    titles = ("Dune (2021)", "Heat (1995)", "Ran (1985)", "Stalker (1979)", "Alien (1979)")
    items = tuple(
        CardItem(
            key=f"k{i}",
            text=f"{titles[i % 5]}/film-{i:03d}.mkv",
            size=(61 - 4 * (i % 12)) * GB // 4,
            note="oldest first" if i % 3 else "untouched 3 y",
        )
        for i in range(count)
    )
    return Card(
        verb="prune",
        subject=library,
        headline=f"{count} files · frees 198 GB, on purge",
        rows=(
            CardRow(label="DO", text=f"move {count} files, 212 GB, to the trash"),
            CardRow(
                label="FREES",
                text="0 now · 198 GB on purge (14 GB hardlinked in torrents)",
            ),
            CardRow(
                label="WHY", text="1.09 TB used of 900 GB · oldest first, until the limit is met"
            ),
            CardRow(
                label="SAFE",
                text="none changed since the scan · same file system · nothing overwritten",
                mark=Mark.OK,
            ),
            CardRow(label="RISK", text="no other copy of 9 of them is known here", mark=Mark.WARN),
            CardRow(label="UNDO", text="u until 27 Nov · biggest: Dune 61, Heat 48, Ran 33 GB"),
        ),
        items=items,
        keepable=True,
    )


def purge_card() -> Card:
    """A card that cannot be undone: a count must be typed."""
    return Card(
        verb="purge",
        subject="photos",
        headline="3 files · frees 11 GB now",
        rows=(
            CardRow(label="DO", text="delete 3 files, 11 GB, from the trash for good"),
            CardRow(label="FREES", text="11 GB now"),
            CardRow(label="RISK", text="no other copy is known", mark=Mark.WARN),
            CardRow(label="UNDO", text="none: once purged, they are gone"),
        ),
        items=tuple(
            CardItem(key=f"g{i}", text=f"2019/IMG_{i:04d}.raw", size=3 * GB) for i in range(3)
        ),
        confirm_count=3,
    )


def gauges(step: int = 0) -> telemetry.Gauges:
    """One sample of a quiet machine."""
    cpu = (12, 18, 9, 11, 34, 22, 15, 12, 10, 9, 13, 12)[step % 12]
    return telemetry.Gauges(
        at=NOW + timedelta(seconds=step - 12), machine=MACHINE, cpu=float(cpu), cpu_count=8,
        load=(0.9, 0.7, 0.6), memory_used=19_500_000_000, memory_total=32_000_000_000, swap_used=0,
        disks=(
            telemetry.Disk(mount="/", total=480 * GB, used=161 * GB, free=319 * GB),
            telemetry.Disk(mount="/srv", total=12_000 * GB, used=9_400 * GB, free=2_600 * GB),
        ),
        net_down=2_100_000.0 + 90_000 * step, net_up=8_400_000.0, uptime_s=63 * 86400.0,
        engine_cpu=0.7, engine_memory=74_000_000, loop_lag_ms=0.8,
        queues=(telemetry.Queue(name="events", depth=0, bound=1024),), model_state="ready",
    )  # fmt: skip


def lived_in() -> World:
    """Three libraries, four approvals, a running scan, a conversation, two concerns."""
    world = World()
    world.set_library("films", 1_412, 1_090 * GB)
    world.set_library("series", 8_207, 640 * GB)
    world.set_library("photos", 61_044, 210 * GB, state="scanning", pending=4_120)
    world.set_gauge("films", 1_090 * GB, 900 * GB)
    world.set_gauge("series", 640 * GB, 900 * GB, in_trash=11 * GB)
    world.set_gauge("photos", 210 * GB, None)
    world.emit(
        media.LibraryScanned(
            at=NOW - timedelta(hours=1, minutes=40),
            result=assets.ScanResult(
                library="series", files=8_207, bytes=640 * GB, added=4, changed=0, removed=0,
                moved=1, hashed=4, hashed_bytes=9_200_000_000, unreadable=0, skipped=2,
                seconds=41.2,
            ),
        )
    )  # fmt: skip
    undo = Undo(operation="quota.undo", request={"plan_id": "p1"}, until=NOW + timedelta(days=6))
    done = Outcome(
        state=ApprovalState.DONE, done=3, total=3, summary="moved 3 files, 11 GB, to the trash",
        undo=undo,
    )  # fmt: skip
    first = world.add_approval(prune_card("series", 3), created_at=NOW - timedelta(days=1))
    world.change_approval(first, state=ApprovalState.DONE, outcome=done)
    second = world.add_approval(prune_card("photos", 40), created_at=NOW - timedelta(hours=9))
    world.change_approval(second, state=ApprovalState.DENIED, reason="these are the wedding")
    world.add_approval(prune_card("films", 14))
    world.add_approval(
        purge_card(), operation="quota.purge", created_at=NOW - timedelta(minutes=6),
        expires_at=NOW + timedelta(minutes=54),
    )  # fmt: skip
    world.start_job(
        "media.scan", "photos",
        progress=Progress(done=18_944, total=61_044, unit="files", rate=412.0, eta_s=102.0),
    )  # fmt: skip
    world.start_job(
        "media.scan", "series", state=JobState.DONE, started_at=NOW - timedelta(hours=2),
        ended_at=NOW - timedelta(hours=1, minutes=40),
    )  # fmt: skip
    world.concerns += [
        ConcernLine(
            severity="needs_you", subject="films", machine=MACHINE,
            text="190 GB over its limit · p on Media plans a prune", link="media/films",
            since=NOW - timedelta(hours=3),
        ),
        ConcernLine(
            severity="broken", subject="photos", machine=MACHINE,
            text="watching failed: the inotify limit is reached", link="media/photos",
            since=NOW - timedelta(minutes=36),
        ),
        ConcernLine(
            severity="unknown", subject="backup", machine=MACHINE,
            text="no check has run yet", since=NOW - timedelta(hours=2),
        ),
    ]  # fmt: skip
    world.add_turn("main", "My bike is turquoise.", "Noted: your bike is turquoise.")
    world.add_turn(
        "main", "What colour is my bike?", "Your bike is turquoise. You told me so this morning."
    )
    world.add_turn("garden", "When do I sow peas?", "In March, as soon as the soil can be worked.")
    world.samples = [gauges(step) for step in range(12)]
    return world
