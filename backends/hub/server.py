"""The hub's server: where a request may go, what goes with it, what a refusal means."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from backends.address import Address
from backends.connect import warm_up
from engine.contract.base import visible
from engine.contract.errors import ArcanumError, Invalid, NotFound, Unavailable

if TYPE_CHECKING:
    import httpx

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 5
AGAIN = "Start the download again: it carries on from what is there."


@dataclass(frozen=True, slots=True)
class HubPatience:
    """``tries`` in a row without headway; ``backoff_s`` doubles from one to the next.

    ``stall_s``: without a byte. ``most_wait_s``: that the hub may ask us to wait.
    """

    connect_s: float = 10.0
    stall_s: float = 30.0
    tries: int = 5
    backoff_s: float = 0.5
    most_wait_s: float = 30.0


class HubServer:
    """``token_env`` names the environment variable that holds the token.

    The token goes to ``base_url`` alone: never to where the hub redirects, never unencrypted over
    a network. Raises Invalid for an address that is none.
    """

    def __init__(
        self, base_url: str, token_env: str, environ: Mapping[str, str], patience: HubPatience
    ) -> None:
        self._address = Address.parse(base_url)
        self.base = base_url.rstrip("/")
        self.name = f"The hub ({self._address.label})"
        self._token_env = token_env
        self._environ = environ
        self._patience = patience

    @asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        await warm_up()
        import httpx

        patience = self._patience
        timeout = httpx.Timeout(patience.stall_s, connect=patience.connect_s)
        # A proxy is for the world outside. Reading certificates takes a while.
        client = await asyncio.to_thread(
            partial(httpx.AsyncClient, timeout=timeout, trust_env=not self._address.local)
        )
        async with client:
            yield client

    @asynccontextmanager
    async def opened(
        self, client: httpx.AsyncClient, url: str, headers: Mapping[str, str]
    ) -> AsyncIterator[httpx.Response]:
        """The response at the end of all redirects, not read yet."""
        import httpx

        at = httpx.URL(url)
        for _ in range(_MOST_REDIRECTS + 1):
            request = client.build_request("GET", at, headers={**headers, **self._secret(at)})
            response = await client.send(request, stream=True)
            try:
                if response.status_code not in _REDIRECTS:
                    yield response
                    return
                at = self._next(at, response.headers.get("location", ""))
            finally:
                await response.aclose()
        raise Unavailable(f"{self.name} redirects without end.", "Try again later.")

    def _next(self, at: httpx.URL, location: str) -> httpx.URL:
        """Where a redirect leads. Raises Unavailable where it must not be followed."""
        import httpx

        try:
            to = at.join(location)
            safe = to.scheme == "https" or (_is_loopback(at) and _is_loopback(to))
            if location and safe and not to.userinfo and (to.scheme == at.scheme or to.host):
                return to
        except (httpx.InvalidURL, Invalid, ValueError):
            pass
        raise Unavailable(
            f"{self.name} redirects to where a download must not go.",
            "Only encrypted addresses are followed. Is the hub's address right?",
        )

    def _secret(self, at: httpx.URL) -> dict[str, str]:
        import httpx

        base = httpx.URL(self.base)
        same = (at.scheme, at.host, at.port) == (base.scheme, base.host, base.port)
        token = self._token()
        if not token or not same or not (at.scheme == "https" or self._address.local):
            return {}
        return {"Authorization": f"Bearer {token}"}

    def _token(self) -> str:
        token = self._environ.get(self._token_env, "").strip() if self._token_env else ""
        return token if token.isascii() and token.isprintable() else ""

    # --- what a person is told ------------------------------------------------------------------

    def refusal(self, response: httpx.Response, repository: str) -> ArcanumError:
        status = response.status_code
        of = self.name
        if status == 404:
            return NotFound(f"{of} has no {repository}, or not that file.", "Check the name.")
        if status in {401, 403}:
            token = "does not take your token for" if self._token() else "shows nobody"
            return Unavailable(
                f"{of} {token} {repository}: there is none of that name, or it wants a permission.",
                f"Check the name. For a closed one: accept its terms at the hub, and set "
                f"{visible(self._token_env)} where Arcanum is started.",
            )
        if status == 429:
            return Unavailable(f"{of} has had too many requests.", f"Wait a while. {AGAIN}")
        if status >= 500:
            return Unavailable(f"{of} is in trouble (status {status}).", f"Wait a while. {AGAIN}")
        return Unavailable(f"{of} answers with status {status}.", "Is the hub's address right?")

    def unreachable(self, error: Exception) -> Unavailable:
        return Unavailable(
            f"{self.name} cannot be reached: {self.said(error)}.", "Is the network there?"
        )

    def said(self, error: Exception) -> str:
        """The error's words, fit to be shown: what a server sends may repeat our token."""
        words = str(error)
        if token := self._token():
            words = words.replace(token, "…")
        return visible(words)[:200] or type(error).__name__


def _is_loopback(url: httpx.URL) -> bool:
    return Address.parse(f"{url.scheme}://{url.netloc.decode('ascii')}").local
