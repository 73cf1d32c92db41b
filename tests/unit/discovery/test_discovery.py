"""What is already here is offered once, and nothing is done by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.contract import assets, discovery, media
from engine.contract.backend import ModelChoice
from engine.contract.base import Empty, PathRef
from engine.discovery import room
from engine.home import Home
from tests.fakes.house import done
from tests.fakes.models import engine_with
from tests.fakes.rehearsed import RehearsedBackend

OLLAMA = ModelChoice("ollama:big", "openai_http", "big, 8 GB", "http://127.0.0.1:11434", 8)


@pytest.fixture
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with two media folders, one of them empty, and one hidden."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(room, "_PLACES", ())
    for name in ("Videos/film.mkv", "Music", ".Pictures/a.jpg", "Documents/letter.txt"):
        path = tmp_path / name
        (path if path.suffix == "" else path.parent).mkdir(parents=True, exist_ok=True)
        if path.suffix:
            path.write_bytes(b"x")
    return tmp_path


async def test_folders_with_something_in_them_and_servers_are_found(
    home: Home, person: Path
) -> None:
    async with engine_with(home, {"one": RehearsedBackend()}, (OLLAMA,)) as client:
        found = await done(client, discovery.LOOK, Empty())
        assert [(folder.path.data, folder.entries) for folder in found.folders] == [
            (str(person / "Videos").encode(), 1)
        ]
        assert [server.name for server in found.models] == ["ollama:big"]
        assert not found.asked
        assert (await done(client, media.LIBRARIES, Empty())).libraries == ()


async def test_it_is_asked_once(home: Home, person: Path) -> None:
    async with engine_with(home, {"one": RehearsedBackend()}) as client:
        await done(client, discovery.ANSWER, discovery.Answer(answer="skipped"))
    async with engine_with(home, {"one": RehearsedBackend()}) as client:
        assert (await done(client, discovery.LOOK, Empty())).asked


async def test_what_is_a_library_already_is_not_offered(home: Home, person: Path) -> None:
    async with engine_with(home, {"one": RehearsedBackend()}) as client:
        await done(client, media.ADD, assets.AddLibrary(path=PathRef.of(person / "Videos")))
        assert (await done(client, discovery.LOOK, Empty())).folders == ()
