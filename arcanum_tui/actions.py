"""Everything a key can do: the one list behind bindings, the keys line, palette and help.

An action is carried out by the method ``action_<id>`` of whatever ``where`` names: the app, a
screen, a modal or the list that has the focus.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from textual.binding import Binding


@dataclass(frozen=True, slots=True)
class Action:
    """``keys`` as Textual names them, the first is shown; without one it is chosen by its name, in
    the palette. ``group`` is a heading of the help.

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


# fmt: off
ACTIONS: tuple[Action, ...] = (
    # --- everywhere
    Action("open_overview", ("1", "o", "f1"), "overview",
           "Go to the overview", "Go to", "app"),
    Action("open_agent", ("2", "c", "f2"), "chat",
           "Ask Agent-0", "Go to", "app", 4, "agent0.ask"),
    Action("open_media", ("3", "m", "f3"), "media",
           "Libraries and files", "Go to", "app", 5, "media.libraries"),
    Action("open_approvals", ("a", "4", "f4"), "needs you",
           "What waits for your answer", "Go to", "app", 2, "approvals.list"),
    Action("open_memory", ("5", "M", "f5"), "memory",
           "What is remembered, and how it is found again", "Go to", "app", 10, "recall.search"),
    Action("palette", ("colon", "ctrl+p"), "palette",
           "Find an action by name", "Everywhere", "app", 8),
    Action("help", ("question_mark",), "help",
           "What every key does here", "Everywhere", "app", 3),
    Action("undo", ("u",), "undo",
           "Take back the latest act that can be undone", "Everywhere", "app", 6, "quota.undo"),
    Action("back", ("escape",), "back",
           "Close, stop or go back; never loses anything", "Everywhere", "app", 7),
    Action("reconnect", ("r",), "read again",
           "Ask the engine for everything again, or try to reach it", "Everywhere", "app"),
    Action("theme", ("t",), "theme",
           "The next one: dark, light, high contrast, colour-blind-safe", "Everywhere", "app"),
    Action("next_pane", ("tab",), "next pane",
           "Go to the next pane", "Everywhere", "app"),
    Action("previous_pane", ("shift+tab",), "pane before",
           "Go to the pane before", "Everywhere", "app"),
    Action("copy", ("ctrl+c",), "copy",
           "Copy what is selected; leaves where nothing is", "Everywhere", "app"),
    Action("leave", ("q", "ctrl+q"), "leave",
           "Leave; says first what still runs", "Everywhere", "app", 9),
    # --- lists
    Action("down", ("down", "j"), "down",
           "The next line", "Lists", "list"),
    Action("up", ("up", "k"), "up",
           "The line before", "Lists", "list"),
    Action("page_down", ("pagedown", "ctrl+d"), "page down",
           "A screenful on", "Lists", "list"),
    Action("page_up", ("pageup", "ctrl+u"), "page up",
           "A screenful back", "Lists", "list"),
    Action("first", ("home", "g"), "first",
           "The first line", "Lists", "list"),
    Action("last", ("end", "G"), "last",
           "The last line", "Lists", "list"),
    Action("choose", ("enter", "l", "right"), "open",
           "Open what the cursor is on", "Lists", "list", 1),
    # --- the queue beside a card: the letters answer the card
    Action("down", ("down",), "down",
           "The next approval", "Queue", "queue"),
    Action("up", ("up",), "up",
           "The approval before", "Queue", "queue"),
    Action("page_down", ("pagedown",), "page down",
           "A screenful on", "Queue", "queue"),
    Action("page_up", ("pageup",), "page up",
           "A screenful back", "Queue", "queue"),
    Action("first", ("home",), "first",
           "The first approval", "Queue", "queue"),
    Action("last", ("end",), "last",
           "The last approval", "Queue", "queue"),
    # --- overview
    Action("pause_job", ("p",), "pause job",
           "Pause the marked job, or the only one that runs; or carry on", "Jobs", "overview",
           0, "jobs.pause"),
    Action("cancel_job", ("x",), "stop job",
           "Stop the marked job, or the only one that runs, for good", "Jobs", "overview",
           0, "jobs.cancel"),
    # --- Agent-0
    Action("write", ("i",), "write",
           "Go to the line for a question", "Agent-0", "agent", 1),
    Action("sessions", ("ctrl+o",), "conversations",
           "Find, begin, rename, export or delete a conversation", "Agent-0", "agent",
           2, "memory.sessions"),
    Action("new_session", ("ctrl+n",), "new",
           "Begin a new conversation", "Agent-0", "agent", 7),
    Action("model", ("ctrl+l",), "model",
           "Use another model", "Agent-0", "agent", 4, "model.use"),
    Action("attach", ("ctrl+g",), "attach",
           "Give a text file or a catalogued file along with the question", "Agent-0", "agent", 4),
    Action("stop_answer", ("ctrl+x",), "stop",
           "Stop the answer, as Esc does", "Agent-0", "agent"),
    Action("retry", ("ctrl+r",), "ask again",
           "Ask the same question again, beside the answer that is there", "Agent-0", "agent",
           5, "agent0.ask"),
    # --- the turn that is selected
    Action("edit", ("e",), "edit",
           "Ask the selected question otherwise, in a branch of its own", "Turn", "agent", 1),
    Action("copy_answer", ("y",), "copy",
           "Copy the selected answer as it was written", "Turn", "agent", 2),
    Action("copy_code", ("b",), "copy code",
           "Copy a block of code of the selected answer", "Turn", "agent", 3),
    Action("branch_before", ("h", "left"), "branch before",
           "Go to the answer before, of those to the same place", "Turn", "agent",
           5, "memory.switch"),
    Action("branch_after", ("l", "right"), "next branch",
           "Go to the next answer, of those to the same place", "Turn", "agent",
           5, "memory.switch"),
    Action("memories", ("w", "ctrl+s"), "memories",
           "Which memories went into the selected answer", "Turn", "agent", 6, "recall.show"),
    Action("down", ("down", "j"), "down",
           "Read on; at the end of a turn the next one", "Turn", "turns"),
    Action("up", ("up", "k"), "up",
           "Read back; at the beginning of a turn the one before", "Turn", "turns"),
    Action("page_down", ("pagedown", "ctrl+d"), "page down",
           "A screenful on", "Turn", "turns"),
    Action("page_up", ("pageup", "ctrl+u"), "page up",
           "A screenful back; older turns are read as they are reached", "Turn", "turns"),
    Action("first", ("home", "g"), "first",
           "The first turn", "Turn", "turns"),
    Action("last", ("end", "G"), "last",
           "The last turn", "Turn", "turns"),
    Action("choose", ("enter",), "open",
           "Go to the card that the turn waits for, or back to the line", "Turn", "turns"),
    # --- the line for a question
    Action("send", ("enter",), "send",
           "Ask what is written", "The line", "prompt", 1, "agent0.ask"),
    Action("break_line", ("shift+enter", "ctrl+j"), "new line",
           "Break the line", "The line", "prompt", 8),
    Action("turns", ("ctrl+t",), "turns",
           "Go to the turns: select, edit, copy, other answers", "The line", "prompt", 3),
    Action("older", ("up",), "older question",
           "On an empty line: the question before", "The line", "prompt"),
    Action("newer", ("down",), "newer question",
           "The next question, of those that were asked", "The line", "prompt"),
    Action("read_back", ("pageup",), "read back",
           "A screenful of the conversation back", "The line", "prompt"),
    Action("read_on", ("pagedown",), "read on",
           "A screenful of the conversation on", "The line", "prompt"),
    Action("take_off", ("backspace",), "take off",
           "On an empty line: take the last attachment off", "The line", "prompt"),
    # --- media
    Action("filter", ("slash",), "filter",
           "Show only names that contain a text, while you type", "Media", "media",
           1, "media.list"),
    Action("facets", ("f",), "facets",
           "Narrow it by kind, year, camera, source or state", "Media",
           "media", 1, "media.facets"),
    Action("narrow", ("space",), "take",
           "In the panel: take the value, or leave it", "Media", "media"),
    Action("tree", ("t",), "tree",
           "Folder by folder, or all files in one list", "Media", "media", 2, "media.tree"),
    Action("up_folder", ("h", "left", "backspace"), "folder up",
           "In the tree: the folder above", "Media", "media"),
    Action("scan", ("S",), "scan",
           "Read the library: new, changed and vanished files", "Media", "media", 2, "media.scan"),
    Action("duplicates", ("d",), "duplicates",
           "Files with the same bytes, and which of them to keep", "Media", "media",
           3, "media.duplicates"),
    Action("alike", ("D",), "alike",
           "Pictures that look alike; none is ever proposed to go", "Media", "media",
           4, "media.near"),
    Action("compare_pictures", ("C",), "compare",
           "Compare the pictures of all libraries by what they show", "Media", "media",
           7, "media.compare_pictures"),
    Action("verify", ("v",), "verify",
           "Read it again: is the file, folder or library still intact?", "Media",
           "media", 3, "media.verify"),
    Action("export", ("e",), "export",
           "Write what is listed to a CSV, JSON Lines or Markdown file", "Media", "media",
           5, "media.export"),
    Action("damaged", ("i",), "damaged",
           "Show only damaged files: those that failed a look at their integrity", "Media",
           "media", 0, "media.damaged"),
    Action("add_library", ("n", "plus"), "add",
           "Watch a folder as a library", "Media", "media", 4, "media.add"),
    Action("remove_library", ("X",), "remove",
           "Watch the library no longer; its files are not touched", "Media", "media",
           0, "media.remove"),
    Action("pause_scan", ("P",), "pause scan",
           "Pause the job that reads the library, or carry on", "Media", "media", 0, "jobs.pause"),
    Action("stop_scan", ("x",), "stop scan",
           "Stop the job that reads the library; what was read is kept", "Media", "media",
           0, "jobs.cancel"),
    Action("report", ("w",), "report",
           "Write a report of the libraries to an HTML, Markdown or JSON file", "Media", "media",
           0, "report.media"),
    Action("remotes", (), "remotes",
           "The commands that list, copy, sync or take an inventory, in a shell",
           "Media", "media", 0, "remotes.list"),
    Action("set_limit", ("b",), "limit",
           "Set how much the library may hold", "Media", "media", 6, "quota.set"),
    Action("prune", ("p",), "prune",
           "Plan what goes to the trash; waits for a yes", "Media", "media", 5, "quota.prune"),
    Action("sort", ("s",), "sort",
           "By path, size or a time; groups by bytes, copies or path", "Media", "media", 4),
    Action("reverse", ("R",), "other way",
           "Sort the other way round", "Media", "media"),
    Action("ask_about", ("at",), "ask about",
           "Ask Agent-0 about the selected file", "Media", "media", 8),
    # --- memory
    Action("search", ("slash",), "search",
           "Find what was said or noted, while you type", "Memory", "memory", 1, "recall.search"),
    Action("namespace", ("ctrl+o",), "namespace",
           "Look into another namespace", "Memory", "memory", 5, "recall.namespaces"),
    Action("show_only", ("f",), "filter",
           "All, or only pinned, notes, documents, turns, archived, merged, replaced", "Memory",
           "memory", 5, "recall.list"),
    Action("stats", ("s",), "state",
           "How much is remembered, and how the index stands", "Memory", "memory",
           6, "recall.stats"),
    Action("folders", ("w",), "folders",
           "Folders that are remembered and kept in step", "Memory", "memory", 6, "recall.watch"),
    Action("add_note", ("n", "plus"), "note",
           "Remember a note in this namespace", "The memory", "memory", 2, "recall.add"),
    Action("pin", ("p",), "pin",
           "Share the memory with every namespace, or no longer", "The memory", "memory",
           2, "recall.pin"),
    Action("edit", ("e",), "edit",
           "Correct the memory; what it said is kept as what was replaced", "The memory",
           "memory", 2, "recall.edit"),
    Action("forget", ("x",), "forget",
           "Plan to forget the memory for good; waits for a yes", "The memory", "memory",
           4, "recall.forget"),
    Action("restore", ("b",), "bring back",
           "Bring back what was archived, merged or replaced", "The memory", "memory",
           6, "recall.restore"),
    Action("read_on", ("J", "ctrl+down"), "read on",
           "Scroll the details down", "The memory", "memory"),
    Action("read_back", ("K", "ctrl+up"), "read back",
           "Scroll the details up", "The memory", "memory"),
    # --- the line for a search
    Action("to_list", ("enter", "down"), "to the list",
           "Go to what was found", "The line", "query", 1),
    # --- approvals
    Action("approve", ("y",), "do it",
           "Say yes to the card that is painted", "Answer", "approvals",
           1, "approvals.approve", answer=True),
    Action("deny", ("n",), "deny",
           "Say no, with a reason", "Answer", "approvals", 1, "approvals.deny", answer=True),
    Action("items", ("enter", "right"), "all items",
           "Read every item; never means yes", "Answer", "approvals", 2, "approvals.show"),
    Action("keep", ("k",), "keep some",
           "Leave items out: a new plan and a new card", "Answer", "approvals",
           3, "approvals.keep", answer=True),
    Action("why", ("w",), "why",
           "Who asked, when, and what it relies on", "Answer", "approvals", 3, "approvals.show"),
    Action("undo", ("u",), "undo",
           "Take the selected act back", "Answer", "approvals", 5, "quota.undo", answer=True),
    Action("card_down", ("J", "ctrl+down"), "card down",
           "Scroll the card down", "Answer", "approvals"),
    Action("card_up", ("K", "ctrl+up"), "card up",
           "Scroll the card up", "Answer", "approvals"),
    # --- windows
    Action("back", ("escape",), "back",
           "Close the window; nothing is changed", "Windows", "dialog"),
    Action("next_pane", ("tab",), "next pane",
           "Go to the next part of the window", "Windows", "dialog"),
    Action("previous_pane", ("shift+tab",), "pane before",
           "Go to the part before", "Windows", "dialog"),
    Action("copy", ("ctrl+c",), "copy",
           "Copy what is selected", "Windows", "dialog"),
    Action("down", ("down", "ctrl+n"), "down",
           "The next line of the list", "Windows", "picker"),
    Action("up", ("up", "ctrl+p"), "up",
           "The line before", "Windows", "picker"),
    Action("rename", ("f2", "ctrl+r"), "rename",
           "Give the selected conversation another name", "Windows", "sessions",
           0, "memory.rename"),
    Action("export", ("f5", "ctrl+s"), "export",
           "Write the selected conversation to a Markdown file", "Windows", "sessions",
           0, "memory.export"),
    Action("delete", ("f8",), "delete",
           "Delete the selected conversation; waits for a yes, and can be undone", "Windows",
           "sessions", 0, "memory.delete"),
    Action("verify", ("v",), "verify",
           "Read the file again: is it still what it was?", "Windows", "asset", 0, "media.verify"),
    Action("ask_about", ("at",), "ask about",
           "Ask Agent-0 about the file", "Windows", "asset"),
    Action("converse", ("c",), "conversation",
           "Go to the conversation where it was said", "Windows", "remembered"),
    Action("watch", ("n", "plus"), "watch",
           "Remember a folder of Markdown, text and PDF files", "Windows", "watched",
           0, "recall.watch"),
    Action("unwatch", ("x",), "no longer",
           "Remember the selected folder no longer; its files are not touched", "Windows",
           "watched", 0, "recall.unwatch"),
    Action("forget_gone", ("f",), "forget for good",
           "Plan to erase from every copy what files no longer say; waits for a yes", "Windows",
           "watched", 0, "recall.forget"),
    Action("complete", ("tab",), "complete",
           "Take the selected path into the line", "Windows", "attaching"),
    Action("tick", ("space",), "tick",
           "Tick the line, or untick it", "Windows", "ticks"),
    Action("sure", ("y",), "do it",
           "After the count is typed: do it", "Windows", "count",
           0, "approvals.approve", answer=True),
    Action("leave", ("q",), "leave",
           "Leave now", "Windows", "leaving"),
    Action("stop", ("x",), "stop",
           "Stop the job for good", "Windows", "stopping", 0, "jobs.cancel"),
)
# fmt: on

WRITTEN = frozenset({"prompt", "query"})
"""Places that are lines to write on: their keys hold there alone."""

SCREENS = ("overview", "agent", "media", "approvals", "memory")


def of(*where: str) -> tuple[Action, ...]:
    """The actions of these places, nearest place first, each with the keys that are its own here:
    one that a nearer place takes over belongs to that alone. An action without a key can still be
    chosen by its name, unless a nearer one does the same in its own way."""
    taken: set[str] = set()
    found: list[Action] = []
    for place in where:
        nearer = {a.id for a in found}
        here = [a for a in ACTIONS if a.where == place]
        own = [replace(a, keys=tuple(k for k in a.keys if k not in taken)) for a in here]
        found += [a for a in own if a.keys or a.id not in nearer]
        if place not in WRITTEN:
            taken.update(key for a in here for key in a.keys)
    return tuple(found)


def bindings(where: str) -> list[Binding]:
    """The Textual bindings of one place."""
    return [
        Binding(",".join(a.keys), a.id, a.label, show=bool(a.footer), id=f"{where}.{a.id}")
        for a in ACTIONS
        if a.where == where and a.keys
    ]


_NAMES = {
    "question_mark": "?", "colon": ":", "slash": "/", "plus": "+", "at": "@", "escape": "Esc",
    "enter": "Enter", "space": "Space", "tab": "Tab", "up": "↑", "down": "↓", "left": "←",
    "right": "→", "pagedown": "PgDn", "pageup": "PgUp", "home": "Home", "end": "End",
    "backspace": "Backspace",
}  # fmt: skip


def key_name(key: str) -> str:
    """A key as people write it: ``Esc``, ``Ctrl+P``, ``?``."""
    *modifiers, last = key.split("+")
    name = _NAMES.get(last) or (last.upper() if len(last) > 1 or modifiers else last)
    return "+".join([m.capitalize() for m in modifiers] + [name])


def character(key: str) -> str | None:
    """What the key would write into a line of text; None for a key that writes nothing."""
    name = {"space": " "}.get(key) or _NAMES.get(key, key)
    return name if len(name) == 1 and name.isascii() else None
