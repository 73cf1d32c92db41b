"""The process that asks torrent clients, against servers that speak as they do, or do not."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from engine.media.source.clients.link import is_local
from engine.media.source.clients.places import Places
from engine.media.source.clients.torrent import Held, Torrent
from engine.media.source.polling import MODULE
from engine.worker import frames
from tests.unit.media.source.servers import HASH, SERVERS, Asked, Fake, QBittorrent, Server, head

KINDS = sorted(SERVERS)


async def ask(kind: str, url: str, **values: Any) -> list[dict[str, Any]]:
    """All that the process says; it says nothing of secrets and ends by itself."""
    command = {
        "kind": kind,
        "url": url,
        "user": "",
        "password": "",
        "anywhere": False,
        "seconds": 1.0,
        "paths": [],
        "known": {},
        **values,
    }
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", MODULE),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "http_proxy": "http://127.0.0.1:1", "all_proxy": "http://127.0.0.1:1"},
    )
    out, errors = await child.communicate(frames.encode(command))
    assert (child.returncode, errors) == (0, b"")
    assert b"hunter2" not in out
    found = []
    while out:
        size = frames.size_of(out[:4])
        found.append(json.loads(out[4 : 4 + size]))
        out = out[4 + size :]
    return found


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def show(tmp_path: Path) -> Fake:
    """Two files of a torrent, of which one is there."""
    (tmp_path / "Show").mkdir()
    (tmp_path / "Show" / "e1.mkv").write_bytes(b"x" * 70)
    files = {"Show/e1.mkv": (70, True), "Show/e2.mkv": (30, True)}
    return Fake(folder=str(tmp_path), files=files)


async def test_torrents_are_told_with_their_files(kind: str, show: Fake, tmp_path: Path) -> None:
    async with SERVERS[kind]([show], "me", "hunter2").running() as server:
        told, files, done = await ask(kind, server.url, user="me", password="hunter2")
    assert done == {"k": "done", "torrents": 1}
    torrent = told["torrent"]
    assert torrent.pop("version")
    assert torrent == {
        "infohash": HASH,
        "name": "Show",
        "state": "seeding",
        "tracker": "tracker.example",
        "category": "tv" if kind == "qbittorrent" else "",
        "labels": "a, b",
        "ratio": 1.25,
        "seeding_s": 7200,
        "private": True,
        "added_s": 1795921494,
    }
    status = (tmp_path / "Show" / "e1.mkv").stat()
    assert files["rows"] == [
        [str(tmp_path / "Show" / "e1.mkv"), 70, 0, status.st_dev, status.st_ino],
        [str(tmp_path / "Show" / "e2.mkv"), 30, 1, 0, 0],
    ]


async def test_files_that_are_known_are_not_asked_for(kind: str, show: Fake) -> None:
    async with SERVERS[kind]([show]).running() as server:
        first = await ask(kind, server.url)
        known = {HASH: first[0]["torrent"]["version"]}
        server.asked.clear()
        again = await ask(kind, server.url, known=known)
        assert [frame["k"] for frame in again] == ["torrent", "done"]
        assert again[0]["same"] is True
        assert not any(b"files" in asked.body or "files" in asked.path for asked in server.asked)
        show.folder += "/moved"
        moved = await ask(kind, server.url, known=known)
        assert moved[0]["same"] is False


async def test_a_new_qbittorrent_is_asked_less(show: Fake) -> None:
    server = QBittorrent([show])
    server.modern = True
    async with server.running():
        told, *_rest = await ask("qbittorrent", server.url)
    assert (told["torrent"]["tracker"], told["torrent"]["private"]) == ("tracker.example", True)
    assert not any("trackers" in asked.path for asked in server.asked)


@pytest.mark.parametrize("password", ["wrong", ""])
async def test_a_wrong_password_is_said_with_what_to_do(
    kind: str, show: Fake, password: str
) -> None:
    async with SERVERS[kind]([show], "me", "hunter2").running() as server:
        user = "me" if password else ""
        [failed] = await ask(kind, server.url, user=user, password=password)
    assert failed["message"].startswith("it refuses the user")
    assert "password_env" in failed["hint"]


# --- what is no client --------------------------------------------------------------------------


async def _end(writer: asyncio.StreamWriter, status: int, body: bytes, **headers: str) -> bool:
    named = {
        "Content-Length": str(len(body)),
        **{k.replace("_", "-"): v for k, v in headers.items()},
    }
    writer.write(head(status, named) + body)
    await writer.drain()
    return True


def answers(status: int, body: bytes, **headers: str) -> Callable[..., Awaitable[bool]]:
    async def misbehave(writer: asyncio.StreamWriter, _asked: Asked) -> bool:
        return await _end(writer, status, body, **headers)

    return misbehave


async def endless(writer: asyncio.StreamWriter, _asked: Asked) -> bool:
    writer.write(head(200, {}) + b"[")
    while True:
        writer.write(b"1," * 500_000)
        await writer.drain()


async def silent(_writer: asyncio.StreamWriter, _asked: Asked) -> bool:
    await asyncio.Event().wait()
    return True


async def garbled(writer: asyncio.StreamWriter, _asked: Asked) -> bool:
    writer.write(b"\xff\x00 nonsense\r\n" * 3)
    await writer.drain()
    return True


async def gone(_writer: asyncio.StreamWriter, _asked: Asked) -> bool:
    return True


@pytest.mark.parametrize(
    ("misbehave", "message"),
    [
        (answers(200, b"<html>hunter2</html>"), "did not answer in JSON"),
        (answers(200, b"[" * 1_000_000), "did not answer in JSON"),
        (answers(200, b"[5]"), "something else|did not do"),
        (answers(200, b'{"result": "success", "arguments": {"torrents": 5}}'), "something else"),
        (
            answers(200, b'[{"hash": "../x"}]'),
            "without an info hash|did not do",
        ),
        (answers(302, b"", Location="http://169.254.169.254/hunter2"), "HTTP status 302"),
        (answers(500, b"hunter2"), "HTTP status 500"),
        (endless, "larger than 64 MiB"),
        (silent, "does not answer"),
        (garbled, "does not speak HTTP"),
        (gone, "connection|HTTP"),
    ],
)  # fmt: skip
async def test_what_answers_otherwise_costs_a_line(
    kind: str, misbehave: Callable[..., Awaitable[bool]], message: str
) -> None:
    server: Server = SERVERS[kind](misbehave=misbehave)
    async with server.running():
        *_told, failed = await ask(kind, server.url)
    assert failed["k"] == "failed"
    assert re.search(message, failed["message"])


async def test_a_torrent_with_long_paths_fits_into_frames(kind: str, tmp_path: Path) -> None:
    files = {f"{'☃' * 1000}/{number}": (5, True) for number in range(1500)}
    async with SERVERS[kind]([Fake(str(tmp_path), files)]).running() as server:
        told = await ask(kind, server.url)
    rows = [row for frame in told if frame["k"] == "files" for row in frame["rows"]]
    assert len(rows) == 1500


async def test_nobody_outside_is_asked(kind: str) -> None:
    [failed] = await ask(kind, "http://192.0.2.1.invalid:80")
    assert failed["message"] == "its host is not known"
    [failed] = await ask(kind, "http://8.8.8.8:80")
    assert failed["message"] == "8.8.8.8 is not in the local network"
    assert "anywhere = true" in failed["hint"]
    [failed] = await ask(kind, "http://127.0.0.1:1")
    assert failed["message"] == "Connection refused"


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("192.168.1.5", True),
        ("10.0.0.1", True),
        ("fd00::1", True),
        ("fe80::1%eth0", True),
        ("::ffff:192.168.1.5", True),
        ("::ffff:8.8.8.8", False),
        ("8.8.8.8", False),
        ("2606:4700::1111", False),
        ("0.0.0.0", False),
    ],
)
def test_what_the_local_network_is(address: str, *, local: bool) -> None:
    assert is_local(address) is local


# --- where its files are ------------------------------------------------------------------------


def test_folders_are_mapped_by_the_longest_that_fits() -> None:
    places = Places(
        [["/downloads", "/srv/torrents"], ["/downloads/tv/", "/mnt/tv/"], ["D:\\dl", "/win"]]
    )
    assert places.ours("/downloads") == "/srv/torrents"
    assert places.ours("/downloads/films/x") == "/srv/torrents/films/x"
    assert places.ours("/downloads/tv/x") == "/mnt/tv/x"
    assert places.ours("/downloads-old/x") == "/downloads-old/x"
    assert places.ours("D:\\dl\\x") == "/win/x"
    assert places.ours("/elsewhere/") == "/elsewhere"
    assert Places([["/", "/mnt"]]).ours("/a") == "/mnt/a"


def torrent(folder: Path) -> Torrent:
    return Torrent(HASH, "Show", "seeding", [str(folder)], HASH, "1")


def test_what_a_client_says_leads_nowhere_else(tmp_path: Path) -> None:
    places = Places([])
    for name in ("../x", "/etc/passwd", "a/../../x", "", "a//b", "."):
        assert places.row(torrent(tmp_path), Held(name, 1, whole=True)) is None
    for name in ("x" * 300, "\ud800"):
        row = places.row(torrent(tmp_path), Held(name, 1, whole=True))
        assert row is not None
        assert row[2] == 2


def test_a_file_that_is_not_whole_is_found_under_its_other_name(tmp_path: Path) -> None:
    (tmp_path / "a.mkv.!qB").write_bytes(b"x")
    (tmp_path / "b.mkv.part").write_bytes(b"x")
    (tmp_path / "c.mkv").write_bytes(b"x")
    for name, suffix in (("a.mkv", ".!qB"), ("b.mkv", ".part"), ("c.mkv", "")):
        row = Places([]).row(torrent(tmp_path), Held(name, 99, whole=False))
        assert row is not None
        assert row[:3] == [str(tmp_path / name) + suffix, 1, 0]
        whole = Places([]).row(torrent(tmp_path), Held(name, 99, whole=True))
        assert whole is not None
        assert whole[2] == 1
