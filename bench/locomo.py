"""Conversations in LoCoMo's form: turns with times, and questions with the turns that answer them.

Maharana et al., Evaluating Very Long-Term Conversational Memory of LLM Agents, ACL 2024. The data
is not part of this project: a path to it is given.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from bench.house import CannotMeasure

CATEGORIES = {
    1: "multi-hop",
    2: "temporal",
    3: "open-domain",
    4: "single-hop",
    5: "adversarial",
}
_ID = re.compile(r"D\d+:\d+")
_CLOCK = "%I:%M %p on %d %B, %Y"


@dataclass(frozen=True, slots=True)
class Turn:
    """``ref`` is its ``dia_id``; ``session`` the sitting that it belongs to."""

    ref: str
    session: str
    speaker: str
    at: datetime
    text: str


@dataclass(frozen=True, slots=True)
class Question:
    """``evidence``: the refs of the turns that answer it, at least one."""

    text: str
    category: str
    evidence: frozenset[str]


@dataclass(frozen=True, slots=True)
class Conversation:
    """``name`` is the namespace that it gets."""

    name: str
    turns: tuple[Turn, ...]
    questions: tuple[Question, ...]


def conversations(path: Path) -> list[Conversation]:
    """All conversations of a file. Raises CannotMeasure for what is no such file."""
    try:
        found = json.loads(path.read_text("utf-8"))
        return [
            Conversation(
                f"conversation {number}",
                tuple(_turns(one["conversation"])),
                tuple(_questions(one)),
            )
            for number, one in enumerate(found, 1)
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CannotMeasure(f"{path} is no file of LoCoMo: {error!r}") from error


def _turns(conversation: dict[str, Any]) -> Iterator[Turn]:
    numbers = sorted(
        int(found[1]) for key in conversation if (found := re.fullmatch(r"session_(\d+)", key))
    )
    for number in numbers:
        name = f"session_{number}"
        begun = datetime.strptime(conversation[f"{name}_date_time"], _CLOCK).astimezone()
        for place, turn in enumerate(conversation[name]):
            shown = turn.get("blip_caption")
            yield Turn(
                turn["dia_id"],
                f"session {number}",
                turn["speaker"],
                begun + timedelta(seconds=place),
                f"{turn['text']} [shares {shown}]" if shown else turn["text"],
            )


def _questions(one: dict[str, Any]) -> Iterator[Question]:
    """Some evidence holds several ids in one string; a question without any asks nothing here."""
    for asked in one["qa"]:
        evidence = frozenset(ref for text in asked["evidence"] for ref in _ID.findall(text))
        if evidence:
            yield Question(asked["question"], CATEGORIES[asked["category"]], evidence)
