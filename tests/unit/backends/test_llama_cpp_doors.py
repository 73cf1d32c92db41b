"""The child process that holds a model: its secrets, its doors and its folder."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from backends.hosted.folder import MAX_SOCKET_PATH, make_folder, remove_folder
from backends.llama_cpp.backend import LlamaCpp
from tests.fakes.hosted import ask, child_of, says

pytestmark = pytest.mark.model


async def test_only_who_holds_the_key_is_served(backend: LlamaCpp) -> None:
    await backend.load()
    child = child_of(backend)
    async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=child.socket)) as http:
        for headers in ({}, {"Authorization": "Bearer guess"}):
            body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
            reply = await http.post("http://x/v1/chat/completions", json=body, headers=headers)
            assert reply.status_code == 401


async def test_the_key_can_be_read_nowhere(
    backend: LlamaCpp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "not for foreign code")
    await backend.load()
    child = child_of(backend)
    process = psutil.Process(child.pid)
    told = " ".join(process.cmdline()) + repr(process.environ())
    assert child.key not in told
    assert "not for foreign code" not in told


async def test_no_port_is_open_and_the_folder_is_private(backend: LlamaCpp) -> None:
    await backend.load()
    child = child_of(backend)
    process = psutil.Process(child.pid)
    assert process.net_connections(kind="inet") == []
    assert stat.S_IMODE(child.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(child.folder.parent.stat().st_mode) == 0o700
    assert Path(child.socket).is_socket()
    assert os.getpgid(child.pid) != os.getpgid(0), "Ctrl-C in the terminal must not reach it"


async def test_an_idle_child_costs_no_cpu(backend: LlamaCpp) -> None:
    assert backend._setup.threads == max(1, len(os.sched_getaffinity(0)) - 1)
    assert await says(backend, ask("Hello", 3))
    process = psutil.Process(child_of(backend).pid)
    before = sum(process.cpu_times()[:2])
    with pytest.raises(psutil.TimeoutExpired):
        await asyncio.to_thread(process.wait, 0.5)
    assert sum(process.cpu_times()[:2]) - before < 0.05


def test_a_long_runtime_folder_still_gets_a_socket(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / ("long" * 30))
    try:
        assert len(os.fsencode(folder / "m.sock")) <= MAX_SOCKET_PATH
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    finally:
        remove_folder(folder)
    assert not folder.exists()


def test_what_the_killed_left_in_the_temporary_folder_is_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        dead.wait()
    left = tmp_path / f"arcanum-model-{dead.pid}-abc"
    left.mkdir()
    (left / "m.sock").touch()
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "model").touch()
    (tmp_path / f"arcanum-model-{dead.pid}-link").symlink_to(precious)
    mine = tmp_path / f"arcanum-model-{os.getpid()}-abc"
    mine.mkdir()
    folder = make_folder(tmp_path / ("long" * 30))
    assert folder.parent == tmp_path
    assert not left.exists()
    assert mine.exists()
    assert (precious / "model").exists(), "whoever may write there can leave a link"
    remove_folder(folder)
