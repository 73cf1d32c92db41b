"""The command lines, in order, on real files and the real small model."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
from pathlib import Path

import pytest

from engine.home import Home
from tests.e2e.shell import (
    arcanum,
    asked_to_prune,
    contents,
    ended,
    refused,
    serving,
    started,
    told,
)

RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
EMPTY_LINE = "▲0 ✗0 ?0\n"

# --- the whole line, in order -------------------------------------------------------------------


@pytest.mark.model
def test_asking_agent0_in_two_processes() -> None:
    first = arcanum("chat", "--session", "a", "My bike is turquoise.")
    assert first.code == 0
    assert first.out.strip()
    second = arcanum("chat", "--session", "a", "What colour is my bike?", "--json")
    assert second.code == 0
    items = [json.loads(line) for line in second.out.splitlines()]
    assert [items[0]["kind"], items[-1]["kind"]] == ["started", "finished"]
    pieces = "".join(item["text"] for item in items if item["kind"] == "piece")
    assert items[-1]["turn"]["answer"] == pieces.strip()
    assert "turquoise" in pieces.lower()
    turns = told("memory", "turns", "a")["turns"]
    assert [turn["question"] for turn in turns] == [
        "My bike is turquoise.",
        "What colour is my bike?",
    ]
    assert told("memory", "search", "turquoise", "--namespace", "a")["hits"]
    missing = refused("memory", "search", "turquoise", "--namespace", "b")
    assert missing["code"] == "not_found"


def test_from_an_empty_folder_to_a_prune_and_back(films: Path) -> None:
    before = contents(films)
    library = told("media", "add", str(films), "--name", "films")
    assert library["name"] == "films"
    assert base64.b64decode(library["path"]["raw"]) == os.fsencode(films)

    scan = told("media", "scan", "films")
    assert (scan["files"], scan["bytes"], scan["hashed"]) == (5, 30_000_000, 5)
    page = told("media", "list", "films")
    assert page["total"] == 5
    assert page["assets"][0]["path"]["display"] == "film-0.mkv"
    assert re.fullmatch(r"[0-9a-f]{64}", page["assets"][0]["blake3"])
    assert RFC3339.fullmatch(page["assets"][0]["modified_at"])
    jobs = told("jobs", "list")["jobs"]
    assert [(job["operation"], job["state"]) for job in jobs] == [("media.scan", "done")]
    assert jobs[0]["result"]["files"] == 5

    assert told("quota", "set", "films", "--max-bytes", "20MB")["limit"] == 20_000_000
    check = told("quota", "check", code=1)
    assert check["ok"] is False
    assert check["gauges"][0]["over"] == 10_000_000
    plan = told("quota", "plan", "films")
    assert plan["target"] == 10_000_000
    assert plan["frees_now"] == 0
    assert plan["frees_on_purge"] == 12_000_000
    assert [item["path"]["display"] for item in plan["items"]] == ["film-0.mkv", "film-1.mkv"]
    assert all(item["size"] == 6_000_000 and item["reason"] for item in plan["items"])
    assert plan["id"]
    assert plan["digest"]

    pending = told("quota", "prune", "films")
    assert set(pending) == {"pending"}
    number = str(pending["pending"]["approval_id"])
    assert contents(films) == before
    assert arcanum("status", "--line").out == "▲1 ✗0 ?0\n"
    waiting = told("approvals", "list")
    assert waiting["pending"] == 1
    assert waiting["approvals"][0]["state"] == "pending"
    shown = told("approvals", "show", number)
    assert shown["digest"]
    assert {row["label"] for row in shown["card"]["rows"]} >= {"DO", "FREES", "WHY", "UNDO"}
    assert len(shown["card"]["items"]) == 2
    assert contents(films) == before

    approved = told("approvals", "approve", number)
    assert approved["state"] == "done"
    assert approved["outcome"]["done"] == 2
    assert set(contents(films)) == {"film-2.mkv", "film-3.mkv", "film-4.mkv"}
    assert refused("approvals", "approve", number)["code"] == "already_answered"
    assert told("quota", "check")["ok"] is True

    trash = told("quota", "trash")
    assert (trash["files"], trash["bytes"]) == (2, 12_000_000)
    undone = told("quota", "undo", trash["plans"][0]["plan_id"])
    assert (undone["restored"], undone["conflicts"]) == (2, [])
    assert contents(films) == before
    assert told("quota", "trash")["files"] == 0

    verdict = told("audit", "verify")
    assert verdict["ok"] is True
    assert verdict["entries"] > 10
    assert told("model", "info")["max_new_tokens"] in {160, 1024}  # Known once it is loaded.


def test_an_empty_home_is_healthy() -> None:
    status = told("status")
    assert (status["needs_you"], status["broken"], status["unknown"]) == (0, 0, 0)
    assert RFC3339.fullmatch(status["started_at"])
    assert arcanum("status", "--line").out == EMPTY_LINE
    assert told("approvals", "list") == {"approvals": [], "pending": 0}
    assert told("jobs", "list") == {"jobs": []}
    assert told("quota", "check") == {"ok": True, "gauges": []}
    assert told("monitor")["cpu_count"] >= 1
    assert "arcanum_calls" in told("monitor", "metrics")["text"]
    assert told("discover")["asked"] is False
    assert told("config", "path")["exists"] is False


def test_what_people_read_is_plain_text(films: Path) -> None:
    number = str(asked_to_prune(films))
    for line in (
        ("media", "libraries"),
        ("media", "list", "films"),
        ("quota", "show"),
        ("quota", "plan", "films"),
        ("approvals", "list"),
        ("approvals", "show", number),
        ("audit", "show"),
        ("jobs", "list"),
        ("jobs", "show", "1"),
        ("status",),
        ("monitor",),
        ("model", "list"),
        ("config", "show"),
    ):
        ran = arcanum(*line)
        assert ran.code == 0, ran
        assert ran.out.strip()
        assert all(c == "\n" or c.isprintable() for c in ran.out + ran.err), line
    assert "film-0.mkv" in arcanum("approvals", "show", number).out


# --- the engine elsewhere -----------------------------------------------------------------------


def test_commands_attach_to_the_engine_that_serves(home: Home, films: Path) -> None:
    with serving(home) as server:
        status = told("status")
        assert (status["pid"], status["host"]) == (server.pid, "serve")
        number = str(asked_to_prune(films))
        assert told("approvals", "approve", number)["state"] == "done"
        assert refused("serve")["code"] == "refused"
        job = told("media", "scan", "films", "--detach")["job_id"]
        assert arcanum("jobs", "follow", str(job)).code == 0
        server.send_signal(signal.SIGTERM)
        ran = ended(server)
    assert ran.code == 0
    assert ran.err.splitlines()[-1] == "Stopped by SIGTERM."
    assert not home.socket.exists()
    assert told("approvals", "show", number)["state"] == "done"


def test_two_commands_at_once_share_one_engine() -> None:
    with started("status", "--json") as one, started("jobs", "list", "--json") as other:
        assert ended(one).code == 0
        assert ended(other).code == 0


def test_a_job_needs_an_engine_that_stays(films: Path) -> None:
    told("media", "add", str(films), "--name", "films")
    assert "arcanum serve" in refused("media", "scan", "films", "--detach")["hint"]


# --- nothing hurts, nothing is lost -------------------------------------------------------------


def test_a_world_that_moved_is_refused(films: Path) -> None:
    number = str(asked_to_prune(films))
    (films / "film-0.mkv").write_bytes(b"another film")
    before = contents(films)
    assert refused("approvals", "approve", number)["code"] == "world_moved"
    assert contents(films) == before


def test_a_no_is_kept_with_its_reason(films: Path) -> None:
    number = str(asked_to_prune(films))
    denied = told("approvals", "deny", number, "--reason", "not the films")
    assert (denied["state"], denied["reason"]) == ("denied", "not the films")
    assert refused("approvals", "approve", number)["code"] == "already_answered"
    assert len(contents(films)) == 5


def test_keeping_some_makes_a_new_plan(films: Path) -> None:
    number = str(asked_to_prune(films))
    old = told("approvals", "show", number)
    new = told("approvals", "keep", number, old["card"]["items"][0]["key"])["approval_id"]
    shown = told("approvals", "show", str(new))
    assert shown["digest"] != old["digest"]
    assert told("approvals", "approve", str(new))["state"] == "done"
    assert "film-0.mkv" in contents(films)
    assert "film-1.mkv" not in contents(films)


def test_a_purge_asks_for_the_count(films: Path) -> None:
    told("approvals", "approve", str(asked_to_prune(films)))
    plan = told("quota", "trash")["plans"][0]["plan_id"]
    number = str(told("quota", "purge", plan)["pending"]["approval_id"])
    assert told("approvals", "show", number)["card"]["confirm_count"] == 2
    assert "--count 2" in refused("approvals", "approve", number, code=64)["hint"]
    assert told("quota", "trash")["files"] == 2
    assert told("approvals", "approve", number, "--count", "2")["state"] == "done"
    assert told("quota", "trash")["files"] == 0
