"""From a question to what the model is asked: the turns before it, what was attached, what is
recalled, and all of it within the model's context."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from engine.agent0.fitting import fit
from engine.agent0.prompt import Draft, Past, asked, is_small, telling
from engine.contract.backend import Backend, Message, Priority
from engine.contract.call import ActorKind, Call
from engine.contract.errors import ArcanumError
from engine.contract.memories import Recalled, RecallHit
from engine.contract.memory import WITHOUT, Turn
from engine.contract.ports import Attached, Recall, TurnLog

_log = logging.getLogger("arcanum.agent0")
_SMALL_TURNS = (4, 10)
_TURNS = (8, 24)
"""Earlier turns in a prompt, least and most."""
_RECALLED = 3
_THREADS = 64


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is sent. ``tokens`` of ``context`` are used, both 0 where unknown; ``most`` new ones
    are left for the answer. ``recalled`` went into it, None where the memories could not be
    searched; ``hits`` are the same with their words, where they were found just now. ``lacking``:
    which memories the answer does without, and why.

    ``session`` is "" where it does not go on with what the model has read of the conversation.
    """

    messages: tuple[Message, ...]
    most: int
    recalled: tuple[Recalled, ...] | None = ()
    hits: tuple[RecallHit, ...] = ()
    tokens: int = 0
    context: int = 0
    session: str = ""
    lacking: str = ""


@dataclass(slots=True)
class _Thread:
    """How a conversation was last put to the model: from which turn on, and which questions
    otherwise than they can be made again, because facts stood next to them."""

    first: int = 0
    asked: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Found:
    """``hits`` None: nothing could be searched. ``lacking`` says why, or what is missing."""

    hits: Sequence[RecallHit] | None
    lacking: str = ""


class Prompts:
    """Remembers how the latest conversations were put to the model, so that each prompt begins
    like the one before. What it forgets costs one longer reading, and nothing else."""

    def __init__(self, turns: TurnLog, recall: Recall) -> None:
        self._turns = turns
        self._recall = recall
        self._threads: OrderedDict[str, _Thread] = OrderedDict()

    async def prompt(
        self,
        backend: Backend,
        turn: Turn,
        attached: Sequence[Attached],
        most: int,
    ) -> Prompt:
        """What ``turn`` asks, for a loaded model. Raises PromptTooLong."""
        info = backend.info()
        thread = self._thread(turn.session)
        draft = await self._draft(turn, attached, thread, small=is_small(info.size))
        draft, found = await self._with_facts(draft, turn)
        draft, tokens = await fit(backend, draft, most)
        context = backend.info().context
        if not draft.alone:
            thread.first = draft.turns[0].turn_id if draft.turns else turn.id
            kept = {past.turn_id for past in draft.turns}
            thread.asked = {i: text for i, text in thread.asked.items() if i in kept}
            if draft.facts:
                thread.asked[turn.id] = draft.asked
        return Prompt(
            draft.messages(),
            min(most, context - tokens) if context else most,
            None if found.hits is None else tuple(hit.recalled for hit in draft.facts),
            draft.facts,
            tokens,
            context,
            "" if draft.alone else turn.session,
            found.lacking,
        )

    def forget(self) -> None:
        """Something was forgotten: no question is put any more as it was with facts next to it."""
        for thread in self._threads.values():
            thread.asked.clear()

    def _thread(self, session: str) -> _Thread:
        thread = self._threads.setdefault(session, _Thread())
        self._threads.move_to_end(session)
        while len(self._threads) > _THREADS:
            self._threads.popitem(last=False)
        return thread

    async def _draft(
        self, turn: Turn, attached: Sequence[Attached], thread: _Thread, *, small: bool
    ) -> Draft:
        path = await self._turns.path(turn, *(_SMALL_TURNS if small else _TURNS))
        if any(past.id == thread.first for past in path):
            path = [past for past in path if past.id >= thread.first]
        holding = [past.id for past in path if past.attached]
        read = await self._turns.attached(holding) if holding else {}
        turns = tuple(
            Past(
                past.id,
                thread.asked.get(past.id)
                or asked(past.question, read.get(past.id, ()), small=small),
                past.answer,
                bool(past.attached),
            )
            for past in path
        )
        return Draft(turn.question, tuple(attached), (), turns, small)

    async def _with_facts(self, draft: Draft, turn: Turn) -> tuple[Draft, _Found]:
        """A small model gets facts instead of the turns; attachments are the facts it has.

        They come from the branch of the turn, which may not be the current one any more.
        """
        if draft.small and (draft.attached or any(past.attached for past in draft.turns)):
            return draft, _Found([])
        turns = () if draft.small else draft.turns
        exclude = [past.turn_id for past in turns]
        found = await self._recalled(turn, exclude)
        facts = telling(found.hits or (), turns)
        return (replace(draft, facts=facts, turns=turns) if facts else draft), found

    async def _recalled(self, turn: Turn, exclude: Sequence[int]) -> _Found:
        """An answer does not wait for a recall that has to be mended: it says so."""
        try:
            found = await self._recall.recall(
                turn.session, turn.question, _RECALLED, exclude, last=turn.parent_id or 0
            )
        except ArcanumError as error:
            _log.warning("answered without memories: %s", error.message)
            why = error.message
            return _Found(None, f"{WITHOUT} memories, which could not be searched: {why}")
        lacking = f"{WITHOUT} some memories: {found.lacking}" if found.lacking else ""
        return _Found(found.hits, lacking)


def priority_of(call: Call) -> Priority:
    """Who waits for it: a person, an answer that a person waits for, or nobody."""
    if call.actor.kind is ActorKind.OPERATOR:
        return Priority.INTERACTIVE
    return Priority.COUNCIL if call.actor.kind is ActorKind.MODEL else Priority.BACKGROUND
