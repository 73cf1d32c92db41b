"""Looks for folders and model servers that could be used. It reads names, and changes nothing."""

from __future__ import annotations

import asyncio
import itertools
import os
from pathlib import Path

from engine.contract import discovery
from engine.contract.base import Empty, PathRef, visible
from engine.contract.call import Call
from engine.contract.discovery import Found, FoundFolder, FoundModel
from engine.contract.ports import Catalogue
from engine.ground import Ground

_SETTING = "discovery.asked"
# The usual names of media folders, in the home folder and in the places where people mount disks.
_NAMES = frozenset(
    {
        "videos",
        "movies",
        "films",
        "music",
        "pictures",
        "photos",
        "series",
        "tv",
        "media",
        "downloads",
    }
)
_PLACES = ("/media", "/mnt", "/srv", "/data", "/Volumes")
_MOST = 12
_MOST_ENTRIES = 10_000


class DiscoveryRoom:
    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._catalogue = ground.use(Catalogue)  # type: ignore[type-abstract]

    async def start(self) -> None:
        self._ground.door.unary(discovery.LOOK, self._look)
        self._ground.door.unary(discovery.ANSWER, self._answer)

    async def stop(self) -> None:
        """Nothing to end."""

    async def _look(self, _request: Empty, _call: Call) -> Found:
        known = {library.path.data for library in await self._catalogue.libraries()}
        folders, choices, asked = await asyncio.gather(
            asyncio.to_thread(_folders, known),
            self._ground.models.discover(),
            self._ground.settings.get(_SETTING),
        )
        return Found(
            asked=asked is not None,
            folders=tuple(folders),
            models=tuple(
                FoundModel(
                    name=choice.name,
                    description=visible(choice.description),
                    endpoint=visible(choice.endpoint),
                )
                for choice in choices
            ),
        )

    async def _answer(self, request: discovery.Answer, call: Call) -> Found:
        await self._ground.settings.put(_SETTING, request.model_dump(mode="json"))
        return await self._look(Empty(), call)


def _folders(known: set[bytes]) -> list[FoundFolder]:
    """Folders with one of the usual names and something in them."""
    found: list[FoundFolder] = []
    for folder in _candidates():
        if os.fsencode(folder) in known or len(found) == _MOST:
            continue
        try:
            with os.scandir(folder) as entries:
                count = sum(1 for _ in itertools.islice(entries, _MOST_ENTRIES))
        except OSError:
            continue  # Not readable: nothing to offer.
        if count:
            found.append(
                FoundFolder(
                    path=PathRef.of(folder), name=visible(folder.name.lower()), entries=count
                )
            )
    return found


def _candidates() -> list[Path]:
    places = [Path.home()]
    for place in map(Path, _PLACES):
        places += [place, *_children(place)]
    return [child for place in places for child in _children(place) if child.name.lower() in _NAMES]


def _children(place: Path) -> list[Path]:
    try:
        with os.scandir(place) as entries:
            return sorted(
                Path(entry.path)
                for entry in itertools.islice(entries, _MOST_ENTRIES)
                if entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".")
            )
    except OSError:
        return []
