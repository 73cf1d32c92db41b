"""``arcanum quota plan``: what would go, what stays and why, and what is not known."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from engine.contract.base import PathRef, now
from engine.contract.quota import Plan, Staying
from tests.unit.cli.answers import Answers

Arcanum = Callable[..., Any]


def plan(stay: int = 0, **values: Any) -> Plan:
    held = tuple(
        Staying(path=PathRef.of(f"\x1b{n}.mkv"), size=1000, reason="a torrent client holds it")
        for n in range(stay)
    )
    given = {
        "id": "p1",
        "library": "films",
        "machine": "nas",
        "digest": "0" * 64,
        "state": "open",
        "created_at": now(),
        "items": [
            {
                "key": "1",
                "path": PathRef.of(b"old.mkv"),
                "size": 1000,
                "frees": 1000,
                "modified_at": now(),
                "reason": "oldest: not modified since 2001-01-01",
            }
        ],
        "stay": held,
        "stay_files": stay,
        "stay_bytes": 1000 * stay,
        **dict.fromkeys(("used", "limit", "target", "moves", "frees_on_purge"), 1000),
        **dict.fromkeys(("shortfall", "frees_now"), 0),
        **values,
    }
    return Plan.model_validate(given)


def test_a_plan_names_what_stays_because_a_client_holds_it(arcanum: Arcanum) -> None:
    told = plan(12, unknown=("what box seeds: it was never heard",))
    ran = arcanum("quota", "plan", "films", answers=Answers({"quota.plan": told}))
    assert ran.code == 0
    assert "12 files as old, 12 kB: a torrent client holds it" in ran.out
    assert "what box seeds: it was never heard" in ran.out
    assert "\\x1b9.mkv" in ran.out
    assert "\\x1b10.mkv" not in ran.out
    assert "and 2 more that stay" in ran.err
    ran = arcanum("quota", "plan", "films", "--json", answers=Answers({"quota.plan": told}))
    assert (json.loads(ran.out)["stay_files"], len(json.loads(ran.out)["stay"])) == (12, 12)


def test_where_nothing_stays_nothing_is_said_of_it(arcanum: Arcanum) -> None:
    ran = arcanum("quota", "plan", "films", answers=Answers({"quota.plan": plan()}))
    assert "old.mkv" in ran.out
    assert "stay" not in ran.out.lower()
    assert "not known" not in ran.out


def test_a_plan_says_of_how_much_there_is_another_copy(arcanum: Arcanum) -> None:
    text = "no other copy of it is known"
    copies = {"known": 0, "none": 1, "unhashed": 0, "text": text}
    answers = Answers({"quota.plan": plan(copies=copies)})
    assert f"copies  {text}" in arcanum("quota", "plan", "films", answers=answers).out
    ran = arcanum("quota", "plan", "films", "--json", answers=answers)
    assert json.loads(ran.out)["copies"] == copies
