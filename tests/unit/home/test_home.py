"""Where things are kept: one place for each user, private, with a short way to the socket."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from engine.contract.errors import StoreFailed
from engine.home import Home, locate


def test_arcanum_home_moves_config_and_data_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARCANUM_HOME", str(tmp_path / "here"))
    found = locate()
    assert found.config_file == tmp_path / "here" / "config.toml"
    assert found.data == tmp_path / "here" / "data"
    assert {found.state_file.parent, found.catalogue_file.parent, found.lock_file.parent} == {
        found.data
    }


def test_nothing_is_created_before_it_is_needed(home: Home) -> None:
    assert not home.data.exists()
    assert not home.config_file.parent.exists()


@pytest.mark.skipif(sys.platform == "darwin", reason="the folders of Linux")
def test_without_it_the_platforms_own_folders_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ARCANUM_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative is ignored")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    found = locate()
    assert found.config_file == tmp_path / ".config" / "arcanum" / "config.toml"
    assert found.data == tmp_path / "share" / "arcanum"


@pytest.mark.parametrize("runtime", [None, "", "relative", "/nowhere/at/all", "/tmp/" + "x" * 90])
def test_the_way_to_the_socket_is_short_whatever_the_data_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: str | None
) -> None:
    if runtime is None:
        monkeypatch.delenv("XDG_RUNTIME_DIR")
    else:
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
    monkeypatch.setenv("ARCANUM_HOME", str(tmp_path / ("long" * 50) / "üüü"))
    found = locate()
    assert len(os.fsencode(found.socket)) < 104  # macOS allows four less than Linux.
    assert locate() == found


def test_every_data_folder_has_a_socket_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sockets = set()
    for name in ("a", "b"):
        monkeypatch.setenv("ARCANUM_HOME", str(tmp_path / name))
        sockets.add(locate().socket)
    assert len(sockets) == 2


def test_the_folders_are_private(home: Home) -> None:
    old = os.umask(0)
    try:
        home.prepare()
    finally:
        os.umask(old)
    for folder in (home.data, home.runtime):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    home.prepare()  # Again is no harm.


def test_a_runtime_folder_that_somebody_else_made_is_refused(home: Home, tmp_path: Path) -> None:
    home.runtime.symlink_to(tmp_path)
    with pytest.raises(StoreFailed, match="not a private folder of yours"):
        home.prepare()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_runtime_folder_of_another_user_is_refused(home: Home) -> None:
    home.runtime.mkdir(mode=0o700)
    os.chown(home.runtime, 65534, 65534)
    with pytest.raises(StoreFailed, match="not a private folder of yours"):
        home.prepare()


def test_a_file_in_the_place_of_a_folder_is_one_clear_error(home: Home) -> None:
    home.data.parent.mkdir(parents=True)
    home.data.write_text("a file")
    with pytest.raises(StoreFailed) as caught:
        home.prepare()
    assert str(home.data) in caught.value.message
    assert caught.value.hint


@pytest.mark.system("mount")
def test_a_read_only_disk_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", tmp_path], check=True)
    try:
        monkeypatch.setenv("ARCANUM_HOME", str(tmp_path / "home"))
        with pytest.raises(StoreFailed, match="Read-only file system") as caught:
            locate().prepare()
        assert "ARCANUM_HOME" in caught.value.hint
    finally:
        subprocess.run(["umount", "--lazy", tmp_path], check=True)
