"""A private folder for one child's socket."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from tempfile import gettempdir, mkdtemp

SOCKET = "m.sock"  # llama.cpp knows a unix socket by its ending.
MODEL_LINK = "model"
STATES_LINK = "states"
STATE_LINK = "state.safetensors"  # MLX knows a file by its ending.
_ELSEWHERE = "arcanum-"
# The shortest limit of the systems that this runs on, without the closing NUL: macOS's.
MAX_SOCKET_PATH = 103


def make_folder(runtime_dir: Path) -> Path:
    """A new folder with mode 0700, named after this process; folders of dead ones are removed.

    It is made in the system's temporary folder where ``runtime_dir`` is too long for a socket.
    """
    runtime_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    _sweep(runtime_dir, "")
    prefix = f"model-{os.getpid()}-"
    folder = Path(mkdtemp(prefix=prefix, dir=runtime_dir))
    if len(os.fsencode(folder / SOCKET)) > MAX_SOCKET_PATH:
        folder.rmdir()
        _sweep(Path(gettempdir()), _ELSEWHERE)
        folder = Path(mkdtemp(prefix=_ELSEWHERE + prefix))
    return folder


def remove_folder(folder: Path) -> None:
    """Removes what ``make_folder`` made; nothing happens where it is gone."""
    for name in (SOCKET, MODEL_LINK, STATES_LINK, STATE_LINK):
        (folder / name).unlink(missing_ok=True)
    with suppress(FileNotFoundError):
        folder.rmdir()


def _sweep(place: Path, before: str) -> None:
    """Whoever was killed could not clean up. ``before`` is what their folders' names begin with."""
    for folder in place.glob(f"{before}model-*-*"):
        pid = folder.name.removeprefix(before).split("-")[1]
        if pid.isascii() and pid.isdigit() and not is_running(int(pid)):
            with suppress(OSError):  # Another process sweeps too, or it is not ours to remove.
                if _is_ours(folder):
                    remove_folder(folder)


def _is_ours(folder: Path) -> bool:
    """Where everybody may write, anybody can leave a folder of that name, or a link."""
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def is_running(pid: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
