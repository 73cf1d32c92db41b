"""JSON-RPC 2.0 as the socket speaks it: one message a line, UTF-8.

    → {"jsonrpc": "2.0", "id": 1, "method": "quota.plan", "params": {"request": …, "call": …}}
    ← {"jsonrpc": "2.0", "id": 1, "result": {"done": …}}            or {"pending": approval id}
    ← {"jsonrpc": "2.0", "id": 1, "error": {"code": …, "message": …, "data": …}}

The engine speaks first, with the notification ``$/hello``. A stream is a request like any other:
its items come as notifications ``$/item`` with its id, its end as the result. At most ``WINDOW``
items are sent before ``$/more`` says how many of them were read, so that a slow reader of one
stream holds neither the engine nor the rest of its own connection. ``$/cancel`` cancels a request.
``$/events``, ``$/snapshot`` and ``$/ping`` are the methods of the client that are no operations.
"""

from __future__ import annotations

import json
import math
import time
from typing import Any

from engine.contract.base import Json
from engine.contract.call import Actor, ActorKind, Call
from engine.contract.errors import ArcanumError, Invalid

MAX_LINE = 32 * 1024 * 1024
"""Bytes. A longer line is not sent; where one comes, the connection ends."""

WINDOW = 256
"""Items of a stream that may be on their way."""

HELLO = "$/hello"
ITEM = "$/item"
MORE = "$/more"
CANCEL = "$/cancel"
EVENTS = "$/events"
SNAPSHOT = "$/snapshot"
PING = "$/ping"

PARSE_ERROR, INVALID_REQUEST, INVALID_PARAMS, REFUSED = -32700, -32600, -32602, -32000


def encode(message: Json) -> bytes:
    """One line."""
    return json.dumps({"jsonrpc": "2.0"} | message, separators=(",", ":")).encode() + b"\n"


def request(number: int, method: str, params: Json) -> bytes:
    """A line that asks for an answer with the same number."""
    return encode({"id": number, "method": method, "params": params})


def notification(method: str, params: Json) -> bytes:
    """A line that asks for no answer."""
    return encode({"method": method, "params": params})


def result(number: Any, value: Any) -> bytes:
    """The line that answers a request."""
    return encode({"id": number, "result": value})


def error(number: Any, problem: ArcanumError, code: int | None = None) -> bytes:
    """The line that refuses a request, or one that could not be read (then ``number`` is None)."""
    if code is None:
        code = INVALID_PARAMS if isinstance(problem, Invalid) else REFUSED
    return encode(
        {
            "id": number,
            "error": {"code": code, "message": problem.message, "data": problem.to_wire()},
        }
    )


def call_to_wire(call: Call) -> Json:
    """The deadline travels as seconds left: the clocks of two processes are not the same."""
    return {
        "id": call.id,
        "actor": [call.actor.kind, call.actor.name],
        "on_behalf_of": call.on_behalf_of and [call.on_behalf_of.kind, call.on_behalf_of.name],
        "parent": call.parent,
        "machine": call.machine,
        "timeout_s": call.remaining(),
    }


def call_from_wire(data: Any) -> Call:
    """Raises Invalid."""
    try:
        timeout = data.get("timeout_s")
        on_behalf_of = data.get("on_behalf_of")
        return Call(
            actor=_actor(data["actor"]),
            on_behalf_of=None if on_behalf_of is None else _actor(on_behalf_of),
            parent=_word(data.get("parent")),
            machine=_word(data.get("machine")),
            deadline=None if timeout is None else time.monotonic() + _seconds(timeout),
            id=_word(data.get("id")) or Call().id,
        )
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as problem:
        raise Invalid(f"The call's circumstances are not valid: {problem}.") from problem


def _seconds(value: Any) -> float:
    seconds = float(value)
    if not math.isfinite(seconds):  # It would upset the order of the event loop's timers.
        raise ValueError("not a number of seconds")
    return seconds


def _word(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > 100 or not value.isprintable():
        raise ValueError("not a short, printable text")
    return value


def _actor(data: Any) -> Actor:
    kind, name = data
    return Actor(ActorKind(kind), _word(name) or "unnamed")
