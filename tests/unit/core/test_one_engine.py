"""One engine for each data folder: whoever holds the lock serves, everybody else attaches."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from arcanum_tui import wiring
from engine.clients.local import LocalClient
from engine.clients.socket import SocketClient
from engine.contract import engine as words
from engine.contract.base import Empty
from engine.contract.client import EngineClient
from engine.contract.errors import (
    ArcanumError,
    ConfigInvalid,
    Disconnected,
    StoreFailed,
    Unavailable,
)
from engine.core.lock import EngineLock
from engine.home import Home
from tests.fakes.house import done

RUN = """
import asyncio, json, sys
from arcanum_tui.wiring import connect
from engine.contract.base import Empty
from engine.contract.engine import STATUS

async def main():
    client = await connect(host=sys.argv[1])
    answer = await client.call(STATUS, Empty())
    print(json.dumps([type(client).__name__, answer.result.pid]), flush=True)
    await asyncio.to_thread(sys.stdin.read)  # Until the test has seen enough.
    await client.close()

asyncio.run(main())
"""


@contextmanager
def running(
    host: str = "serve", cwd: Path | None = None, **env: str | None
) -> Iterator[subprocess.Popen[str]]:
    """Another process of the same user that connects, says to whom, and waits."""
    environment = {name: value for name, value in (os.environ | env).items() if value is not None}
    environment["PYTHONPATH"] = str(Path.cwd())
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, host],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=cwd,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            pipe.close()


async def said(process: subprocess.Popen[str]) -> tuple[str, int]:
    """(what kind of client it got, the pid of the process that serves)."""
    assert process.stdout is not None
    line = await asyncio.to_thread(process.stdout.readline)
    kind, pid = json.loads(line)
    return kind, pid


async def pid_behind(client: EngineClient) -> int:
    status: words.Status = await done(client, words.STATUS, Empty())
    return status.pid


async def test_of_many_processes_at_once_one_serves_and_the_others_attach(home: Home) -> None:
    with running() as a, running() as b, running() as c:
        answers = [await said(process) for process in (a, b, c)]
        kinds = sorted(kind for kind, _pid in answers)
        assert kinds == ["LocalClient", "SocketClient", "SocketClient"]
        serving = {pid for _kind, pid in answers}
        assert len(serving) == 1
        assert serving <= {a.pid, b.pid, c.pid}


async def test_when_the_host_is_killed_the_next_one_takes_over(home: Home) -> None:
    with running() as process:
        assert await said(process) == ("LocalClient", process.pid)
        attached = await wiring.connect(host="terminal")
        assert isinstance(attached, SocketClient)
        process.send_signal(signal.SIGKILL)
        process.wait()
        with pytest.raises(Disconnected):
            await done(attached, words.STATUS, Empty())
        await attached.close()
    assert home.socket.exists()  # The dead one's.
    here = await wiring.connect(host="terminal")
    try:
        assert isinstance(here, LocalClient)
        assert await pid_behind(here) == os.getpid()
    finally:
        await here.close()
    assert not home.socket.exists()


async def test_when_the_host_ends_in_order_the_next_one_takes_over(home: Home) -> None:
    with running() as process:
        await said(process)
        assert process.stdin is not None
        process.stdin.close()
        await asyncio.to_thread(process.wait)
        assert process.returncode == 0
    here = await wiring.connect(host="command")
    assert isinstance(here, LocalClient)
    await here.close()


async def test_a_shell_attaches_to_the_terminal_that_is_open(home: Home) -> None:
    here = await wiring.connect(host="terminal")
    try:
        with running("command") as shell:
            assert await said(shell) == ("SocketClient", os.getpid())
    finally:
        await here.close()


async def test_a_process_with_another_runtime_folder_finds_the_same_engine(
    home: Home, tmp_path: Path
) -> None:
    """A cron job has no XDG_RUNTIME_DIR; a link gives the data folder another name."""
    here = await wiring.connect(host="terminal")
    try:
        with running("command", XDG_RUNTIME_DIR=None) as cron:
            assert await said(cron) == ("SocketClient", os.getpid())
        link = tmp_path / "link"
        link.symlink_to(os.environ["ARCANUM_HOME"])
        with running("command", ARCANUM_HOME=str(link)) as other:
            assert await said(other) == ("SocketClient", os.getpid())
    finally:
        await here.close()


@pytest.mark.parametrize("left_behind", ["socket", "file", "nothing"])
async def test_what_a_dead_engine_left_is_no_hindrance(home: Home, left_behind: str) -> None:
    home.prepare()
    if left_behind == "socket":
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(home.socket))
    elif left_behind == "file":
        home.socket.write_text("not a socket")
    here = await wiring.connect(host="terminal")
    assert isinstance(here, LocalClient)
    attached = await wiring.attach(home)
    assert isinstance(attached, SocketClient)
    await attached.close()
    await here.close()


@pytest.mark.parametrize(
    "text", [b"", b"/nowhere.sock", b"relative", b"/\0", b"\xff\xfe", b"/" + b"x" * 5000]
)
async def test_whatever_the_lock_file_says_an_engine_is_found_or_made(
    home: Home, text: bytes
) -> None:
    home.prepare()
    home.lock_file.write_bytes(text)
    here = await wiring.connect(host="terminal")
    assert isinstance(here, LocalClient)
    assert EngineLock.announced(home.lock_file) == home.socket
    await here.close()


async def test_a_lock_that_is_held_by_a_silent_process_is_named(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wiring, "_WAIT_S", 0.2)
    home.prepare()
    lock = EngineLock.take(home.lock_file)
    assert lock is not None
    try:
        with pytest.raises(Unavailable, match=r"holds .*engine\.lock, but does not answer"):
            await wiring.connect(host="command")
    finally:
        lock.release()


async def test_a_host_that_hangs_is_named(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.clients.socket._HELLO_WITHIN_S", 0.3)
    with running() as process:
        await said(process)
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(Unavailable, match="does not answer") as caught:
            await wiring.connect(host="command")
        assert "end that process" in caught.value.hint
        process.send_signal(signal.SIGCONT)
        attached = await wiring.connect(host="command")
        assert await pid_behind(attached) == process.pid
        await attached.close()


async def test_the_lock_belongs_to_one_and_is_given_back(home: Home) -> None:
    home.prepare()
    lock = EngineLock.take(home.lock_file)
    assert lock is not None
    assert EngineLock.take(home.lock_file) is None
    lock.release()
    again = EngineLock.take(home.lock_file)
    assert again is not None
    again.release()


async def test_a_child_process_does_not_inherit_the_lock(home: Home) -> None:
    home.prepare()
    lock = EngineLock.take(home.lock_file)
    assert lock is not None
    child = subprocess.Popen(["sleep", "30"], close_fds=False)
    try:
        lock.release()
        again = EngineLock.take(home.lock_file)
        assert again is not None
        again.release()
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize("break_it", ["config", "database", "socket"])
async def test_an_engine_that_cannot_start_gives_the_lock_back(home: Home, break_it: str) -> None:
    home.prepare()
    error: type[ArcanumError]
    if break_it == "config":
        broken, error = home.config_file, ConfigInvalid
        broken.write_text("nonsense = 1")
    elif break_it == "database":
        broken, error = home.state_file, StoreFailed
        broken.write_text("this is no database, and long enough to be one")
    else:
        broken, error = home.socket, Unavailable
        broken.mkdir()
    with pytest.raises(error):
        await wiring.connect(host="command")
    broken.rmdir() if broken.is_dir() else broken.unlink()
    async with asyncio.timeout(5):
        here = await wiring.connect(host="command")
    assert isinstance(here, LocalClient)
    await here.close()
