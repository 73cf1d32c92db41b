"""Models from a hub: what is meant by a name, and files that arrive whole or not at all."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from backends.hub import HubClient, HubPatience
from backends.hub.listing import Source
from engine.contract.backend import Download
from engine.contract.errors import ArcanumError, Failed, Invalid, NotFound, Unavailable
from tests.fakes.hub_server import REPO, SHA, Asked, HubServer, Reply
from tests.fakes.waiting import until

HASTY = HubPatience(connect_s=2, stall_s=0.3, tries=3, backoff_s=0.01, most_wait_s=0.1)
MODEL = bytes(range(256)) * 12_000  # 3 MB: more than one batch
NAME = "small-Q4_K_M.gguf"
ENVIRON = {"HF_TOKEN": "hf_secret"}


@pytest.fixture
async def hub() -> AsyncIterator[HubServer]:
    async with HubServer({NAME: MODEL, "README.md": b"# hi"}).running() as server:
        yield server


def client(server: HubServer, environ: dict[str, str] | None = None) -> HubClient:
    return HubClient(server.url, environ=environ or {}, patience=HASTY)


class Told:
    """A progress that never goes back within a try and never passes its end."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, int]] = []

    def __call__(self, done: int, total: int) -> None:
        assert 0 <= done <= total
        self.steps.append((done, total))


async def fetched(server: HubServer, folder: Path, environ: dict[str, str] | None = None) -> Path:
    told = Told()
    one = client(server, environ)
    place = await one.fetch(await one.look_up(f"hf:{REPO}"), folder, told)
    assert told.steps[-1][0] == told.steps[-1][1]
    return place


def left(folder: Path) -> list[str]:
    return sorted(str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file())


# --- what is meant ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    ["hf:", "hf:one", "hf:a/../b", "hf:a/b/../c.gguf", "hf:a/b//etc", "hf:a/b/.c", "hf:-a/b"],
)
def test_what_names_no_repository_is_refused(source: str) -> None:
    with pytest.raises(Invalid, match="names no repository"):
        Source.parse(source)


async def test_the_only_gguf_of_a_repository_is_meant(hub: HubServer) -> None:
    found = await client(hub).look_up(f"hf:{REPO}")
    assert (found.repository, found.revision, found.kind) == (REPO, SHA, "gguf")
    assert (found.names, found.sizes) == ((NAME,), (len(MODEL),))
    assert len(found.digests[0]) == 64


async def test_of_several_one_must_be_picked(hub: HubServer) -> None:
    hub.content |= {
        "small-Q8_0.gguf": MODEL * 2,
        "mmproj-x.gguf": b"p",
        "sub/small-IQ4_K.gguf": b"i",
    }
    hub.page = 2  # The listing comes in pages.
    one = client(hub)
    with pytest.raises(Invalid, match="3 models: pick one") as caught:
        await one.look_up(f"hf:{REPO}")
    assert "small-Q8_0.gguf (6.14 MB)" in caught.value.hint
    assert "mmproj" not in caught.value.hint
    for source in (f"hf:{REPO}:Q8_0", f"hf:{REPO}:q8_0", f"hf:{REPO}/small-Q8_0.gguf"):
        assert (await one.look_up(source)).names == ("small-Q8_0.gguf",)
    assert (await one.look_up(f"hf:{REPO}/sub/small-IQ4_K.gguf")).names == ("sub/small-IQ4_K.gguf",)
    for source in (f"hf:{REPO}:Q4", f"hf:{REPO}/other.gguf"):
        with pytest.raises(NotFound) as none:
            await one.look_up(source)
        assert "small-Q8_0.gguf" in none.value.hint


async def test_a_model_in_parts_is_one_model_and_only_when_complete(hub: HubServer) -> None:
    parts = [f"big-{number:05}-of-00002.gguf" for number in (1, 2)]
    hub.content = dict.fromkeys(parts, b"part")
    assert (await client(hub).look_up(f"hf:{REPO}")).names == tuple(parts)
    assert (await client(hub).look_up(f"hf:{REPO}/{parts[0]}")).names == tuple(parts)
    del hub.content[parts[1]]
    with pytest.raises(Invalid, match="no model that can be run"):
        await client(hub).look_up(f"hf:{REPO}")


async def test_an_mlx_model_is_all_of_its_files_in_one_folder(
    hub: HubServer, tmp_path: Path
) -> None:
    needed = ("config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja")
    hub.content = {name: name.encode() for name in (*needed, "train.py", "x.bin", "onnx/a.json")}
    hub.plain = frozenset(needed) - {"model.safetensors"}
    folder = await fetched(hub, tmp_path / "m")
    assert folder == tmp_path / "m"
    assert left(folder) == sorted(needed)


async def test_hostile_listings_yield_no_file(hub: HubServer, tmp_path: Path) -> None:
    names = ["../up.gguf", "/etc/x.gguf", "a\x1b[31m.gguf", ".x.gguf", "a//b.gguf", "a\\b.gguf", 7]
    hub.listed = [{"type": "file", "path": name, "size": 1} for name in names]
    hub.listed += [{"type": "file", "path": "a.gguf", "size": size} for size in (-1, 1 << 60, "1")]
    hub.listed += [None, [], {"type": "directory", "path": "d.gguf", "size": 1}]
    with pytest.raises(Invalid, match="no model"):
        await client(hub).look_up(f"hf:{REPO}")
    evil = Download(REPO, SHA, ("../../evil.gguf",), (1,), ("",))
    with pytest.raises(Invalid):
        await client(hub).fetch(evil, tmp_path / "in", Told())
    assert left(tmp_path) == []


@pytest.mark.parametrize("body", [b"<html>", b"\xff", b"[" * 100_000, b""])
async def test_a_server_that_is_no_hub_is_one_clear_error(hub: HubServer, body: bytes) -> None:
    async def other(reply: Reply, _asked: Asked) -> bool:
        await reply.head(200, Content_Length=str(len(body)))
        await reply.send(body)
        return True

    hub.misbehave = other
    with pytest.raises(Unavailable, match="no listing"):
        await client(hub).look_up(f"hf:{REPO}")


# --- fetching -----------------------------------------------------------------------------------


async def test_a_file_arrives_whole_and_alone(hub: HubServer, tmp_path: Path) -> None:
    place = await fetched(hub, tmp_path)
    assert place == tmp_path / NAME
    assert place.read_bytes() == MODEL
    assert left(tmp_path) == [NAME]
    asked = len(hub.files_asked)
    await fetched(hub, tmp_path)  # It is there already.
    assert len(hub.files_asked) == asked


async def test_what_drops_is_carried_on_from_there(hub: HubServer, tmp_path: Path) -> None:
    drops = [1_500_000, 700_000]

    async def drop(reply: Reply, asked: Asked) -> bool:
        if "/resolve/" not in asked.path or not drops:
            return False
        length = drops.pop(0)
        first = int(asked.headers.get("range", "bytes=0-")[6:-1])
        if first:
            span = f"bytes {first}-{len(MODEL) - 1}/{len(MODEL)}"
            await reply.head(206, Content_Length=str(len(MODEL) - first), Content_Range=span)
        else:
            await reply.head(200, Content_Length=str(len(MODEL)), ETag='"v1"')
        await reply.send(MODEL[first : first + length])
        return True

    hub.misbehave = drop
    place = await fetched(hub, tmp_path)
    assert place.read_bytes() == MODEL
    ranges = [each.headers.get("range") for each in hub.files_asked]
    assert ranges[:3] == [None, "bytes=1500000-", "bytes=2200000-"]
    assert hub.files_asked[1].headers["if-range"] == '"v1"'


async def test_a_cancelled_download_is_carried_on_with(hub: HubServer, tmp_path: Path) -> None:
    hub.hold, hub.hold_at = asyncio.Event(), 2_000_000
    fetching = asyncio.create_task(fetched(hub, tmp_path))
    part = tmp_path / f"{NAME}.part"
    await until(lambda: part.exists() and part.stat().st_size >= 1 << 20)
    fetching.cancel()
    await asyncio.wait({fetching}, timeout=2)
    assert fetching.cancelled()
    kept = part.stat().st_size
    hub.hold = None
    assert (await fetched(hub, tmp_path)).read_bytes() == MODEL
    assert hub.files_asked[-1].headers["range"] == f"bytes={kept}-"
    assert left(tmp_path) == [NAME]


async def test_a_killed_download_is_carried_on_with(hub: HubServer, tmp_path: Path) -> None:
    hub.hold, hub.hold_at = asyncio.Event(), 2_000_000
    program = (
        "import asyncio\nfrom pathlib import Path\nfrom backends.hub import HubClient\n"
        f"hub = HubClient({hub.url!r}, environ={{}})\n"
        "async def main():\n"
        f"    found = await hub.look_up('hf:{REPO}')\n"
        f"    await hub.fetch(found, Path({str(tmp_path)!r}), lambda done, total: None)\n"
        "asyncio.run(main())\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program])
    part = tmp_path / f"{NAME}.part"
    try:
        await until(lambda: part.exists() and part.stat().st_size >= 1 << 20, 30)
    finally:
        process.kill()
        process.wait()
    hub.hold = None
    assert (await fetched(hub, tmp_path)).read_bytes() == MODEL
    assert int(hub.files_asked[-1].headers["range"][6:-1]) >= 1 << 20


@pytest.mark.parametrize("harm", ["flipped", "too long", "no note", "other note"])
async def test_a_part_that_cannot_be_trusted_is_not(
    hub: HubServer, tmp_path: Path, harm: str
) -> None:
    hub.hold, hub.hold_at = asyncio.Event(), 2_000_000
    fetching = asyncio.create_task(fetched(hub, tmp_path))
    part, note = tmp_path / f"{NAME}.part", tmp_path / f"{NAME}.part.json"
    await until(lambda: part.exists() and part.stat().st_size >= 1 << 20)
    fetching.cancel()
    await asyncio.wait({fetching})
    hub.hold = None
    data = part.read_bytes()
    if harm == "flipped":
        part.write_bytes(data[:100] + b"\xff" + data[101:])
    elif harm == "too long":
        part.write_bytes(MODEL + b"more")
    elif harm == "no note":
        note.unlink()
    else:
        note.write_bytes(b"[" * 50_000)
    assert (await fetched(hub, tmp_path)).read_bytes() == MODEL


async def test_a_file_that_changed_between_tries_is_begun_anew(
    hub: HubServer, tmp_path: Path
) -> None:
    hub.plain = frozenset({NAME})  # No checksum is told: the ETag alone says that it changed.
    hub.hold, hub.hold_at = asyncio.Event(), 2_000_000
    fetching = asyncio.create_task(fetched(hub, tmp_path))
    part = tmp_path / f"{NAME}.part"
    await until(lambda: part.exists() and part.stat().st_size >= 1 << 20)
    fetching.cancel()
    await asyncio.wait({fetching})
    hub.hold, hub.content[NAME] = None, MODEL[::-1]
    assert (await fetched(hub, tmp_path)).read_bytes() == MODEL[::-1]


async def test_a_server_without_ranges_is_read_from_the_beginning(
    hub: HubServer, tmp_path: Path
) -> None:
    hub.hold, hub.hold_at, hub.ranges = asyncio.Event(), 2_000_000, False
    with pytest.raises(Unavailable, match="broke off"):  # It stalls, each time anew.
        await fetched(hub, tmp_path)
    hub.hold = None
    assert (await fetched(hub, tmp_path)).read_bytes() == MODEL


async def test_wrong_bytes_are_never_kept(hub: HubServer, tmp_path: Path) -> None:
    hub.listed = [hub.entry(NAME)]
    hub.content[NAME] = b"X" + MODEL[1:]
    with pytest.raises(Failed, match="checksum is wrong"):
        await fetched(hub, tmp_path)
    assert (
        sum(each.stat().st_size for each in tmp_path.glob("*.gguf*") if "json" not in each.name)
        == 0
    )


async def test_a_file_of_another_size_than_told_is_refused(hub: HubServer, tmp_path: Path) -> None:
    hub.listed = [hub.entry(NAME)]
    hub.content[NAME] = MODEL * 2
    with pytest.raises(Failed, match="another size"):
        await fetched(hub, tmp_path)

    async def endless(reply: Reply, asked: Asked) -> bool:
        if "/resolve/" not in asked.path:
            return False
        await reply.head(200)
        for _ in range(100):
            await reply.send(MODEL)
        return True

    hub.misbehave = endless
    with pytest.raises(Failed, match="more than the"):
        await fetched(hub, tmp_path)
    assert NAME not in left(tmp_path)


async def test_a_stall_and_a_drop_without_headway_end_after_a_few_tries(
    hub: HubServer, tmp_path: Path
) -> None:
    async def stall(reply: Reply, asked: Asked) -> bool:
        if "/resolve/" in asked.path:
            await reply.head(200, Content_Length=str(len(MODEL)))
            await asyncio.Event().wait()
        return False

    hub.misbehave = stall
    started = time.monotonic()
    with pytest.raises(Unavailable, match=r"broke off at 0 of 3,072,000 bytes") as caught:
        await fetched(hub, tmp_path)
    assert time.monotonic() - started < 5
    assert len(hub.files_asked) == HASTY.tries
    assert "carries on" in caught.value.hint


# --- refusals -----------------------------------------------------------------------------------

REFUSALS: list[tuple[int, type[ArcanumError], str]] = [
    (401, Unavailable, "shows nobody maker/small-GGUF"),
    (403, Unavailable, "shows nobody maker/small-GGUF"),
    (404, NotFound, "has no maker/small-GGUF"),
    (429, Unavailable, "too many requests"),
    (500, Unavailable, r"in trouble \(status 500\)"),
    (418, Unavailable, "answers with status 418"),
]


@pytest.mark.parametrize(("status", "kind", "text"), REFUSALS)
async def test_a_refusal_is_one_clear_error(
    hub: HubServer, tmp_path: Path, status: int, kind: type[ArcanumError], text: str
) -> None:
    one = client(hub)
    found = await one.look_up(f"hf:{REPO}")

    async def refuse(reply: Reply, _asked: Asked) -> bool:
        await reply.head(status, Content_Length="0")
        return True

    hub.misbehave = refuse
    with pytest.raises(kind, match=text):
        await one.look_up(f"hf:{REPO}")
    with pytest.raises(kind, match=text):
        await one.fetch(found, tmp_path, Told())


async def test_trouble_that_passes_is_waited_for(hub: HubServer, tmp_path: Path) -> None:
    troubles = [(503, {}), (429, {"Retry_After": "0"})]

    async def trouble(reply: Reply, asked: Asked) -> bool:
        if "/resolve/" not in asked.path or not troubles:
            return False
        status, headers = troubles.pop()
        await reply.head(status, Content_Length="0", **headers)
        return True

    hub.misbehave = trouble
    assert (await fetched(hub, tmp_path)).read_bytes() == MODEL


async def test_nobody_there_is_said(tmp_path: Path) -> None:
    one = HubClient("http://127.0.0.1:1", environ={}, patience=HASTY)
    with pytest.raises(Unavailable, match="cannot be reached"):
        await one.look_up(f"hf:{REPO}")


# --- redirects and the token --------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/api/", "/resolve/"])
async def test_a_hub_that_repeats_the_token_does_not_bring_it_into_an_error(
    hub: HubServer, tmp_path: Path, path: str
) -> None:
    async def repeat(reply: Reply, asked: Asked) -> bool:
        if path in asked.path:
            await reply.send(f"{asked.headers['authorization']}\r\n\r\n".encode())
        return path in asked.path

    hub.misbehave = repeat
    with pytest.raises(Unavailable) as caught:
        await fetched(hub, tmp_path, ENVIRON)
    assert "Bearer" in caught.value.message  # So it says what came, but for the token.
    assert "hf_secret" not in caught.value.message + caught.value.hint


async def test_the_token_stays_with_the_hub(hub: HubServer, tmp_path: Path) -> None:
    async with HubServer({NAME: MODEL}).running() as store:
        hub.token, hub.elsewhere = "hf_secret", store.url
        place = await fetched(hub, tmp_path, environ=ENVIRON)
        assert place.read_bytes() == MODEL
        assert all(each.headers["authorization"] == "Bearer hf_secret" for each in hub.asked)
        assert store.asked
        assert all("authorization" not in each.headers for each in store.asked)
        with pytest.raises(Unavailable, match="shows nobody"):
            await client(hub).look_up(f"hf:{REPO}")


@pytest.mark.parametrize(
    "to", ["http://example.com/x", "file:///etc/passwd", "http://u:p@127.0.0.1/", "", "//[bad"]
)
async def test_a_redirect_off_this_machine_without_encryption_is_not_followed(
    hub: HubServer, to: str
) -> None:
    async def redirect(reply: Reply, _asked: Asked) -> bool:
        await reply.head(302, Content_Length="0", Location=to)
        return True

    hub.misbehave = redirect
    with pytest.raises(Unavailable, match="must not go"):
        await client(hub).look_up(f"hf:{REPO}")


async def test_redirects_without_end_end(hub: HubServer) -> None:
    async def redirect(reply: Reply, asked: Asked) -> bool:
        await reply.head(307, Content_Length="0", Location=asked.path + "x")
        return True

    hub.misbehave = redirect
    with pytest.raises(Unavailable, match="without end"):
        await client(hub).look_up(f"hf:{REPO}")
    assert len(hub.asked) < 10


# --- the disk, and the loop ---------------------------------------------------------------------


async def test_a_disk_without_room_is_said_before_with_the_numbers(
    hub: HubServer, tmp_path: Path
) -> None:
    hub.listed = [{"type": "file", "path": "huge.gguf", "size": 1 << 41}]
    with pytest.raises(Failed, match=r"no room: 2199\.02 GB are to come, [\d.]+ GB are free"):
        await fetched(hub, tmp_path)
    assert hub.files_asked == []


@pytest.mark.system("mount")
async def test_a_disk_that_fills_up_keeps_the_part(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backends.hub.client._HEADROOM", -(1 << 30))
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", small], check=True)
    try:
        with pytest.raises(Failed, match="disk is full: 2,") as caught:
            await fetched(hub, small)
        assert "carries on from there" in caught.value.hint
        kept = (small / f"{NAME}.part").stat().st_size
        assert kept > 1_900_000
        subprocess.run(["mount", "-o", "remount,size=8m", small], check=True)
        assert (await fetched(hub, small)).read_bytes() == MODEL
        assert hub.files_asked[-1].headers["range"] == f"bytes={kept}-"
    finally:
        subprocess.run(["umount", small], check=True)


async def test_the_loop_stays_free_while_bytes_come(tmp_path: Path) -> None:
    program = (
        "import asyncio\nfrom tests.fakes.hub_server import HubServer\n"
        "async def main():\n"
        "    async with HubServer({'a.gguf': bytes(200_000_000)}).running() as hub:\n"
        "        print(hub.url, flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    server = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = (await asyncio.to_thread(server.stdout.readline)).strip()
        one = HubClient(url, environ={}, patience=HubPatience())
        found = await one.look_up(f"hf:{REPO}")
        fetching = asyncio.create_task(one.fetch(found, tmp_path, lambda _done, _total: None))
        gaps: list[float] = []
        while not fetching.done():
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            gaps.append(time.perf_counter() - before)
        assert (await fetching).stat().st_size == 200_000_000
        gaps.sort()
        assert gaps[int(len(gaps) * 0.99)] < 0.02, gaps[-5:]
    finally:
        server.kill()
        server.wait()
        if server.stdout is not None:
            server.stdout.close()
