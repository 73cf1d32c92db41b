"""Where things are kept. ``ARCANUM_HOME`` moves configuration and data together.

Without it: the platform's own folders (XDG on Linux, Library on macOS). The runtime folder is
short, because the path of a unix socket must stay below 108 bytes, and private (mode 0700).
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from engine.contract.errors import StoreFailed


@dataclass(frozen=True, slots=True)
class Home:
    """The folders and files of one user's engine."""

    config_file: Path
    data: Path
    runtime: Path

    @property
    def state_file(self) -> Path:
        return self.data / "arcanum.db"

    @property
    def catalogue_file(self) -> Path:
        return self.data / "catalogue.db"

    @property
    def lock_file(self) -> Path:
        return self.data / "engine.lock"

    @property
    def log_file(self) -> Path:
        return self.data / "arcanum.log"

    @property
    def states(self) -> Path:
        """Where what models have read is kept."""
        return self.data / "states"

    @property
    def made(self) -> Path:
        """Where models are kept that were made of what came with Arcanum."""
        return self.data / "made"

    @property
    def socket(self) -> Path:
        """Where the engine listens."""
        return self.runtime / "engine.sock"

    def prepare(self) -> None:
        """Makes the folders, private to this user. Raises StoreFailed where that fails."""
        for folder in (self.data, self.runtime):
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                status = folder.lstat()
            except OSError as error:
                raise StoreFailed(
                    f"{folder}: {error.strerror or error}.",
                    "Make the folder writable, or move config and data with ARCANUM_HOME.",
                ) from error
            if not stat.S_ISDIR(status.st_mode) or (
                folder == self.runtime and (status.st_uid != os.getuid() or status.st_mode & 0o077)
            ):
                raise StoreFailed(
                    f"{folder} is not a private folder of yours.",
                    "Somebody else may have made it: remove it and try again.",
                )


def locate() -> Home:
    """The folders for this user and environment. Nothing is created."""
    override = os.environ.get("ARCANUM_HOME")
    if override:
        base = Path(override).expanduser().absolute()
        config, data = base / "config.toml", base / "data"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support" / "arcanum"
        config, data = base / "config.toml", base / "data"
    else:
        config = _xdg("XDG_CONFIG_HOME", ".config") / "arcanum" / "config.toml"
        data = _xdg("XDG_DATA_HOME", ".local/share") / "arcanum"
    return Home(config, data, _runtime(data))


def _xdg(variable: str, default: str) -> Path:
    value = os.environ.get(variable, "")
    return Path(value) if value.startswith("/") else Path.home() / default


def _runtime(data: Path) -> Path:
    """One folder per data folder, named by its hash."""
    name = hashlib.sha256(os.fsencode(data)).hexdigest()[:12]
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    if base.startswith("/") and len(base) < 50 and os.access(base, os.W_OK):
        return Path(base) / f"arcanum-{name}"
    # Not $TMPDIR: on macOS it is long, and every process must find the same place.
    temporary = "/tmp" if Path("/tmp").is_dir() else tempfile.gettempdir()  # noqa: S108
    return Path(temporary) / f"arcanum-{os.getuid()}-{name}"
