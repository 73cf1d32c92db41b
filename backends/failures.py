"""What goes wrong at a model server, in the words that a person meets.

Unavailable
├── TryLater     it has too much to do at the moment, and may say for how long
└── Denied       it does not let us in, or has no such model: no use to ask again as it is
ModelFailed
└── NotAccepted  it does not take this request: no use to ask again as it is
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar

from backends.tokens import SHORTEN, too_long
from backends.wire import field
from engine.contract.base import visible
from engine.contract.errors import Failed, ModelFailed, PromptTooLong, Unavailable

MAX_WAIT_S = 3600.0

_OTHERS = "use another model: arcanum model list"
# What servers say of a prompt over their context; none agree on a code for it.
_OVERFLOW = re.compile(r"context[ _](length|size|window)|maximum model length", re.IGNORECASE)


class TryLater(Unavailable):
    """``after_s``: how long the server wants to be left alone, in seconds; None where untold."""

    def __init__(self, message: str, hint: str = "", after_s: float | None = None) -> None:
        super().__init__(message, hint)
        self.after_s = after_s


class Denied(Unavailable):
    retryable: ClassVar[bool] = False


class NotAccepted(ModelFailed):
    retryable: ClassVar[bool] = False


class Wording:
    """Words the errors of one server. Its ``key`` appears in none of them."""

    def __init__(self, name: str, key: str = "") -> None:
        self._name = name
        self._key = key

    def say(self, problem: Any) -> str:
        """What a server said, fit to be shown: a line without controls and without the key."""
        text = str(field(problem, "message") or problem)
        if self._key:
            text = text.replace(self._key, "…")
        return visible(text.strip())[:300]

    def malformed(self, what: str) -> ModelFailed:
        """It answered, but not in the protocol."""
        return ModelFailed(
            f"{self._name} does not speak the OpenAI protocol: {visible(what)[:200]}",
            f"Check the address, or {_OTHERS}",
        )

    def broke_off(self, problem: Any, *, begun: bool) -> Failed:
        """It reported ``problem`` within its answer; ``begun``: some of that had come."""
        said = self.say(problem)
        if not begun and (full := self._full(problem, f": {said}")) is not None:
            return full
        return ModelFailed(f"{self._name} broke off its answer: {said}", "Ask again.")

    def filtered(self) -> NotAccepted:
        return NotAccepted(f"{self._name}: its content filter ended the answer", "Reword it.")

    def silent(self) -> ModelFailed:
        return ModelFailed(f"{self._name} ended its answer without a word", "Ask again.")

    def refusal(self, status: int, headers: Mapping[str, str], data: bytes) -> Failed:
        """The error for a reply whose ``status`` is not 200, and whose body is ``data``."""
        problem = problem_in(data)
        said = f": {self.say(problem)}" if problem else ""
        if status in {400, 413, 422} and (full := self._full(problem, said)) is not None:
            return full
        if status in {429, 503}:
            what = "too many requests" if status == 429 else "no capacity"
            message = f"{self._name} has {what} at the moment ({status}){said}"
            hint = f"Ask again in a minute, or {_OTHERS}"
            after_s = retry_after(headers.get("retry-after", ""))
            if status == 503 and after_s is None:
                return Unavailable(message, hint)
            return TryLater(message, hint, after_s)
        if status in {401, 403}:
            return Denied(
                f"{self._name} refused the key, or wants one ({status}){said}",
                "Check the variable that holds its key: key_env in config.toml, or --key-env NAME"
                " of arcanum model add.",
            )
        if status == 404:
            return Denied(
                f"{self._name} does not know that model or address (404){said}",
                "See what there is: arcanum model list",
            )
        if 300 <= status < 400:
            return Denied(
                f"{self._name} sends requests elsewhere ({status}), which is not followed",
                "Give the address that it means, if you trust it, in config.toml or to"
                " arcanum model add.",
            )
        if status in {502, 504}:
            return Unavailable(
                f"{self._name} is behind a proxy that does not reach it ({status}){said}",
                f"See whether that server runs, or {_OTHERS}",
            )
        kind, hint = (NotAccepted, "Ask otherwise") if status < 500 else (ModelFailed, "Ask again")
        return kind(
            f"{self._name} answered with an error ({status}){said}", f"{hint}, or {_OTHERS}"
        )

    def _full(self, problem: Any, said: str) -> PromptTooLong | None:
        """The error where ``problem`` is that the prompt has no room."""
        tokens, context = field(problem, "n_prompt_tokens"), field(problem, "n_ctx")
        if isinstance(tokens, int) and isinstance(context, int):
            return too_long(self._name, tokens, context)
        if field(problem, "code") == "context_length_exceeded" or _OVERFLOW.search(said):
            return PromptTooLong(f"{self._name} has no room for this prompt{said}", SHORTEN)
        return None


def problem_in(data: bytes) -> Any:
    """What the body of a refusal says went wrong: an object or a text, None where nothing."""
    try:
        body = json.loads(data.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return field(body, "error") or field(body, "detail") or field(body, "message")


def retry_after(value: str) -> float | None:
    """A Retry-After header (seconds, or a date) in seconds from now, within an hour."""
    try:
        seconds = float(value)
    except ValueError:
        try:
            moment = parsedate_to_datetime(value)
        except (ValueError, OverflowError):
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        seconds = (moment - datetime.now(UTC)).total_seconds()
    return None if math.isnan(seconds) else min(max(seconds, 0.0), MAX_WAIT_S)
