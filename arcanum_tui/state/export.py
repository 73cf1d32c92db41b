"""A conversation as Markdown. Pure.

What a person or a model wrote stands in fences that it cannot end: a viewer shows it, loads nothing
that it names, and follows nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from engine.contract.base import visible

if TYPE_CHECKING:
    from engine.contract.memory import Turn


def pages(session: str, turns: Iterable[Turn]) -> Iterator[str]:
    """The file, piece by piece: every branch, in the order in which it was asked."""
    yield heading(session)
    for turn in turns:
        yield page(turn)


def heading(session: str) -> str:
    return f"# Conversation {_span(session)}\n\n"


def page(turn: Turn) -> str:
    """One turn."""
    follows = "begins the conversation" if turn.parent_id is None else f"follows #{turn.parent_id}"
    attached = "".join(f"* attached: {_span(name)}\n" for name in turn.attached)
    how = turn.status if turn.status == "done" else f"{turn.status} {_span(turn.note)}".rstrip()
    by = f" · {_span(turn.model)}" if turn.model else ""
    return "".join(
        (
            f"## #{turn.id} · {turn.asked_at:%Y-%m-%d %H:%M:%S} UTC · {follows}\n\n",
            f"{attached}\n" if attached else "",
            _block(turn.question),
            f"{how}{by}:\n\n",
            _block(turn.answer) if turn.answer else "",
        )
    )


def file_name(session: str) -> str:
    """A name for the file that every disk takes."""
    plain = re.sub(r"[^\w.-]+", "-", session).strip("-.")
    return f"{plain or 'conversation'}.md"


def _block(text: str) -> str:
    """``text`` as a code block that nothing in it can end; control characters made visible."""
    shown = visible(text, keep="\n\t")
    fence = "`" * max(3, _longest_run(shown) + 1)
    return f"{fence}text\n{shown}\n{fence}\n\n"


def _span(text: str) -> str:
    """``text`` as a code span on one line; nothing where it is empty."""
    shown = visible(text)
    fence = "`" * (_longest_run(shown) + 1)
    return f"{fence} {shown} {fence}" if shown else ""


def _longest_run(text: str) -> int:
    """Backticks in the longest row of them."""
    return max((len(run) for run in re.findall("`+", text)), default=0)
