"""``arcanum media show``: what is typed is sent as it is, what is known is told in lines."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from engine.contract.assets import Asset
from engine.contract.base import PathRef, now
from engine.contract.traits import AssetDetail, Elsewhere, Provenance, ShowAsset, Traits
from tests.unit.cli.answers import Answers

Arcanum = Callable[..., Any]


def detail(**changes: Any) -> AssetDetail:
    where = PathRef.of(b"dune/\xff\x1b[31m.mkv")
    asset = Asset(
        id=12, path=where, size=2048, modified_at=now(), links=2, blake3="ab" * 32, seen_at=now()
    )
    fields: dict[str, Any] = {
        "library": "films",
        "asset": asset,
        "first_seen_at": now(),
        "checked_at": None,
        "damage": None,
        "traits": Traits(
            kind="video",
            type="video/matroska",
            width=1920,
            height=800,
            duration_ms=9_312_040,
            codecs="hevc, dts",
            details={"title": "Dune", "frame_rate": "23.976"},
        ),
        "hashes": {"md5": "cd" * 16},
        "sources": (
            Provenance(
                at=now(),
                kind="url",
                origin="https://video.example/dune",
                referrer="https://example/",
                confidence=0.9,
                evidence={},
            ),
        ),
        "names": (Elsewhere(id=13, library="films", path=PathRef.of(b"linked.mkv")),),
        "copies": (Elsewhere(id=14, library="attic", path=PathRef.of(b"old.mkv")),),
        "copies_total": 70,
        "history": (),
    }
    return AssetDetail(**fields | changes)


def test_all_that_is_known_is_told(arcanum: Arcanum) -> None:
    answers = Answers({"media.show": detail()})
    ran = arcanum("media", "show", "films", "dune/x.mkv", answers=answers)
    assert ran.code == 0
    for name, told in {
        "file": "dune/\\xff\\x1b[31m.mkv",
        "holds": "video, video/matroska",
        "length": "2:35:12.040",
        "pixels": "1920 × 800",
        "frame rate": "23.976",
        "md5": "cd" * 16,
        "source": "url https://video.example/dune ← https://example/ (90%)",
        "also named": "films: linked.mkv",
        "same bytes": "attic: old.mkv",
    }.items():
        assert f"{name:<12}{told}" in ran.out.splitlines()
    assert "70 files in all" in ran.out


def test_what_cannot_be_read_says_why(arcanum: Arcanum) -> None:
    unread = detail().asset.model_copy(update={"blake3": None})
    found = detail(asset=unread, damage="unreadable", reason="Permission denied")
    ran = arcanum("media", "show", "--id", "12", answers=Answers({"media.show": found}))
    assert f"{'damage':<12}unreadable: Permission denied" in ran.out.splitlines()
    assert f"{'BLAKE3':<12}none" in ran.out.splitlines()


def test_what_was_not_looked_into_says_so(arcanum: Arcanum) -> None:
    answers = Answers({"media.show": detail(traits=None)})
    assert "not looked into yet" in arcanum("media", "show", "--id", "12", answers=answers).out


def test_json_is_the_whole_of_it(arcanum: Arcanum) -> None:
    found = detail()
    ran = arcanum("media", "show", "--id", "12", "--json", answers=Answers({"media.show": found}))
    assert AssetDetail.model_validate(ran.json) == found


@pytest.mark.parametrize("path", [b"dune/x.mkv", b"/srv/films/x", b"\xff.mkv", b"./x"])
def test_a_path_is_sent_as_it_was_typed(path: bytes, arcanum: Arcanum) -> None:
    answers = Answers({"media.show": detail()})
    arcanum("media", "show", "films", os.fsdecode(path), answers=answers)
    [(_name, sent)] = answers.requests
    request = ShowAsset.model_validate(sent)
    assert request.path is not None
    assert (request.library, request.path.data, request.id) == ("films", path, None)
