"""What every act of this room begins with: the library, the remote, and a hash that both know."""

from __future__ import annotations

import os

from engine.contract.ports import Catalogue
from engine.ground import Ground
from engine.remotes import target
from engine.remotes.book import Book
from engine.remotes.rcd import Rcd
from engine.remotes.target import Target


class Reach:
    """Starts the media room only where a library is asked for."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.settings = ground.config.remotes
        self.rcd = Rcd(self.settings, ground.home.runtime)
        self.book = Book(ground.catalogue)

    async def catalogue(self) -> Catalogue:
        """Raises Unavailable."""
        await self.ground.door.ensure("media")
        return self.ground.use(Catalogue)  # type: ignore[type-abstract]

    async def apart(self, found: Target) -> None:
        """Raises Refused where it lies in a library, around one, or in our own folders."""
        libraries = await (await self.catalogue()).libraries()
        home = self.ground.home
        own = [os.fsencode(folder) for folder in (home.data, home.runtime)]
        target.apart(found, [library.path.data for library in libraries], own)

    def kind(self, found: Target) -> str:
        """The hash to compare by; "" where the remote has none."""
        return found.common(self.ground.config.media.hashes)

    def cheap(self, found: Target) -> str:
        """The same, where the remote tells it in a list."""
        return "" if found.slow_hash else self.kind(found)
