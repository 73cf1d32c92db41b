"""The private socket, spoken to by hand: what a broken, slow or hostile peer can do."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
import sys
from typing import Any

import pytest

from engine.clients import wire
from engine.clients.socket import SocketClient
from engine.contract.errors import StoreFailed
from engine.home import Home
from tests.fakes import room as example
from tests.fakes.house import done, served
from tests.fakes.peer import Peer
from tests.fakes.waiting import until

# --- who gets in ----------------------------------------------------------------------------------


async def test_the_socket_is_private(home: Home) -> None:
    async with served(home):
        assert stat.S_IMODE(home.runtime.stat().st_mode) == 0o700
        assert stat.S_IMODE(home.socket.stat().st_mode) == 0o600
        assert len(os.fsencode(home.socket)) < 108
    assert not home.socket.exists()


def test_a_runtime_folder_that_others_can_enter_is_refused(home: Home) -> None:
    home.runtime.mkdir(mode=0o755)
    with pytest.raises(StoreFailed, match="not a private folder of yours"):
        home.prepare()


INTRUDER = """
import os, socket, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
s = socket.socket(socket.AF_UNIX); s.settimeout(10)
s.connect(sys.argv[1])
print(s.recv(100))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
async def test_another_user_is_turned_away_even_where_the_folder_lets_them_in(
    home: Home,
) -> None:
    async with served(home):
        for folder in (home.runtime, home.runtime.parent, home.runtime.parent.parent):
            folder.chmod(0o755)
        home.socket.chmod(0o666)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", INTRUDER, str(home.socket), stdout=subprocess.PIPE
        )
        out, _err = await process.communicate()
    assert out.strip() == b"b''"


async def test_more_connections_than_it_serves_are_turned_away(home: Home) -> None:
    async with served(home):
        clients = [await SocketClient.connect(home.socket) for _ in range(64)]
        with pytest.raises(ConnectionRefusedError):
            await SocketClient.connect(home.socket)
        await clients.pop().close()

        async def room_again() -> bool:
            try:
                clients.append(await SocketClient.connect(home.socket))
            except ConnectionRefusedError:
                return False
            return True

        await until(room_again)
        for client in clients:
            await client.close()


# --- what is said ---------------------------------------------------------------------------------

NOT_JSON = [b"hello", b"", b"{", b"\xff\xfe\x00", b'{"a":' * 100_000, b"[" * 100_000]


@pytest.mark.parametrize("line", NOT_JSON, ids=range(len(NOT_JSON)))
async def test_garbage_is_answered_and_the_connection_goes_on(peer: Peer, line: bytes) -> None:
    peer.say(line)
    answer = await peer.hear()
    assert answer["id"] is None
    assert answer["error"]["code"] == -32700
    assert answer["error"]["data"]["code"] == "invalid"
    await peer.works()


WRONG = [
    [],
    [{"jsonrpc": "2.0", "id": 1, "method": "example.echo"}],
    "text",
    None,
    7,
    {},
    {"id": 1, "method": "example.echo"},
    {"jsonrpc": "1.0", "id": 1, "method": "example.echo"},
    {"jsonrpc": "2.0", "id": 1},
    {"jsonrpc": "2.0", "id": 1, "method": 5},
    {"jsonrpc": "2.0", "id": 1, "method": ["example.echo"]},
    {"jsonrpc": "2.0", "id": [1], "method": "example.echo"},
    {"jsonrpc": "2.0", "id": {}, "method": "example.echo"},
    {"jsonrpc": "2.0", "id": 1, "method": "example.echo", "params": [1, 2]},
    {"jsonrpc": "2.0", "id": 1, "method": "example.echo", "params": "text"},
    {"jsonrpc": "2.0", "method": "example.echo"},
]


@pytest.mark.parametrize("message", WRONG, ids=range(len(WRONG)))
async def test_wrong_json_rpc_is_answered_and_the_connection_goes_on(
    peer: Peer, message: Any
) -> None:
    peer.say(json.dumps(message).encode())
    answer = await peer.hear()
    assert answer["error"]["code"] == -32600
    await peer.works()


BAD_CALLS = [
    [],
    "me",
    {},
    {"actor": "operator"},
    {"actor": ["emperor", "x"]},
    {"actor": ["operator"]},
    {"actor": ["operator", "x\x1b[31m"]},
    {"actor": ["operator", "x" * 1000]},
    {"actor": ["operator", "x"], "timeout_s": float("nan")},
    {"actor": ["operator", "x"], "timeout_s": float("inf")},
    {"actor": ["operator", "x"], "timeout_s": 10**400},
    {"actor": ["operator", "x"], "timeout_s": "soon"},
    {"actor": ["operator", "x"], "timeout_s": []},
    {"actor": ["operator", "x"], "id": 7},
    {"actor": ["operator", "x"], "machine": {}},
]


@pytest.mark.parametrize("call", BAD_CALLS, ids=range(len(BAD_CALLS)))
async def test_circumstances_that_make_no_sense_are_invalid(peer: Peer, call: Any) -> None:
    params = {"request": {}, "call": call}
    message = {"jsonrpc": "2.0", "id": 1, "method": "example.echo", "params": params}
    peer.say(json.dumps(message).encode())
    answer = await peer.hear()
    assert answer["error"]["data"]["code"] == "invalid"
    assert "circumstances" in answer["error"]["message"]
    await peer.works()


@pytest.mark.parametrize(
    ("method", "request_", "code", "says"),
    [
        ("example.echo", {"number": "many"}, "invalid", "number"),
        ("example.echo", {"nonsense": 1}, "invalid", "nonsense"),
        ("example.echo", [1], "invalid", "the request"),
        ("example.nothing", {}, "not_found", "example.nothing"),
        ("nonsense", {}, "not_found", "nonsense"),
        ("os.system", {}, "not_found", "os.system"),
        ("", {}, "not_found", ""),
        ("$/nonsense", {}, "not_found", "nonsense"),
    ],
)
async def test_a_wrong_request_is_named(
    peer: Peer, method: str, request_: Any, code: str, says: str
) -> None:
    peer.ask(1, method, request_)
    answer = await peer.hear()
    assert answer["error"]["data"]["code"] == code
    assert says in answer["error"]["message"]
    await peer.works()


async def test_a_number_that_is_in_use_is_refused_and_its_call_goes_on(peer: Peer) -> None:
    peer.ask(5, "example.hold")
    await until(lambda: "held" in peer.room.facts)
    peer.ask(5, "example.echo")
    answer = await peer.hear()
    assert answer["error"]["message"] == "A request needs an id of its own."
    peer.room.release.set()
    assert (await peer.hear()) == {"jsonrpc": "2.0", "id": 5, "result": {"done": {}}}
    peer.ask(5, "example.echo")  # It may be used again.
    assert (await peer.hear())["result"]["done"]["number"] == 1


async def test_a_line_that_is_too_long_ends_the_connection_and_no_other(
    peer: Peer, home: Home
) -> None:
    other = await SocketClient.connect(home.socket)
    peer.writer.write(b"x" * (wire.MAX_LINE + 1024))
    answer = await peer.hear()
    assert "longer than" in answer["error"]["message"]
    await peer.ends()
    assert (await done(other, example.ECHO, example.Echo())).number == 1
    await other.close()


async def test_more_calls_than_a_connection_may_have_are_busy(peer: Peer) -> None:
    for number in range(64):
        peer.ask(number, "$/events")
    for _ in range(64):
        assert (await peer.hear())["method"] == "$/item"
    peer.ask(64, "example.echo")
    answer = await peer.hear()
    assert answer["id"] == 64
    assert answer["error"]["data"]["code"] == "busy"
    assert answer["error"]["data"]["retryable"]
    peer.say(b'{"jsonrpc": "2.0", "method": "$/cancel", "params": {"id": 0}}')
    assert (await peer.hear())["error"]["data"]["code"] == "cancelled"
    await peer.works()


async def test_a_call_cancelled_before_its_first_step_is_answered_and_forgotten(
    peer: Peer,
) -> None:
    """Both lines arrive in one piece."""
    for number in range(100):  # More than may be in flight.
        params = {"request": {}, "call": {"actor": ["operator", "x"]}}
        call = {"jsonrpc": "2.0", "id": number, "method": "example.hold", "params": params}
        cancel = {"jsonrpc": "2.0", "method": "$/cancel", "params": {"id": number}}
        peer.writer.write(json.dumps(call).encode() + b"\n" + json.dumps(cancel).encode() + b"\n")
        answer = await peer.hear()
        assert (answer["id"], answer["error"]["data"]["code"]) == (number, "cancelled")
    await peer.works()


async def test_what_nobody_called_off_ended_with_the_engine(peer: Peer) -> None:
    """Whatever the engine ends first: who hears so connects again, and to whom it is told that it
    was cancelled would not.
    """
    params = {"request": {}, "call": {"actor": ["operator", "x"]}}
    peer.say(
        json.dumps({"jsonrpc": "2.0", "id": 1, "method": "example.hold", "params": params}).encode()
    )
    name = "socket:example.hold"
    await until(lambda: any(task.get_name() == name for task in asyncio.all_tasks()))
    [task] = [task for task in asyncio.all_tasks() if task.get_name() == name]
    task.cancel()
    told = (await peer.hear())["error"]["data"]
    assert (told["code"], told["retryable"]) == ("disconnected", True)
    await peer.works()


@pytest.mark.parametrize("number", [[], {}, None, 1.5, "other", 99])
@pytest.mark.parametrize("method", ["$/cancel", "$/more"])
async def test_steering_what_does_not_run_is_no_harm(peer: Peer, method: str, number: Any) -> None:
    for items in (5, "many", -1, 10**30):
        params = {"id": number, "items": items}
        peer.say(json.dumps({"jsonrpc": "2.0", "method": method, "params": params}).encode())
    await peer.works()


@pytest.mark.parametrize("after", ["x", 1.5, True, [], {}])
async def test_events_after_no_number_are_invalid(peer: Peer, after: Any) -> None:
    message = {"jsonrpc": "2.0", "id": 1, "method": "$/events", "params": {"after": after}}
    peer.say(json.dumps(message).encode())
    assert (await peer.hear())["error"]["data"]["code"] == "invalid"
    await peer.works()


@pytest.mark.parametrize("topics", [None, "jobs.list", ["jobs.list"] * 65, ["nonsense"], [[]]])
async def test_a_snapshot_of_nonsense_is_one_error(peer: Peer, topics: Any) -> None:
    message = {"jsonrpc": "2.0", "id": 1, "method": "$/snapshot", "params": {"topics": topics}}
    peer.say(json.dumps(message).encode())
    assert (await peer.hear())["error"]["data"]["code"] in {"invalid", "not_found"}
    await peer.works()
