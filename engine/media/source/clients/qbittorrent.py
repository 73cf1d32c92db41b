"""qBittorrent's Web API, version 2."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote, urlencode

from engine.media.source.clients.link import Answer, Link
from engine.media.source.clients.torrent import (
    MOST_FILES,
    MOST_TORRENTS,
    ClientError,
    Held,
    Torrent,
    infohash,
    number,
    parsed,
    path,
    ratio,
    rows,
    text,
    tracker,
    version,
)

_STATES = {
    "seeding": ("uploading", "stalledUP", "queuedUP", "forcedUP"),
    "paused": ("pausedUP", "pausedDL", "stoppedUP", "stoppedDL"),
    "downloading": (
        *("downloading", "metaDL", "forcedMetaDL", "stalledDL", "queuedDL", "forcedDL"),
        "allocating",
    ),
    "checking": ("checkingUP", "checkingDL", "checkingResumeData", "moving"),
    "failing": ("error", "missingFiles"),
}
_STATE = {told: state for state, all_of_it in _STATES.items() for told in all_of_it}


class QBittorrent:
    """Without a user it is asked as who stands in front of it: it may let this machine in."""

    def __init__(self, link: Link, user: str, password: str) -> None:
        self._link, self._user, self._password = link, user, password
        self._cookie = ""

    def torrents(self) -> Iterator[Torrent]:
        if self._user:
            self._login()
        found = parsed(self._get("torrents/info").body)
        for row in rows(found, MOST_TORRENTS):
            save, partial = path(row, "save_path"), path(row, "download_path")
            whole = row.get("progress") == 1
            told = (save, partial, whole, row.get("name"), row.get("total_size"))
            yield Torrent(
                infohash=infohash(row, "hash"),
                name=text(row, "name"),
                state=_STATE.get(str(row.get("state")), "unknown"),
                folders=[save] if whole or not partial else [partial, save],
                asked=row["hash"],
                version=version(told, row.get("content_path"), row.get("completion_on")),
                tracker=tracker(row.get("tracker")),
                category=text(row, "category"),
                labels=text(row, "tags"),
                ratio=ratio(row, "ratio"),
                seeding_s=number(row, "seeding_time"),
                private=row["private"] if isinstance(row.get("private"), bool) else None,
                added_s=number(row, "added_on"),
            )

    def files(self, torrent: Torrent) -> list[Held]:
        asked = quote(str(torrent.asked), safe="")
        if not torrent.tracker or torrent.private is None:
            self._complete(torrent, asked)
        found = parsed(self._get(f"torrents/files?hash={asked}").body)
        return [
            Held(path(row, "name"), number(row, "size"), row.get("progress") == 1)
            for row in rows(found, MOST_FILES)
        ]

    def _complete(self, torrent: Torrent, asked: str) -> None:
        """What older versions do not tell in the list. The first entries stand for DHT and such."""
        found = parsed(self._get(f"torrents/trackers?hash={asked}").body)
        listed = rows(found, MOST_FILES)
        named = (tracker(row.get("url")) for row in listed)
        torrent.tracker = torrent.tracker or next((host for host in named if host), "")
        if torrent.private is None and (first := listed[:1]):
            pseudo = str(first[0].get("url", "")).startswith("** [")
            torrent.private = "private" in str(first[0].get("msg", "")) if pseudo else None

    def _login(self) -> None:
        form = urlencode({"username": self._user, "password": self._password}).encode()
        answer = self._link.request(
            *("POST", f"{self._link.base}/api/v2/auth/login", form),
            Content_Type="application/x-www-form-urlencoded",
            Referer=self._link.origin,
        )
        if answer.status == 403:
            raise ClientError(
                "it refuses this machine after too many wrong passwords",
                "Correct the password; it lets this machine in again after a while.",
            )
        if answer.status not in {200, 204} or answer.body.strip() not in {b"Ok.", b""}:
            _refuse(answer)
        self._cookie = answer.headers.get("set-cookie", "").partition(";")[0]

    def _get(self, what: str) -> Answer:
        headers = {"Cookie": self._cookie} if self._cookie else {}
        answer = self._link.request("GET", f"{self._link.base}/api/v2/{what}", None, **headers)
        if answer.status != 200:
            _refuse(answer)
        return answer


def _refuse(answer: Answer) -> None:
    if answer.status in {200, 401, 403}:
        raise ClientError(
            "it refuses the user or the password",
            "Set `username`, and `password_env` or `password_file`, for this client.",
        )
    raise ClientError(f"it answered with HTTP status {answer.status}", "Is `url` right?")
