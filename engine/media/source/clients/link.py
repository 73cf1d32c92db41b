"""HTTP to one client: bounded, to an address that was looked at, without redirects or proxies."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from http.client import HTTPConnection, HTTPException
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from engine.media.source.clients.torrent import ClientError

MOST_BYTES = 64 * 1024**2
"""Of one answer: a hundred thousand torrents fit."""


_Address = tuple[int, Any]


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    """By their names in lower case; of one that comes again the last."""
    body: bytes


class Link:
    """``url``: http or https. ``seconds``: how long it may be silent. ``anywhere``: it may lie
    outside of the local network. Raises ClientError."""

    def __init__(self, url: str, seconds: float, *, anywhere: bool) -> None:
        parts = urlsplit(url)
        self._host, self._tls = parts.hostname or "", parts.scheme == "https"
        self._port = parts.port or (443 if self._tls else 80)
        self.base = parts.path.rstrip("/")
        self.origin = f"{parts.scheme}://{parts.netloc}"
        self._seconds, self._anywhere = seconds, anywhere
        self._connection: HTTPConnection | None = None

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """One request; once more on a new connection where a kept one was closed meanwhile."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        kept = self._connection is not None
        try:
            return self._request(method, path, body, named)
        except (ConnectionError, HTTPException, TimeoutError, OSError) as error:
            self.close()
            if not kept or isinstance(error, TimeoutError):
                raise ClientError(*_words(error)) from error
        try:
            return self._request(method, path, body, named)
        except (ConnectionError, HTTPException, TimeoutError, OSError) as error:
            raise ClientError(*_words(error)) from error

    def _request(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> Answer:
        if self._connection is None:
            self._connection = self._connect()
        self._connection.request(method, path, body, {"Accept-Encoding": "identity", **headers})
        response = self._connection.getresponse()
        found = response.read(MOST_BYTES + 1)
        if len(found) > MOST_BYTES:
            raise ClientError("its answer is larger than 64 MiB")
        if response.will_close:
            self.close()
        told = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, told, found)

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _connect(self) -> HTTPConnection:
        """To an address that was looked at: the name is asked for once, and not again."""
        found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        addresses: list[_Address] = [(family, at) for family, *_rest, at in found]
        if not self._anywhere:
            for _family, at in addresses:
                if not is_local(str(at[0])):
                    raise ClientError(
                        f"{self._host} is not in the local network",
                        "Where it may be asked all the same, set `anywhere = true` for it.",
                    )
        connection = HTTPConnection(self._host, self._port, timeout=self._seconds)
        connection.sock = self._open(addresses)
        connection.auto_open = 0  # It would ask for the name again.
        return connection

    def _open(self, addresses: list[_Address]) -> socket.socket:
        problem: OSError = OSError("it has no address")
        for family, at in addresses:
            opened = socket.socket(family, socket.SOCK_STREAM)
            opened.settimeout(self._seconds)
            try:
                opened.connect(at)
                if self._tls:
                    secure = ssl.create_default_context()
                    return secure.wrap_socket(opened, server_hostname=self._host)
            except OSError as error:
                opened.close()
                problem = error
            else:
                return opened
        raise problem


def is_local(address: str) -> bool:
    """Loopback, or a network that the internet does not reach."""
    found = ipaddress.ip_address(address.partition("%")[0])
    plain = getattr(found, "ipv4_mapped", None) or found
    return plain.is_loopback or plain.is_link_local or (plain.is_private and not _is_any(plain))


def _is_any(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return address.is_unspecified or address.is_reserved


def _words(error: Exception) -> tuple[str, str]:
    hint = "Does it run, and are `url` and port right?"
    if isinstance(error, TimeoutError):
        return "it does not answer", hint
    if isinstance(error, ssl.SSLError):
        return f"no secure connection: {error.reason or 'refused'}", "Is its certificate valid?"
    if isinstance(error, socket.gaierror):
        return "its host is not known", "Is `url` right?"
    if isinstance(error, OSError):
        return error.strerror or str(error) or "the connection broke", hint
    return "it does not speak HTTP as it should", hint
