"""The same of the programs themselves, with a torrent that is made here and never leaves."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest

from tests.unit.media.house import write
from tests.unit.media.source.test_clients import ask

KEY = "0123456789abcdef0123456789abcdef"
SIZES = {"e1.mkv": 70_000, "e2.mkv": 30_000}
_PIECE = 32_768


def bencoded(value: Any) -> bytes:
    match value:
        case int():
            return b"i%de" % value
        case str():
            return bencoded(value.encode())
        case bytes():
            return b"%d:%s" % (len(value), value)
        case list():
            return b"l" + b"".join(map(bencoded, value)) + b"e"
    return b"d" + b"".join(bencoded(k) + bencoded(v) for k, v in sorted(value.items())) + b"e"


@pytest.fixture
def torrent(tmp_path: Path) -> tuple[Path, str]:
    """A private torrent of two files that are there, and its info hash."""
    content = b""
    for name, size in SIZES.items():
        data = os.urandom(size)
        write(tmp_path / "down" / "Show" / name, data)
        content += data
    pieces = (content[at : at + _PIECE] for at in range(0, len(content), _PIECE))
    info = {
        "name": "Show",
        "private": 1,
        "piece length": _PIECE,
        "pieces": b"".join(hashlib.sha1(piece).digest() for piece in pieces),
        "files": [{"length": size, "path": [name]} for name, size in SIZES.items()],
    }
    file = tmp_path / "show.torrent"
    file.write_bytes(bencoded({"announce": f"http://127.0.0.1:9/{KEY}/announce", "info": info}))
    return file, hashlib.sha1(bencoded(info)).hexdigest()


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port


@contextmanager
def running(command: list[str], url: str) -> Iterator[None]:
    """The program, once it answers; ended at the end."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 30
        while not _answers(url):
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.05)
        yield
    finally:
        process.kill()
        process.wait()


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=5):
            return True
    except URLError as error:  # What it answers matters not.
        return hasattr(error, "code")
    except OSError:
        return False


async def whole(kind: str, url: str, **values: Any) -> list[dict[str, Any]]:
    """What is told once the client has checked the files that it was given."""
    end = time.monotonic() + 30
    while True:
        told = await ask(kind, url, **values)
        if told[0]["k"] == "torrent" and told[0]["torrent"]["state"] == "seeding":
            return told
        assert time.monotonic() < end, told


def agrees(told: list[dict[str, Any]], infohash: str, folder: Path) -> None:
    torrent, files, done = told
    assert done["torrents"] == 1
    row = torrent["torrent"]
    assert (row["infohash"], row["name"], row["tracker"]) == (infohash, "Show", "127.0.0.1")
    assert row["private"] is True
    assert row["version"]
    assert row["added_s"] == pytest.approx(time.time(), abs=120)
    expected = []
    for name, size in SIZES.items():
        status = (folder / "Show" / name).stat()
        expected.append([str(folder / "Show" / name), size, 0, status.st_dev, status.st_ino])
    assert files["rows"] == expected
    assert KEY not in str(told)


@pytest.mark.system("transmission-daemon")
async def test_transmission_is_understood(tmp_path: Path, torrent: tuple[Path, str]) -> None:
    file, infohash = torrent
    port, folder = free_port(), tmp_path / "down"
    url = f"http://127.0.0.1:{port}"
    command = [
        *("transmission-daemon", "--foreground", "--config-dir", str(tmp_path / "conf")),
        *("--port", str(port), "--rpc-bind-address", "127.0.0.1", "--allowed", "127.0.0.1"),
        *("--bind-address-ipv4", "127.0.0.1", "--peerport", str(free_port())),
        *("--no-portmap", "--no-dht", "--no-lpd", "--no-utp", "--download-dir", str(folder)),
        *("--watch-dir", str(tmp_path), "--auth", "--username", "me", "--password", "hunter2"),
    ]
    with running(command, f"{url}/transmission/rpc"):
        told = await whole("transmission", url, user="me", password="hunter2")
        agrees(told, infohash, folder)
        [failed] = await ask("transmission", url, user="me", password="wrong")
        assert failed["message"].startswith("it refuses the user")
    assert file.exists() or file.with_name("show.torrent.added").exists()


@pytest.mark.system("qbittorrent-nox")
async def test_qbittorrent_is_understood(tmp_path: Path, torrent: tuple[Path, str]) -> None:
    file, infohash = torrent
    port, folder = free_port(), tmp_path / "down"
    url = f"http://127.0.0.1:{port}"
    settings = {
        "LegalNotice": {"Accepted": "true"},
        "BitTorrent": {"Session\\DHTEnabled": "false", "Session\\LSDEnabled": "false"},
        "Preferences": {
            "WebUI\\Address": "127.0.0.1",
            "WebUI\\Port": str(port),
            "WebUI\\LocalHostAuth": "false",
            "Connection\\UPnP": "false",
        },
    }
    written = "\n".join(
        f"[{section}]\n" + "\n".join(f"{key}={value}" for key, value in keys.items())
        for section, keys in settings.items()
    )
    write(tmp_path / "qBittorrent" / "config" / "qBittorrent.conf", written.encode())
    with running(["qbittorrent-nox", f"--profile={tmp_path}"], f"{url}/api/v2/app/version"):
        _add(url, file, folder)
        agrees(await whole("qbittorrent", url), infohash, folder)


def _add(url: str, file: Path, folder: Path) -> None:
    head = '--cut\r\nContent-Disposition: form-data; name="{}"{}\r\n\r\n'
    body = head.format("torrents", '; filename="show.torrent"').encode() + file.read_bytes()
    body += f"\r\n{head.format('savepath', '')}{folder}\r\n--cut--\r\n".encode()
    kind = {"Content-Type": "multipart/form-data; boundary=cut"}
    with urlopen(Request(f"{url}/api/v2/torrents/add", body, kind), timeout=10) as answer:
        assert answer.read() == b"Ok."
