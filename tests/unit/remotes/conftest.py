from __future__ import annotations

import re
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fakes.rclone import Served, serving
from tests.unit.remotes.house import House, opened, put


@dataclass
class Servers:
    """One folder behind each kind of server; ``config`` names them dav:, sftp: and s3:."""

    base: Path
    dav: Served
    sftp: Served
    s3: Served

    @property
    def config(self) -> Path:
        return self.base / "rclone.conf"


@pytest.fixture(scope="package")
def servers() -> Iterator[Servers]:
    """Started once: a test uses folders of its own below them."""
    with tempfile.TemporaryDirectory(prefix="arc-rc-") as name:
        base = Path(name)
        (base / "s3" / "bucket").mkdir(parents=True)
        with (
            serving("webdav", base / "dav", base) as dav,
            serving("sftp", base / "sftp", base) as sftp,
            serving("s3", base / "s3", base) as s3,
        ):
            found = Servers(base, dav, sftp, s3)
            found.config.write_text(
                dav.section("dav")
                + sftp.section("sftp")
                + s3.section("s3")
                + dav.section("locked", password="wrong")
                + "[away]\ntype = webdav\nurl = http://127.0.0.1:9\n"
                + re.sub(r"(?<=127.0.0.1:)\d+", "9", s3.section("silent"))
            )
            yield found


@pytest.fixture
def films(tmp_path: Path) -> Path:
    root = tmp_path / "films"
    put(root, "dune/dune.mkv", 300_000)
    put(root, "heat.mkv", 200_000)
    put(root, "ran.mkv", 100_000)
    return root


@pytest.fixture
async def house(tmp_path: Path, films: Path, servers: Servers) -> AsyncIterator[House]:
    async with opened(tmp_path / "h", films, servers.config) as found:
        yield found


@pytest.fixture(params=["dav", "sftp", "s3", "disk"])
def remote(request: pytest.FixtureRequest, tmp_path: Path, servers: Servers) -> tuple[str, Path]:
    """A remote folder of this test's own, and where it lies on the disk."""
    own = tmp_path.name
    place = {
        "dav": (f"dav:{own}", servers.dav.folder / own),
        "sftp": (f"sftp:{own}", servers.sftp.folder / own),
        "s3": (f"s3:bucket/{own}", servers.s3.folder / "bucket" / own),
        "disk": (str(tmp_path / "usb"), tmp_path / "usb"),
    }
    found: tuple[str, Path] = place[request.param]
    return found
