"""The process that asks one client, once: ``python -m engine.media.source.clients.asker``.

The command comes as a frame on stdin: kind, url, user, password, anywhere, seconds, paths, and
``known``: versions by info hash of torrents whose files need not be told again. Answers:
``torrent`` (``same``: its files are those of before), ``files`` (as ``Places.row`` has them),
``done``, or ``failed``.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

from engine.media.source.clients.link import Link
from engine.media.source.clients.places import Places
from engine.media.source.clients.qbittorrent import QBittorrent
from engine.media.source.clients.torrent import Client, ClientError, Torrent
from engine.media.source.clients.transmission import Transmission
from engine.worker import frames
from engine.worker.child import Output, be_quiet
from engine.worker.frames import Frame
from engine.worker.limits import limit

_MEMORY_MIB = 1024
_OPEN_FILES = 32
_TOGETHER = 100_000
"""Characters of the paths in one frame."""

_KINDS: dict[str, Callable[[Link, str, str], Client]] = {
    "qbittorrent": QBittorrent,
    "transmission": Transmission,
}


def _ask(command: Frame, output: Output) -> int:
    link = Link(command["url"], command["seconds"], anywhere=command["anywhere"])
    client = _KINDS[command["kind"]](link, command["user"], command["password"])
    places, known = Places(command["paths"]), command["known"]
    count = 0
    for torrent in client.torrents():
        same = known.get(torrent.infohash) == torrent.version
        rows = [] if same else _rows(client, torrent, places)
        output.send({"k": "torrent", "torrent": torrent.frame(), "same": same})
        for together in _parts(rows):
            output.send({"k": "files", "rows": together})
        count += 1
    return count


def _rows(client: Client, torrent: Torrent, places: Places) -> list[list[Any]]:
    found = (places.row(torrent, held) for held in client.files(torrent))
    return [row for row in found if row is not None]


def _parts(rows: list[list[Any]]) -> Iterator[list[list[Any]]]:
    """The rows in parts that fit into a frame, however long the paths are."""
    part: list[list[Any]] = []
    length = 0
    for row in rows:
        part.append(row)
        length += len(row[0]) + 100
        if length >= _TOGETHER:
            yield part
            part, length = [], 0
    if part:
        yield part


def main() -> None:
    be_quiet()
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # A client that hangs up is no end of this.
    limit(_MEMORY_MIB, _OPEN_FILES)
    output = Output()
    command = frames.read(sys.stdin.buffer)
    if command is None:
        return
    try:
        output.send({"k": "done", "torrents": _ask(command, output)})
    except ClientError as error:
        output.send({"k": "failed", "message": str(error), "hint": error.hint})
    except MemoryError:
        output.send({"k": "failed", "message": "its answer takes too much memory", "hint": ""})


if __name__ == "__main__":
    main()
