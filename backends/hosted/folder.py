"""A private folder for one child's socket."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp

SOCKET = "m.sock"  # llama.cpp knows a unix socket by its ending.
MODEL_LINK = "model"
STATES_LINK = "states"
# The shortest limit of the systems that this runs on, without the closing NUL: macOS's.
MAX_SOCKET_PATH = 103


def make_folder(runtime_dir: Path) -> Path:
    """A new folder with mode 0700, named after this process; folders of dead ones are removed.

    It is made in the system's temporary folder where ``runtime_dir`` is too long for a socket.
    """
    runtime_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    _sweep(runtime_dir)
    prefix = f"model-{os.getpid()}-"
    folder = Path(mkdtemp(prefix=prefix, dir=runtime_dir))
    if len(os.fsencode(folder / SOCKET)) > MAX_SOCKET_PATH:
        folder.rmdir()
        folder = Path(mkdtemp(prefix=f"arcanum-{prefix}"))
    return folder


def remove_folder(folder: Path) -> None:
    """Removes what ``make_folder`` made; nothing happens where it is gone."""
    for name in (SOCKET, MODEL_LINK, STATES_LINK):
        (folder / name).unlink(missing_ok=True)
    with suppress(FileNotFoundError):
        folder.rmdir()


def _sweep(runtime_dir: Path) -> None:
    """Whoever was killed could not clean up."""
    for folder in runtime_dir.glob("model-*-*"):
        pid = folder.name.split("-")[1]
        if pid.isascii() and pid.isdigit() and not is_running(int(pid)):
            with suppress(OSError):  # Another process sweeps too, or it is not ours to remove.
                remove_folder(folder)


def is_running(pid: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
