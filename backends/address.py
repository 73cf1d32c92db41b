"""Where a model server answers, and whether that is this machine."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from engine.contract.base import visible
from engine.contract.errors import Invalid


@dataclass(frozen=True, slots=True)
class Address:
    """``root``: the server's URL; ``api``: that of its OpenAI-compatible part, usually ``/v1``.

    With ``socket`` (a unix socket's path) the host in both URLs means nothing. ``local`` is False
    where a request could leave this machine.
    """

    root: str
    api: str
    label: str
    local: bool
    socket: str | None = None

    @classmethod
    def parse(cls, url: str) -> Address:
        """``http://host:port[/path]``, ``https://…`` or ``unix:/path``. Raises Invalid."""
        shown = visible(url)[:200]
        hint = "Expected http://host:port, https://host/v1 or unix:/path/to/socket."
        if url.startswith("unix:"):
            path = "/" + url.removeprefix("unix:").lstrip("/")
            if path == "/":
                raise Invalid(f"The model server's address {shown!r} names no socket", hint)
            return cls.unix(path)
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname or "", parts.port
        except ValueError as error:
            raise Invalid(f"The model server's address {shown!r} is not a URL", hint) from error
        if parts.scheme not in {"http", "https"} or not host or shown != url:
            raise Invalid(f"The model server's address {shown!r} is not a URL", hint)
        if parts.username is not None or parts.query or parts.fragment:
            raise Invalid(
                "The model server's address holds more than scheme, host, port and path",
                "Put a key into an environment variable and name that variable as key_env.",
            )
        base = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
        api = base if parts.path.strip("/") else f"{base}/v1"
        return cls(api.removesuffix("/v1"), api, base, _is_loopback(host))

    @classmethod
    def unix(cls, path: str) -> Address:
        """A server on a unix socket."""
        root = "http://localhost"
        return cls(root, f"{root}/v1", f"unix:{visible(path)}", local=True, socket=path)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
