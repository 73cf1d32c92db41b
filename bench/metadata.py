"""What files hold, file by file: our process for it against exiftool, both resident and warm.

Ours is asked as the engine asks it, 256 files at a time, through a pipe and back. exiftool stays
open (``-stay_open``) and gets one file after another, as its documentation advises. Ours gives way
to other programs (nice 10), exiftool does not.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.house import CannotMeasure
from bench.table import Aim, Plan, Row, missing, versus
from engine.media.survey.process import Bounds, Examiner, Target
from engine.media.walk import Identity
from tests.unit.media.survey import samples

_KINDS = ("jpeg", "heic", "png", "mp4", "mkv", "flac", "mp3", "pdf")
_TOGETHER = 256
_READY = b"{ready}\n"
_SMALL = "type alone (text)"
_AIM = Aim(ratio=0.5)


def measure(plan: Plan) -> list[Row]:
    """Milliseconds a file, for each kind of file."""
    count = 100 if plan.quick else 500
    folders = plant(plan.scratch / "metadata", count)
    ours: dict[str, list[float]] = {name: [] for name in folders}
    theirs: dict[str, list[float]] = {name: [] for name in folders}
    has_peer = shutil.which("exiftool") is not None
    for _ in range(plan.rounds):
        for name, folder in folders.items():
            ours[name].append(asyncio.run(_ours(folder)))
            if has_peer and name != _SMALL:
                theirs[name].append(_exiftool(folder))
    note = f"{count} files, {plan.rounds} turns"
    rows = [
        versus(
            f"metadata: {name}",
            "ms/file",
            ours[name],
            theirs[name],
            peer_name="exiftool" if theirs[name] else "",
            aim=_aim(name, has_peer=has_peer),
            note=note,
        )
        for name in folders
    ]
    if not has_peer:
        rows.append(missing("metadata", "ms/file", "exiftool is not installed", aim=_AIM))
    return rows


def _aim(name: str, *, has_peer: bool) -> Aim:
    if name == _SMALL:
        return Aim(value=1.0)
    return _AIM if has_peer else Aim()


def plant(root: Path, count: int) -> dict[str, Path]:
    """So many files of each kind, made here."""
    made = {name: samples.MADE[name][0]() for name in _KINDS}
    made[_SMALL] = b"words"
    for name, data in made.items():
        (root / name).mkdir(parents=True)
        for number in range(count):
            (root / name / f"{number:05}.{name[:4]}").write_bytes(data)
    return {name: root / name for name in made}


def _targets(folder: Path) -> list[Target]:
    found: list[Target] = []
    for number, file in enumerate(sorted(folder.iterdir()), 1):
        found.append((number, os.fsencode(file.name), list(Identity.of(file.lstat())[:5])))
    return found


async def _ours(folder: Path) -> float:
    targets, root, done = _targets(folder), os.fsencode(folder), 0
    examiner = Examiner(Bounds())
    try:
        async for _rows in examiner.examine(root, targets[:1]):
            pass  # The process is there, and the parser is imported.
        began = time.perf_counter()
        for start in range(0, len(targets), _TOGETHER):
            async for rows in examiner.examine(root, targets[start : start + _TOGETHER]):
                done += sum("problem" not in row.get("trait", {"problem": ""}) for row in rows)
        took = time.perf_counter() - began
    finally:
        await examiner.close()
    if done != len(targets):
        raise CannotMeasure(f"{folder.name}: {len(targets) - done} files were not read")
    return took * 1000 / len(targets)


@contextmanager
def _resident() -> Iterator[subprocess.Popen[bytes]]:
    command = ["exiftool", "-stay_open", "True", "-@", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        try:
            yield child
        finally:
            child.kill()


def _exiftool(folder: Path) -> float:
    files = sorted(folder.iterdir())
    with _resident() as child:
        _ask(child, files[0])
        began = time.perf_counter()
        for file in files:
            _ask(child, file)
        took = time.perf_counter() - began
    return took * 1000 / len(files)


def _ask(child: subprocess.Popen[bytes], file: Path) -> None:
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(b"-json\n" + os.fsencode(file) + b"\n-execute\n")
    child.stdin.flush()
    while (line := child.stdout.readline()) != _READY:
        if not line:
            raise CannotMeasure("exiftool ended")
