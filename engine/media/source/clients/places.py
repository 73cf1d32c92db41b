"""Where a torrent's files are on this machine: a client in a container says other paths."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any

from engine.media.source.clients.torrent import Held, Torrent
from engine.worker.numbers import signed

THERE, MISSING, HIDDEN = 0, 1, 2
_GONE = (FileNotFoundError, NotADirectoryError)
_PARTIAL = ("", ".part", ".!qB")
_DRIVE = re.compile(r"[A-Za-z]:[/\\]")


class Places:
    """``mapped``: pairs of a folder as the client says it and as it is here."""

    def __init__(self, mapped: Sequence[Sequence[str]]) -> None:
        pairs = [(_plain(theirs), ours.rstrip("/")) for theirs, ours in mapped]
        self._mapped = sorted(pairs, key=lambda pair: -len(pair[0]))

    def ours(self, folder: str) -> str:
        """The folder as this machine calls it."""
        plain = _plain(folder)
        for theirs, ours in self._mapped:
            if plain == theirs or plain.startswith(theirs + "/"):
                return (ours + plain[len(theirs) :]) or "/"
        return plain

    def row(self, torrent: Torrent, held: Held) -> list[Any] | None:
        """path, size, whether it is there, dev, ino. None for what no client calls a file.

        One that is not whole yet may lie elsewhere, and have another name and size.
        """
        parts = held.path.replace("\\", "/").split("/") if held.path else []
        folders = [folder for folder in torrent.folders if folder]
        if not parts or not folders or any(part in {"", ".", ".."} for part in parts):
            return None
        below = "/".join(parts)
        places = [f"{self.ours(folder)}/{below}" for folder in folders]
        for place in places:
            for suffix in ("",) if held.whole else _PARTIAL:
                try:
                    status = os.stat(place + suffix)
                except _GONE:
                    continue
                except (OSError, ValueError):
                    return [place, held.size, HIDDEN, 0, 0]
                if status.st_size == held.size or not held.whole:
                    found = [THERE, signed(status.st_dev), signed(status.st_ino)]
                    return [place + suffix, status.st_size, *found]
        return [places[-1], held.size, MISSING, 0, 0]


def _plain(folder: str) -> str:
    slashed = folder.replace("\\", "/") if _DRIVE.match(folder) else folder
    return slashed.rstrip("/")
