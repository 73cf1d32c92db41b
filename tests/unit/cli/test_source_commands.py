"""``arcanum media sources`` and ``clients``: evidence in words, clients with what ails them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from engine.config import load
from engine.contract.base import PathRef, now
from engine.contract.errors import ConfigInvalid
from engine.contract.sources import (
    AskSources,
    SourceCount,
    SourceReport,
    SourceSummary,
    TorrentClient,
    TorrentClients,
    likelihood,
)
from engine.contract.traits import Provenance
from engine.home import Home
from tests.unit.cli.answers import Answers

Arcanum = Callable[..., Any]
CLIENT = """
[[media.clients]]
name = "box"
kind = "transmission"
url = "{url}"
{more}
"""


def test_a_file_is_told_with_all_its_evidence(arcanum: Arcanum) -> None:
    source = Provenance(
        at=now(),
        kind="url",
        origin="https://files.example/a",
        referrer="https://files.example/",
        confidence=0.9,
        evidence={"told by": "user.xdg.origin.url"},
    )
    answers = Answers({"media.sources": SourceReport(library="films", sources=(source,))})
    ran = arcanum("media", "sources", "films", os.fsdecode(b"\xff.mkv"), answers=answers)
    assert ran.code == 0
    assert "url · https://files.example/a  (very likely, 90%)" in ran.out
    for words in ("referrer", "https://files.example/", "told by", "user.xdg.origin.url"):
        assert words in ran.out
    [(_operation, asked)] = answers.requests
    expected = AskSources(library="films", path=PathRef.of(b"\xff.mkv"))
    assert AskSources.model_validate(asked) == expected


def test_a_library_is_told_in_numbers(arcanum: Arcanum) -> None:
    hosts = tuple(SourceCount(name=f"h{n}.example", files=20 - n) for n in range(12))
    summary = SourceSummary(files=4000, known=1000, kinds=(), hosts=hosts, trackers=(), cameras=())
    answers = Answers({"media.sources": SourceReport(library="films", summary=summary)})
    ran = arcanum("media", "sources", "films", answers=answers)
    assert "4,000 files; it is known where 1,000 (25%) of them came from" in ran.out
    assert "not looked into" not in ran.out
    assert "h9.example" in ran.out
    assert "h10.example" not in ran.out
    assert "and 2 more" in ran.err
    assert "TRACKER" not in ran.out


def test_what_is_not_known_is_said(arcanum: Arcanum) -> None:
    nothing = {"kinds": (), "hosts": (), "trackers": (), "cameras": ()}

    def told(**values: Any) -> str:
        summary = SourceSummary.model_validate({**nothing, "known": 0, **values})
        answers = Answers({"media.sources": SourceReport(library=None, summary=summary)})
        return str(arcanum("media", "sources", answers=answers).out)

    assert "No file is catalogued yet: arcanum media add PATH" in told(files=0)
    shown = told(files=9, waiting=4)
    assert "9 files; it is known where none of them came from" in shown
    assert "? 4 files not looked into yet" in shown
    only = Provenance(
        at=now(), kind="appeared", origin="", referrer="", confidence=0.1, evidence={}
    )
    answers = Answers({"media.sources": SourceReport(library="films", sources=(only,))})
    ran = arcanum("media", "sources", "films", "a", answers=answers)
    assert "Nothing tells where it came from" in ran.out


@pytest.mark.parametrize(
    ("confidence", "word"),
    [(1, "certain"), (0.94, "very likely"), (0.5, "likely"), (0.3, "possible"), (0.1, "doubtful")],
)
def test_confidence_has_words(confidence: float, word: str) -> None:
    assert likelihood(confidence) == word


def client(**values: Any) -> TorrentClients:
    fields = {"name": "box", "kind": "transmission", "address": "http://box:9091", **values}
    return TorrentClients(clients=(TorrentClient.model_validate(fields),))


def test_a_client_that_fails_is_told_by_a_line_and_the_exit_code(arcanum: Arcanum) -> None:
    failing = client(state="failing", note="it does not answer.")
    ran = arcanum("media", "clients", answers=Answers({"media.clients": failing}))
    assert ran.code == 2
    assert "! box: it does not answer." in ran.out
    assert "--now" not in ran.err
    unasked = arcanum(
        "media", "clients", answers=Answers({"media.clients": client(state="not asked")})
    )
    assert unasked.code == 0
    assert "arcanum media clients --now asks" in unasked.err
    lost = client(state="ok", unfound=2, example=PathRef.of(b"/data/\x1b.mkv"))
    ran = arcanum("media", "clients", "--now", answers=Answers({"media.ask_clients": lost}))
    assert ran.code == 0
    assert "of 2 torrents no file was found here: /data/\\x1b.mkv" in ran.out


def test_without_a_client_it_is_said_where_one_is_named(arcanum: Arcanum) -> None:
    answers = Answers({"media.clients": TorrentClients(clients=())})
    assert "[[media.clients]]" in arcanum("media", "clients", answers=answers).out


def test_the_configuration_shows_no_password(
    arcanum: Arcanum, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOX_PASSWORD", "hunter2")
    more = 'username = "me"\npassword_env = "BOX_PASSWORD"\npaths = { "/a b" = "/c" }'
    write(home, CLIENT.format(url="http://box:9091", more=more))
    ran = arcanum("config", "show")
    assert 'password_env = "BOX_PASSWORD"' in ran.out
    assert 'paths = { "/a b" = "/c" }' in ran.out
    assert "hunter2" not in ran.out


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (CLIENT.format(url="http://me:hunter2@box:9091", more=""), "an address with a user"),
        (CLIENT.format(url="http://box", more='password = "hunter2"'), "no such key"),
        (CLIENT.format(url="ftp://box", more=""), "String should match"),
        (CLIENT.format(url="http://a", more="") + CLIENT.format(url="http://b", more=""), "own"),
    ],
)
def test_a_wrong_client_is_one_line_without_its_password(home: Home, text: str, why: str) -> None:
    write(home, text)
    with pytest.raises(ConfigInvalid) as caught:
        load(home.config_file)
    assert why in caught.value.message
    assert "hunter2" not in caught.value.message + caught.value.hint


def write(home: Home, text: str) -> None:
    home.config_file.parent.mkdir(parents=True, exist_ok=True)
    home.config_file.write_text(text)
