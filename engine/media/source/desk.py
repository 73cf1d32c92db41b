"""The part of the media room that tells where files came from, and asks torrent clients."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from engine.config import MediaConfig
from engine.contract import media
from engine.contract.base import Empty
from engine.contract.call import Call
from engine.contract.errors import NotFound
from engine.contract.holding import Holders
from engine.contract.origins import Origins
from engine.contract.ports import Concern, Door
from engine.contract.sources import AskSources, SourceReport, TorrentClients
from engine.media.catalogue import Stored
from engine.media.source.arriving import Arriving
from engine.media.source.asking import Sources
from engine.media.source.book import Book
from engine.media.source.holding import Holding
from engine.media.source.polling import Clients, Pace
from engine.media.source.torrents import Torrents
from engine.media.survey.process import Target
from engine.store import Database


class SourceDesk:
    """``libraries``: those that there are, by id. ``look``: looks into a file now. ``pace`` is for
    tests."""

    def __init__(
        self,
        database: Database,
        libraries: Callable[[], Mapping[int, Stored]],
        look: Callable[[Stored, Target], Awaitable[None]],
        settings: MediaConfig,
        pace: Pace | None = None,
    ) -> None:
        self._db = database
        self.sources = Sources(database, libraries, look)
        self._book = Book(database)
        self._clients = Clients(
            Torrents(database, libraries),
            settings.clients,
            pace or Pace(every=settings.client_minutes * 60),
        )

    async def start(self, door: Door) -> None:
        """Raises StoreFailed."""
        await self._book.forget_old()
        await self._clients.start()
        door.unary(media.SOURCES, self._tell)
        door.unary(media.CLIENTS, self._list)
        door.unary(media.ASK_CLIENTS, self._ask)

    async def stop(self) -> None:
        await self._clients.stop()

    def concerns(self) -> list[Concern]:
        return self._clients.concerns()

    def origins(self, library: Callable[[str], int]) -> Origins:
        """For other rooms, as ``holders``."""
        return Arriving(self._db, library)

    def holders(self, library: Callable[[str], int]) -> Holders:
        """For other rooms. ``library``: the id of one by its name; raises NotFound."""
        return Holding(self._db, library, self._clients)

    async def _tell(self, request: AskSources, _call: Call) -> SourceReport:
        return await self.sources.tell(request)

    async def _list(self, _request: Empty, _call: Call) -> TorrentClients:
        return TorrentClients(clients=self._clients.states)

    async def _ask(self, _request: Empty, _call: Call) -> TorrentClients:
        states = await self._clients.ask()
        if not states:
            raise NotFound(
                "No torrent client is configured.", "Add [[media.clients]] to config.toml."
            )
        return TorrentClients(clients=states)
