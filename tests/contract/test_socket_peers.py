"""Peers that go away, do not read, or are not what they seem."""

from __future__ import annotations

import asyncio

import pytest

from engine.clients import wire
from engine.clients.local import LocalClient
from engine.clients.socket import SocketClient
from engine.contract.base import Empty
from engine.contract.errors import Disconnected, Failed, Unavailable
from engine.home import Home
from engine.server.socket import SocketServer
from tests.fakes import room as example
from tests.fakes.house import done, opened, room_of, served
from tests.fakes.peer import Peer
from tests.fakes.stores import job_event
from tests.fakes.waiting import until

# --- peers that go, or do not read ----------------------------------------------------------------


async def test_a_peer_that_goes_away_in_a_stream_cancels_it(peer: Peer) -> None:
    peer.ask(1, "example.count", {"upto": 10, "holds_at": 3})
    await until(lambda: "holding" in peer.room.facts)
    peer.writer.transport.abort()
    await until(lambda: "closed" in peer.room.facts)


async def test_a_peer_that_goes_away_cancels_its_calls(peer: Peer) -> None:
    peer.ask(1, "example.hold")
    await until(lambda: "held" in peer.room.facts)
    peer.writer.close()
    await until(lambda: "cancelled" in peer.room.facts)


async def test_a_connection_that_is_closed_halfway_ends_what_it_asked_for(peer: Peer) -> None:
    peer.ask(1, "example.hold")
    await until(lambda: "held" in peer.room.facts)
    peer.writer.write_eof()
    await peer.ends()
    await until(lambda: "cancelled" in peer.room.facts)
    await until(lambda: not peer.server._connections)


async def test_a_last_line_without_its_end_is_heard(peer: Peer) -> None:
    peer.writer.write(b'{"jsonrpc": "2.0", "id": 1, "method": "$/nonsense"}')
    peer.writer.write_eof()
    await peer.ends()


async def test_a_stream_waits_for_the_one_who_reads_it(peer: Peer) -> None:
    peer.ask(1, "example.count", {"upto": 5000})
    for n in range(-1, 256):
        assert (await peer.hear())["params"].get("item", {"n": -1}) == {"n": n}
    await peer.works()
    assert "counted 257" not in peer.room.facts
    peer.say(b'{"jsonrpc": "2.0", "method": "$/more", "params": {"id": 1, "items": 100}}')
    await until(lambda: "counted 356" in peer.room.facts)
    assert "counted 357" not in peer.room.facts


async def test_the_server_stops_though_a_peer_does_not_read(home: Home) -> None:
    async with opened(home) as engine:
        server = SocketServer(LocalClient(engine), home.socket)
        await server.start()
        reader, writer = await asyncio.open_unix_connection(home.socket, limit=1024)
        ask = '{"jsonrpc":"2.0","id":%d,"method":"$/events","params":{}}\n'
        for number in range(60):
            writer.write((ask % number).encode())
        await until(lambda: engine.bus.subscribers == 60)
        for number in range(1000):  # More than the socket and both buffers hold.
            engine.bus.publish(job_event(number).model_copy(update={"seq": number + 1}))
        async with asyncio.timeout(15):
            await server.stop()
        assert engine.bus.subscribers == 0
        assert reader is not None
        writer.transport.abort()


async def test_the_server_stops_while_others_call_and_tells_them(home: Home) -> None:
    async with opened(home) as engine:
        server = SocketServer(LocalClient(engine), home.socket)
        await server.start()
        client = await SocketClient.connect(home.socket)
        room = await room_of(engine)
        calling = asyncio.create_task(client.call(example.HOLD, Empty()))

        async def read() -> None:
            async with client.events() as events:
                async for _event in events:
                    pass

        reading = asyncio.create_task(read())
        await until(lambda: "held" in room.facts and engine.bus.subscribers == 1)
        await server.stop()
        for task in (calling, reading):
            with pytest.raises(Disconnected):
                await task
        with pytest.raises(Disconnected):
            await client.call(example.ECHO, example.Echo())
        await client.close()


async def test_who_has_just_connected_is_served_before_a_short_lived_engine_ends(
    home: Home,
) -> None:
    async with opened(home) as engine:
        server = SocketServer(LocalClient(engine), home.socket)
        await server.start()
        client = await SocketClient.connect(home.socket)
        server.refuse()
        idle = asyncio.create_task(server.idle())
        await asyncio.sleep(0)
        assert not idle.done()
        with pytest.raises(OSError):  # noqa: PT011 - whichever the system says
            await SocketClient.connect(home.socket)
        assert (await done(client, example.ECHO, example.Echo())).number == 1
        async with asyncio.timeout(5):
            await idle
        await server.stop()
        await client.close()


async def test_who_only_watches_does_not_keep_a_short_lived_engine(home: Home) -> None:
    async with served(home) as (_engine, server):
        client = await SocketClient.connect(home.socket)
        async with client.events(), asyncio.timeout(5):
            await server.idle()
        await client.close()


# --- an engine that a client cannot trust ---------------------------------------------------------


async def impostor(home: Home, says: bytes) -> asyncio.Server:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'{"jsonrpc":"2.0","method":"$/hello","params":{}}\n')
        await reader.readline()
        writer.write(says)
        await reader.read()
        writer.close()

    home.prepare()
    return await asyncio.start_unix_server(serve, home.socket)


NONSENSE = [
    b"garbage\n",
    b"[]\n",
    b"7\n",
    b"null\n",
    b'{"id": 1, "error": "text"}\n',
    b'{"id": 1, "error": {"data": []}}\n',
    b'{"id": 1, "error": {"data": {"code": "needs_approval", "approval_id": "x"}}}\n',
    b'{"id": [], "result": 1}\n',
    b'{"method": "$/item"}\n',
    b'{"method": "$/item", "params": {"id": []}}\n',
    b"[" * 100_000 + b"\n",
]


@pytest.mark.parametrize("says", NONSENSE, ids=range(len(NONSENSE)))
async def test_an_engine_that_talks_nonsense_is_a_lost_connection(home: Home, says: bytes) -> None:
    async with await impostor(home, says):
        client = await SocketClient.connect(home.socket)
        async with asyncio.timeout(5):
            with pytest.raises(Disconnected):
                await client.call(example.ECHO, example.Echo())
            await client.close()


async def test_an_answer_of_another_version_is_one_clear_error(home: Home) -> None:
    says = b'{"jsonrpc":"2.0","id":1,"result":{"done":{"new_field":1}}}\n'
    async with await impostor(home, says):
        client = await SocketClient.connect(home.socket)
        with pytest.raises(Failed, match="form that is not known here") as caught:
            await client.call(example.ECHO, example.Echo())
        assert "another version" in caught.value.hint
        await client.close()


async def test_an_engine_that_does_not_answer_is_not_waited_for_for_ever(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stopped or hanging process still accepts connections."""
    monkeypatch.setattr("engine.clients.socket._HELLO_WITHIN_S", 0.1)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    home.prepare()
    async with await asyncio.start_unix_server(silent, home.socket):
        with pytest.raises(Unavailable, match="does not answer"):
            await SocketClient.connect(home.socket)


async def test_a_client_leaves_though_the_engine_does_not_read(home: Home) -> None:
    release = asyncio.Event()

    async def deaf(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'{"jsonrpc":"2.0","method":"$/hello","params":{}}\n')
        await release.wait()
        writer.close()

    home.prepare()
    async with await asyncio.start_unix_server(deaf, home.socket, limit=1024):
        client = await SocketClient.connect(home.socket)
        large = example.Note(name="n", text="x" * 8_000_000)
        calling = asyncio.create_task(client.call(example.NOTE, large))
        await until(lambda: client._writer.transport.get_write_buffer_size() > 1_000_000)
        calling.cancel()
        async with asyncio.timeout(5):
            with pytest.raises(asyncio.CancelledError):
                await calling
            await client.close()
        release.set()


async def test_a_request_longer_than_a_line_is_refused_before_it_is_sent(home: Home) -> None:
    async with served(home):
        client = await SocketClient.connect(home.socket)
        error = await problem_of(client, "x" * (wire.MAX_LINE + 1))
        assert "at most" in error
        assert (await done(client, example.ECHO, example.Echo())).number == 1
        await client.close()


async def problem_of(client: SocketClient, text: str) -> str:
    with pytest.raises(Exception, match="bytes long") as caught:
        await client.call(example.NOTE, example.Note(name="n", text=text))
    return str(caught.value)


async def test_an_engine_that_knows_no_ping_has_answered_one(home: Home) -> None:
    async with served(home):
        client = await SocketClient.connect(home.socket)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(wire, "PING", "$/unheard-of")
            await asyncio.wait_for(client.ping(), 10)
        await client.close()
