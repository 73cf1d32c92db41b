"""Transmission's remote procedure calls."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

from engine.media.source.clients.link import Link
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

_SESSION = "X-Transmission-Session-Id"
_STATES = ("paused", "checking", "checking", "downloading", "downloading", "seeding", "seeding")
_LOCAL_ERROR = 3
_FIELDS = (
    *("hashString", "name", "downloadDir", "trackers", "isPrivate", "uploadRatio"),
    *("secondsSeeding", "status", "labels", "addedDate", "doneDate", "error", "leftUntilDone"),
    "totalSize",
)


class Transmission:
    def __init__(self, link: Link, user: str, password: str) -> None:
        self._link = link
        self._headers = {"Content_Type": "application/json"}
        if user:
            both = b64encode(f"{user}:{password}".encode()).decode("ascii")
            self._headers["Authorization"] = f"Basic {both}"
        self._path = link.base if link.base.endswith("/rpc") else f"{link.base}/transmission/rpc"
        self._partial = ""

    def torrents(self) -> Iterator[Torrent]:
        session = self._ask("session-get", {"fields": ["incomplete-dir", "incomplete-dir-enabled"]})
        if session.get("incomplete-dir-enabled") is True:
            self._partial = path(session, "incomplete-dir")
        found = self._ask("torrent-get", {"fields": [*_FIELDS]}).get("torrents")
        for row in rows(found, MOST_TORRENTS):
            hash_ = infohash(row, "hashString")
            folder, whole = path(row, "downloadDir"), row.get("leftUntilDone") == 0
            labels = row.get("labels")
            listed = [word for word in labels if isinstance(word, str)] if labels else []
            status, trackers = number(row, "status"), row.get("trackers")
            first = trackers[0] if isinstance(trackers, list) and trackers else {}
            state = _STATES[status] if status < len(_STATES) else "unknown"
            yield Torrent(
                infohash=hash_,
                name=text(row, "name"),
                state="failing" if row.get("error") == _LOCAL_ERROR else state,
                folders=[folder] if whole or not self._partial else [self._partial, folder],
                asked=row["hashString"],
                version=version(folder, whole, row.get("name"), row.get("totalSize")),
                tracker=tracker(first.get("announce") if isinstance(first, dict) else None),
                labels=text({"labels": ", ".join(listed[:50])}, "labels"),
                ratio=ratio(row, "uploadRatio"),
                seeding_s=number(row, "secondsSeeding"),
                private=row["isPrivate"] if isinstance(row.get("isPrivate"), bool) else None,
                added_s=number(row, "addedDate"),
            )

    def files(self, torrent: Torrent) -> list[Held]:
        arguments = {"ids": [torrent.asked], "fields": ["files"]}
        found = rows(self._ask("torrent-get", arguments).get("torrents"), 1)
        listed = rows(found[0].get("files"), MOST_FILES) if found else []
        return [
            Held(path(row, "name"), size, number(row, "bytesCompleted") == size)
            for row in listed
            for size in [number(row, "length")]
        ]

    def _ask(self, method: str, arguments: dict[str, Any]) -> dict[str, Any]:
        body = json.dumps({"method": method, "arguments": arguments}).encode()
        answer = self._link.request("POST", self._path, body, **self._headers)
        if answer.status == 409:
            # Its guard against web pages: what it names must be sent with every request.
            self._headers[_SESSION] = answer.headers.get(_SESSION.lower(), "")[:200]
            answer = self._link.request("POST", self._path, body, **self._headers)
        if answer.status in {401, 403}:
            raise ClientError(
                "it refuses the user, the password or this machine",
                "Set `username`, and `password_env` or `password_file`; see its rpc-whitelist.",
            )
        if answer.status != 200:
            raise ClientError(f"it answered with HTTP status {answer.status}", "Is `url` right?")
        told = parsed(answer.body)
        if not isinstance(told, dict) or told.get("result") != "success":
            raise ClientError("it did not do what it was asked", "Is `url` right?")
        found = told.get("arguments")
        return found if isinstance(found, dict) else {}
