"""Everything a key can do: the one list behind bindings, the keys line, palette and help.

An action is carried out by the method ``action_<id>`` of whatever ``where`` names: the app, a
screen, a modal or the list that has the focus.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from textual.binding import Binding


@dataclass(frozen=True, slots=True)
class Action:
    """``keys`` as Textual names them, the first is shown. ``group`` is a heading of the help.

    ``footer``: place in the keys line, 0 for none; where room is short the highest numbers go
    first. ``operation`` is what it calls in the engine, "" where it stays on the screen.
    ``answer``: it answers a card, so it counts only as a key of its own on a painted card.
    """

    id: str
    keys: tuple[str, ...]
    label: str
    help: str
    group: str
    where: str
    footer: int = 0
    operation: str = ""
    answer: bool = False


ACTIONS: tuple[Action, ...] = (
    # --- everywhere -----------------------------------------------------------------------------
    Action("open_overview", ("1", "o", "f1"), "overview", "Go to the overview", "Go to", "app"),
    Action("open_agent", ("2", "c", "f2"), "chat", "Ask Agent-0", "Go to", "app", 4, "agent0.ask"),
    Action("open_media", ("3", "m", "f3"), "media", "Libraries and files", "Go to", "app", 5, "media.libraries"),
    Action("open_approvals", ("a", "4", "f4"), "needs you", "What waits for your answer", "Go to", "app", 2, "approvals.list"),
    Action("palette", ("colon", "ctrl+p"), "palette", "Find an action by name", "Everywhere", "app", 8),
    Action("help", ("question_mark",), "help", "What every key does here", "Everywhere", "app", 3),
    Action("undo", ("u",), "undo", "Take back the latest act that can be undone", "Everywhere", "app", 6, "quota.undo"),
    Action("back", ("escape",), "back", "Close, stop or go back; never loses anything", "Everywhere", "app"),
    Action("reconnect", ("r",), "reconnect", "Ask the engine for everything again", "Everywhere", "app"),
    Action("theme", ("t",), "theme", "Dark or light", "Everywhere", "app"),
    Action("next_pane", ("tab",), "next pane", "Go to the next pane", "Everywhere", "app"),
    Action("previous_pane", ("shift+tab",), "previous pane", "Go to the pane before", "Everywhere", "app"),
    Action("copy", ("ctrl+c",), "copy", "Copy what is selected; leaves where nothing is", "Everywhere", "app"),
    Action("leave", ("q", "ctrl+q"), "leave", "Leave; says first what still runs", "Everywhere", "app", 9),
    # --- any list -------------------------------------------------------------------------------
    Action("down", ("down", "j"), "down", "The next line", "Lists", "list"),
    Action("up", ("up", "k"), "up", "The line before", "Lists", "list"),
    Action("page_down", ("pagedown", "ctrl+d"), "page down", "A screenful on", "Lists", "list"),
    Action("page_up", ("pageup", "ctrl+u"), "page up", "A screenful back", "Lists", "list"),
    Action("first", ("home", "g"), "first", "The first line", "Lists", "list"),
    Action("last", ("end", "G"), "last", "The last line", "Lists", "list"),
    Action("choose", ("enter", "l", "right"), "open", "Open what the cursor is on", "Lists", "list", 1),
    # --- overview -------------------------------------------------------------------------------
    # Action("pause_job", ("p",), "pause", "Pause the selected job, or carry on", "Jobs", "overview", 0, "jobs.pause"),
    # Action("cancel_job", ("x",), "stop job", "Stop the selected job for good", "Jobs", "overview", 0, "jobs.cancel"),
    # --- Agent-0 --------------------------------------------------------------------------------
    Action("sessions", ("ctrl+o",), "sessions", "Go to another conversation, or begin one", "Agent-0", "agent", 1, "memory.sessions"),
    Action("stop_answer", ("ctrl+x",), "stop", "Stop the answer (so does Esc)", "Agent-0", "agent"),
    Action("write", ("i", "enter"), "write", "Go to the question line", "Agent-0", "agent", 1),
    # --- media ----------------------------------------------------------------------------------
    Action("filter", ("slash",), "filter", "Show only names that contain a text", "Media", "media", 1, "media.list"),
    Action("sort", ("s",), "sort", "By path, by size, by age", "Media", "media"),
    Action("scan", ("S", "ctrl+s"), "scan", "Read the library: new, changed, vanished files", "Media", "media", 2, "media.scan"),
    Action("add_library", ("n", "plus"), "add", "Watch a folder as a library", "Media", "media", 3, "media.add"),
    Action("set_limit", ("b",), "limit", "Set the library's limit in bytes", "Media", "media", 4, "quota.set"),
    Action("prune", ("p",), "prune", "Plan what to move to the trash; waits for your answer", "Media", "media", 4, "quota.prune"),
    # --- approvals ------------------------------------------------------------------------------
    Action("approve", ("y",), "do it", "Say yes to the card that is painted", "Answer", "approvals", 1, "approvals.approve", answer=True),
    Action("deny", ("n",), "deny", "Say no, with a reason", "Answer", "approvals", 1, "approvals.deny", answer=True),
    Action("keep", ("k",), "keep some", "Leave items out: a new plan and a new card", "Answer", "approvals", 3, "approvals.keep", answer=True),
    Action("items", ("enter", "l", "right"), "all items", "Read every item; never means yes", "Answer", "approvals", 2, "approvals.show"),
    Action("why", ("w",), "why", "Who asked, when, and what it relies on", "Answer", "approvals", 3, "approvals.show"),
    Action("card_down", ("J", "ctrl+down"), "card down", "Scroll the card down", "Answer", "approvals"),
    Action("card_up", ("K", "ctrl+up"), "card up", "Scroll the card up", "Answer", "approvals"),
    Action("undo", ("u",), "undo", "Take the selected act back", "Answer", "approvals", 5, "quota.undo", answer=True),
    # --- small windows --------------------------------------------------------------------------
    Action("toggle", ("space",), "tick", "Tick the line, or untick it", "Tick lists", "ticks", 1),
    Action("accept", ("enter",), "accept", "Go on with what is ticked", "Tick lists", "ticks", 2),
    Action("sure", ("y",), "do it", "After the count is typed: do it", "Count", "count", 1, "approvals.approve", answer=True),
)  # fmt: skip

SCREENS = ("overview", "agent", "media", "approvals")


def of(*where: str) -> tuple[Action, ...]:
    """The actions of these places, nearest place first; a key that a nearer place takes over
    belongs to that alone."""
    taken: set[str] = set()
    found: list[Action] = []
    for place in where:
        here = [a for a in ACTIONS if a.where == place and not set(a.keys) <= taken]
        found += here
        taken.update(key for a in here for key in a.keys)
    return tuple(found)


def bindings(where: str) -> list[Binding]:
    """The Textual bindings of one place."""
    return [
        Binding(",".join(a.keys), a.id, a.label, show=bool(a.footer), id=f"{where}.{a.id}")
        for a in ACTIONS
        if a.where == where
    ]


_NAMES = {
    "question_mark": "?", "colon": ":", "slash": "/", "plus": "+", "escape": "Esc", "enter": "Enter",
    "space": "Space", "tab": "Tab", "up": "↑", "down": "↓", "left": "←", "right": "→",
    "pagedown": "PgDn", "pageup": "PgUp", "home": "Home", "end": "End",
}  # fmt: skip


def key_name(key: str) -> str:
    """A key as people write it: ``Esc``, ``Ctrl+P``, ``?``."""
    *modifiers, last = key.split("+")
    name = _NAMES.get(last) or (last.upper() if len(last) > 1 or modifiers else last)
    return "+".join([m.capitalize() for m in modifiers] + [name])


def keys_of(actions: Iterable[Action], id_: str) -> str:
    """The first key of the action with this id, as people write it."""
    return next((key_name(a.keys[0]) for a in actions if a.id == id_), "")
