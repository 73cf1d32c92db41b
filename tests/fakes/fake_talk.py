"""The conversations behind the fake engine: turns in branches, names, deletions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from engine.contract import agent0, memory
from engine.contract.approvals import Approval, ApprovalState, Card, CardRow, Outcome, Undo
from engine.contract.errors import NotFound, Refused

if TYPE_CHECKING:
    from tests.fakes.fake_world import World


class Talk:
    """``head`` is the last turn of each conversation's current branch; ``gone`` are deleted."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.turns: list[memory.Turn] = []
        self.head: dict[str, int] = {}
        self.titles: dict[str, str] = {}
        self.gone: set[str] = set()

    # --- turns ----------------------------------------------------------------------------------

    def add(self, session: str, question: str, answer: str, **changes: Any) -> memory.Turn:
        """A turn behind the last one, or behind the ``parent_id`` that is given."""
        now = self.world.now
        fields: dict[str, Any] = {
            "id": len(self.turns) + 1, "session": session, "question": question, "answer": answer,
            "status": "done", "model": self.world.model.model, "asked_at": now,
            "answered_at": now, "parent_id": self.head.get(session),
        }  # fmt: skip
        self.turns.append(memory.Turn(**(fields | changes)))
        self.head[session] = self.turns[-1].id
        self.world.memories.add_turn(self.turns[-1])
        return self.with_siblings(self.turns[-1])

    def with_siblings(self, turn: memory.Turn) -> memory.Turn:
        same = [
            t.id for t in self.turns if (t.session, t.parent_id) == (turn.session, turn.parent_id)
        ]
        return turn.model_copy(update={"siblings": tuple(same) if len(same) > 1 else ()})

    def _names(self, attachment: agent0.Attachment) -> tuple[str, ...]:
        if isinstance(attachment, agent0.TurnAttachment):
            return next(t.attached for t in self.turns if t.id == attachment.turn_id)
        if isinstance(attachment, agent0.TextAttachment):
            return (attachment.name,)
        return (attachment.path.display,)

    def opened(self, request: agent0.Ask) -> memory.Turn:
        if request.session in self.gone:
            raise Refused(f"The conversation {request.session!r} was deleted.", "Undo that first.")
        names = tuple(name for a in request.attachments for name in self._names(a))
        where = {} if request.after is None else {"parent_id": request.after or None}
        return self.add(
            request.session, request.text, "", status="open", answered_at=None, attached=names,
            **where,
        )  # fmt: skip

    def closed(self, turn: memory.Turn, answer: str, status: str) -> memory.Turn:
        turn = turn.model_copy(
            update={"answer": answer, "status": status, "answered_at": self.world.now}
        )
        self.turns[turn.id - 1] = turn
        self.world.emit(
            memory.TurnClosed(
                session=turn.session, turn_id=turn.id, status=status, at=self.world.now
            )
        )
        return self.with_siblings(turn)

    def branch(self, session: str) -> list[memory.Turn]:
        """The current branch, oldest first."""
        found: list[memory.Turn] = []
        at = self.head.get(session)
        while at is not None:
            found.insert(0, self.with_siblings(self.turns[at - 1]))
            at = found[0].parent_id
        return found

    # --- operations -----------------------------------------------------------------------------

    def _known(self, session: str) -> None:
        if session in self.gone or session not in self.head:
            raise NotFound(f"There is no conversation {session!r}.")

    async def list_turns(self, request: memory.ShowTurns) -> memory.TurnList:
        self._known(request.session)
        mine = self.branch(request.session)
        if request.before is not None:
            mine = [t for t in mine if t.id < request.before]
        return memory.TurnList(turns=tuple(mine[-request.limit :]))

    def summary(self, session: str) -> memory.SessionSummary:
        mine = [t for t in self.turns if t.session == session]
        return memory.SessionSummary(
            name=session, turns=len(mine), last_at=mine[-1].asked_at,
            title=self.titles.get(session, ""),
        )  # fmt: skip

    async def list_sessions(self, request: memory.ListSessions) -> memory.SessionList:
        words = request.containing.lower()
        names = list(dict.fromkeys(t.session for t in reversed(self.turns)))
        return memory.SessionList(
            sessions=tuple(
                self.summary(name)
                for name in names
                if (name in self.gone) == request.deleted and self._holds(name, words)
            )
        )

    def _holds(self, session: str, words: str) -> bool:
        texts = [session, self.titles.get(session, "")]
        texts += [f"{t.question}\n{t.answer}" for t in self.turns if t.session == session]
        return any(words in text.lower() for text in texts)

    async def rename(self, request: memory.RenameSession) -> memory.SessionSummary:
        self._known(request.session)
        if request.to in self.head:
            raise Refused(f"There is a conversation {request.to!r} already.", "Choose another.")
        self.turns = [
            t.model_copy(update={"session": request.to}) if t.session == request.session else t
            for t in self.turns
        ]
        self.head[request.to] = self.head.pop(request.session)
        if request.session in self.titles:
            self.titles[request.to] = self.titles.pop(request.session)
        self._tell(request.session, "renamed", request.to)
        return self.summary(request.to)

    async def switch(self, request: memory.SwitchBranch) -> memory.TurnList:
        self._known(request.session)
        at = request.turn_id
        while children := [t.id for t in self.turns if t.parent_id == at]:
            at = children[-1]
        self.head[request.session] = at
        self._tell(request.session, "switched")
        return await self.list_turns(memory.ShowTurns(session=request.session))

    async def export(self, request: memory.OneSession) -> AsyncIterator[memory.Turn]:
        self._known(request.session)
        for turn in self.turns:
            if turn.session == request.session:
                yield self.with_siblings(turn)

    def request_deletion(self, session: str) -> int:
        self._known(session)
        card = Card(
            verb="delete", subject=session, headline=f"conversation · {session}",
            rows=(CardRow(label="DO", text=f"delete the conversation {session}"),),
        )  # fmt: skip
        return self.world.add_approval(card, operation=memory.DELETE.name)

    def deleted(self, approval: Approval) -> Approval:
        session = approval.card.subject
        self.gone.add(session)
        undo = Undo(operation=memory.RESTORE.name, request={"session": session}, until=None)
        outcome = Outcome(
            state=ApprovalState.DONE, done=1, total=1, summary=f"{session} deleted", undo=undo
        )
        self._tell(session, "deleted")
        return self.world.change_approval(approval.id, state=ApprovalState.DONE, outcome=outcome)

    async def restore(self, request: memory.OneSession) -> memory.RestoredSession:
        self.gone.discard(request.session)
        for approval in self.world.approvals.values():
            if approval.card.subject == request.session:
                self.world.change_approval(approval.id, undone=True)
        self._tell(request.session, "restored")
        return memory.RestoredSession(session=self.summary(request.session))

    def _tell(self, session: str, change: Any, now_called: str = "") -> None:
        self.world.emit(
            memory.SessionChanged(
                session=session, change=change, now_called=now_called, at=self.world.now
            )
        )
