"""``arcanum media``: libraries and their files."""

from __future__ import annotations

from arcanum_tui.cli import assets, copies, integrity, listing, remotes, sources
from arcanum_tui.cli.command import Command, Group, Invocation, value
from arcanum_tui.cli.follow import add_detach, begin, join
from arcanum_tui.cli.terminal import Terminal
from arcanum_tui.state.grid import Column, middle
from arcanum_tui.state.text import moment, number, plural, size
from engine.contract import jobs, media
from engine.contract.assets import Library, LibraryList, ScanResult
from engine.contract.base import now, visible
from engine.contract.errors import EXIT_NO, EXIT_OK

_WIDEST = 120


def show_libraries(found: LibraryList, terminal: Terminal) -> None:
    if not found.libraries:
        terminal.line("No library yet: arcanum media add PATH")
        return
    present = now()
    terminal.table(
        ("LIBRARY", "STATE", "WATCH", "FILES", "SIZE", "SCANNED", "PATH", "NOTE"),
        (
            Column(),
            Column(),
            Column(rank=1),
            Column(right=True),
            Column(right=True),
            Column(),
            Column(grow=True),
            Column(most=40),
        ),
        (
            (
                library.name,
                library.state,
                library.watch,
                number(library.files),
                size(library.bytes),
                moment(library.last_scan_at, present) if library.last_scan_at else "never",
                library.path.display,
                library.note,
            )
            for library in found.libraries
        ),
    )


def show_library(found: Library, terminal: Terminal) -> None:
    terminal.line(f"✓ {found.name} is {found.path.display}", "ok")
    terminal.note(f"To read it, or to see how far that is: arcanum media scan {found.name}")


def show_scan(found: ScanResult, terminal: Terminal) -> None:
    terminal.line(
        f"✓ {found.library}: {plural(found.files, 'file')}, {size(found.bytes)}"
        f" · {number(found.added)} new, {number(found.changed)} changed,"
        f" {number(found.moved)} moved, {number(found.removed)} gone"
        f" · {size(found.hashed_bytes)} hashed in {found.seconds:.1f} s",
        "ok",
    )
    if found.unreadable:
        terminal.line(f"! {plural(found.unreadable, 'name')} could not be read", "warn")
        for one in found.unread:
            terminal.line(f"  {middle(one.path.display, _WIDEST)}  {one.why}")
        if (more := found.unreadable - len(found.unread)) > 0:
            terminal.line(f"  and {number(more)} more")


async def _scan(run: Invocation) -> int:
    """A library is read by one job at a time: where that goes on already it is followed."""
    request = run.request()
    library = visible(request.library)
    async with run.client() as client:
        listed = value(await client.call(jobs.LIST, jobs.ListJobs()))
        for one in listed.jobs if not request.as_it_is else ():
            if (one.operation, one.subject) == (media.SCAN.name, library) and not one.ended_at:
                run.terminal.note(f"Job {one.id} reads {library} already: it is followed.")
                return await join(run, client, one.id)
        return await begin(run, client)


def scan_verdict(found: ScanResult) -> int:
    """What could not be read is not known."""
    return EXIT_NO if found.unreadable else EXIT_OK


GROUP = Group(
    "media",
    (
        Command(
            "add",
            media.ADD,
            show_library,
            examples=("arcanum media add /srv/films --name films",),
        ),
        Command("remove", media.REMOVE, show_libraries, examples=("arcanum media remove films",)),
        Command(
            "libraries", media.LIBRARIES, show_libraries, examples=("arcanum media libraries",)
        ),
        Command(
            "scan",
            media.SCAN,
            show_scan,
            run=_scan,
            add=add_detach,
            verdict=scan_verdict,
            examples=("arcanum media scan films", "arcanum media scan films --detach"),
        ),
        *listing.COMMANDS,
        assets.SHOW,
        sources.SOURCES,
        sources.CLIENTS,
        copies.DUPLICATES,
        integrity.VERIFY,
        integrity.DAMAGED,
        integrity.HISTORY,
        remotes.sync("media"),
    ),
)
