"""The memories behind the fake engine: found by their words, in namespaces, replaced, forgotten."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from engine.contract import memory, recall
from engine.contract.approvals import Approval, ApprovalState, Card, CardItem, CardRow, Outcome
from engine.contract.base import PathRef
from engine.contract.errors import NotFound
from engine.contract.memories import (
    Folder,
    Forget,
    Memory,
    Parts,
    RecallHit,
    Replaced,
    Stats,
    Unread,
)

if TYPE_CHECKING:
    from tests.fakes.fake_world import World

NEAR = 2
"""So many memories stand around one that is shown, on each side."""


class Memories:
    """``since`` and ``until``: the time that the next queries are understood to ask for;
    ``partial``: what they cannot search."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.all: dict[int, Memory] = {}
        self.folders: list[Folder] = []
        self.gone: set[int] = set()
        self.since: datetime | None = None
        self.until: datetime | None = None
        self.partial = ""
        self.waiting = 0

    # --- what is remembered ---------------------------------------------------------------------

    def put(self, namespace: str, text: str, **changes: Any) -> Memory:
        """Something is remembered, and nobody is told."""
        fields: dict[str, Any] = {
            "id": len(self.all) + len(self.gone) + 1, "namespace": namespace, "kind": "note",
            "text": text, "at": self.world.now, "added_at": self.world.now, "source": "note",
            "importance": 0.4,
        }  # fmt: skip
        made = Memory(**(fields | changes))
        self.all[made.id] = made
        return made

    def add_turn(self, turn: memory.Turn) -> None:
        self.put(
            turn.session, turn.question, kind="turn", source="", turn_id=turn.id, at=turn.asked_at
        )

    def replace(self, old: int, new: int) -> None:
        """A newer memory takes the place of an older one."""
        gone = self.change(old, state="replaced", replaced_by=new)
        told = Replaced(id=old, text=gone.text, at=gone.at, how="replaced")
        self.change(new, replaces=(told, *self.all[new].replaces))

    def change(self, number: int, **changes: Any) -> Memory:
        if number in self.gone:
            raise NotFound(f"Memory {number} was forgotten (2026-07-01).", "It is gone.")
        if number not in self.all:
            raise NotFound(f"There is no memory {number}.", "arcanum memory list")
        self.all[number] = self.all[number].model_copy(update=changes)
        return self.all[number]

    def tell(self, change: Any, *numbers: int, namespace: str = "") -> None:
        self.world.emit(
            recall.MemoryChanged(
                change=change, namespace=namespace, ids=numbers, count=len(numbers),
                at=self.world.now,
            )
        )  # fmt: skip

    def of_earlier(self, turn: memory.Turn) -> tuple[RecallHit, ...]:
        """What is recalled for a question: the last turns before it."""
        earlier = [
            m
            for m in self.all.values()
            if m.namespace == turn.session and m.turn_id != turn.id and m.state == "live"
        ]
        return tuple(_hit(m, 1.0) for m in earlier if m.turn_id is not None)[-2:]

    # --- operations -----------------------------------------------------------------------------

    async def search(self, request: recall.Search) -> recall.SearchResult:
        words = [w.strip("?.,!") for w in request.query.lower().split()]
        found = []
        for each in self.all.values():
            near = each.namespace == request.namespace or each.pinned
            if not near or request.kind not in {None, each.kind}:
                continue
            if request.state not in {None, each.state} or (request.pinned and not each.pinned):
                continue
            score = sum(1.0 for w in words if w in each.text.lower()) / max(1, len(words))
            if score and each.state in {"live", "archived"}:
                asked = self.since is not None and self.until is not None
                within = asked and self.since <= each.at < self.until  # type: ignore[operator]
                found.append(_hit(each, 2.4 * score, 0.5 if within else 0.0))
        best = sorted(found, key=lambda h: (-h.score, -h.id))[: request.limit]
        return recall.SearchResult(
            hits=tuple(best), since=self.since, until=self.until, partial=self.partial,
            seconds=0.01,
        )  # fmt: skip

    async def list(self, request: recall.ListMemories) -> recall.MemoryPage:
        wanted = [
            m
            for m in self.all.values()
            if request.namespace in {None, m.namespace}
            and request.kind in {None, m.kind}
            and request.state in {None, m.state}
            and (m.pinned or not request.pinned)
        ]
        newest = sorted(wanted, key=lambda m: (m.at, m.id), reverse=True)
        start = 0 if request.before is None else int(request.before)
        end = start + request.limit
        return recall.MemoryPage(
            memories=tuple(newest[start:end]), total=len(newest),
            next=str(end) if end < len(newest) else None,
        )  # fmt: skip

    async def show(self, request: recall.OneMemory) -> recall.Shown:
        found = self.change(request.id)
        same = [m for m in self.all.values() if m.namespace == found.namespace]
        at = same.index(found)
        return recall.Shown(memory=found, around=tuple(same[max(0, at - NEAR) : at + NEAR + 1]))

    async def add(self, request: recall.AddNotes) -> recall.Added:
        ids = tuple(self.put(request.namespace, note.text).id for note in request.notes)
        self.tell("added", *ids, namespace=request.namespace)
        return recall.Added(namespace=request.namespace, ids=ids, added=len(ids))

    async def pin(self, request: recall.Pin) -> Memory:
        found = self.change(request.id, pinned=not request.off)
        self.tell("unpinned" if request.off else "pinned", found.id, namespace=found.namespace)
        return found

    async def edit(self, request: recall.Edit) -> Memory:
        old = self.change(request.id)
        if request.text is not None:
            kept = self.put(
                old.namespace, old.text, at=old.at, state="replaced", replaced_by=old.id
            )
            told = Replaced(id=kept.id, text=old.text, at=old.at, how="replaced")
            self.change(old.id, text=request.text, replaces=(told, *old.replaces))
        self.tell("edited", old.id, namespace=old.namespace)
        return self.all[old.id]

    def request_forgetting(self, request: Forget) -> int:
        found = [self.change(number) for number in request.ids]
        card = Card(
            verb="forget",
            subject="what files no longer say" if request.gone else found[0].namespace,
            headline=f"{len(found)} memories · for good",
            rows=(CardRow(label="DO", text=f"forget {len(found)} memories for good"),),
            items=tuple(CardItem(key=str(m.id), text=m.text[:200]) for m in found),
            confirm_count=len(found),
        )  # fmt: skip
        return self.world.add_approval(card, operation=recall.FORGET.name)

    def forgotten(self, approval: Approval) -> Approval:
        ids = [int(item.key) for item in approval.card.items]
        for number in ids:
            del self.all[number]
            self.gone.add(number)
        self.tell("forgotten", *ids, namespace=approval.card.subject)
        outcome = Outcome(
            state=ApprovalState.DONE, done=len(ids), total=len(ids), summary="forgotten"
        )
        return self.world.change_approval(approval.id, state=ApprovalState.DONE, outcome=outcome)

    async def restore(self, request: recall.Restore) -> recall.Restored:
        for number in request.ids:
            self.change(number, state="live", replaced_by=None)
        self.tell("restored", *request.ids)
        return recall.Restored(ids=request.ids)

    async def namespaces(self, request: Any) -> recall.Namespaces:
        names = dict.fromkeys(m.namespace for m in self.all.values())
        return recall.Namespaces(namespaces=tuple(self._namespace(name) for name in names))

    def _namespace(self, name: str) -> recall.NamespaceInfo:
        mine = [m for m in self.all.values() if m.namespace == name]
        return recall.NamespaceInfo(
            name=name, memories=len(mine), pinned=sum(m.pinned for m in mine),
            last_at=max(m.at for m in mine), conversation=any(m.kind == "turn" for m in mine),
        )  # fmt: skip

    async def stats(self, request: Any) -> Stats:
        states = [m.state for m in self.all.values()]
        return Stats(
            memories=len(states), live=states.count("live"), merged=states.count("merged"),
            replaced=states.count("replaced"), archived=states.count("archived"),
            pinned=sum(m.pinned for m in self.all.values()), forgotten=len(self.gone),
            namespaces=len({m.namespace for m in self.all.values()}), waiting=self.waiting,
            to_embed=0, index="ready", embedding="minilm-l6-v2", dimensions=384,
            vectors=len(states), index_bytes=4_200_000, resident_bytes=12_600_000,
            folders=tuple(self.folders),
        )  # fmt: skip

    async def watch(self, request: recall.WatchFolder) -> Folder:
        made = Folder(
            path=request.path, namespace=request.namespace, pinned=request.pinned, state="reading"
        )
        self.folders.append(made)
        return made

    def read_folder(self, files: int, passages: int, *problems: tuple[str, str]) -> None:
        """The last folder was read. ``problems``: files that could not be, and why."""
        told = {"state": "ok", "files": files, "passages": passages, "read_at": self.world.now}
        told["unread"] = len(problems)
        told["problems"] = tuple(Unread(path=PathRef.of(path), why=why) for path, why in problems)
        self.folders[-1] = self.folders[-1].model_copy(update=told)
        self.tell("documents", namespace=self.folders[-1].namespace)

    async def unwatch(self, request: recall.UnwatchFolder) -> recall.Folders:
        self.folders = [f for f in self.folders if f.path != request.path]
        return recall.Folders(folders=tuple(self.folders))


def _hit(found: Memory, score: float, time: float = 0.0) -> RecallHit:
    parts = Parts(
        lexical=score * 0.5, dense=score * 0.3, neighbours=score * 0.15, entities=score * 0.05,
        time=time,
    )  # fmt: skip
    return RecallHit(**dict(found), score=score + time, parts=parts)


def remembering(world: World) -> World:
    """A garden and a bike: notes, turns and passages of a folder, over some years."""
    put, now = world.memories.put, world.now

    def past(days: float) -> datetime:
        return now - timedelta(days=days)

    old = put("main", "My bike is red.", kind="turn", source="", turn_id=1, at=past(200), uses=2)
    put(
        "main", "The lock of the shed opens with 4711, the key hangs behind the door.",
        at=past(90), pinned=True, importance=0.9, uses=11, used_at=past(2),
    )  # fmt: skip
    put(
        "main", "Caroline went to the support group last week and found it powerful.",
        speaker="Caroline", at=past(1290), source="letters", ref="D1:3", importance=0.62,
    )  # fmt: skip
    put(
        "main", "The tyres of the bike take 3.5 bar in front and 4 behind; the valve is a Presta.",
        kind="document", source="/srv/notes/bike.md", ref="Tyres", at=past(30), uses=1,
        used_at=past(9),
    )  # fmt: skip
    new = put(
        "main", "I had the bike painted: it is turquoise now, and the bell is new as well.",
        kind="turn", source="", turn_id=2, at=past(12), uses=5, used_at=past(0.1), importance=0.71,
    )  # fmt: skip
    put("main", "We talked about the weather in Lyon.", at=past(700), state="archived")
    put("garden", "The peas are sown in March.", pinned=True, at=past(240), importance=0.5)
    world.memories.replace(old.id, new.id)
    return world
