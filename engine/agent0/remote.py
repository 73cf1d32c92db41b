"""Asking a model on another machine: what would be sent is planned, shown and approved first.

What was approved is sent, byte for byte, and nothing else: an answer that is not what was hoped
for is not asked for again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Protocol

from engine.agent0.asking import Prompt
from engine.agent0.structure import Wanted
from engine.contract.agent0 import Ask, Structure, Structured
from engine.contract.approvals import ApprovalState, Card, CardItem, CardRow, Mark, Outcome
from engine.contract.backend import Backend, Message
from engine.contract.base import Json, visible
from engine.contract.call import Call
from engine.contract.errors import Refused
from engine.contract.memories import Recalled
from engine.contract.memory import Turn
from engine.contract.ports import Attached, Draft, Execution, Models, StoredPlan

_EXPIRES_S = 600.0

Check = Callable[[Backend], None]
"""Raises where the model that was lent may not be asked."""


def only_here(backend: Backend) -> None:
    """Raises Refused for a model that is elsewhere: nobody has seen what would be sent."""
    info = backend.info()
    if not info.local:
        raise Refused(
            f"The model in use is {visible(info.model)} at {visible(info.endpoint)} by now:"
            " nothing was sent.",
            "Ask again, and read what would leave this machine.",
        )


def only_there(plan: StoredPlan) -> Check:
    """Raises Refused for any other model than the approved one."""

    def check(backend: Backend) -> None:
        info = backend.info()
        if [visible(info.model), visible(info.endpoint)] != plan.payload["asks"]:
            raise Refused(
                f"The model in use is {visible(info.model)} by now: nothing was sent.", "Ask again."
            )

    return check


class Elsewhere:
    """What the plans of ``agent0.ask`` and ``agent0.structure`` have in common."""

    def __init__(self, models: Models) -> None:
        self._models = models

    async def _draft(
        self, request: Json, payload: Json, messages: Sequence[Message], sends: str, more: str = ""
    ) -> Draft:
        async with self._models.lease() as backend:
            count = await backend.count_tokens(messages)
            info = self._models.info()
        return Draft(
            request=request,
            payload=payload
            | {
                "asks": [info.model, info.endpoint],
                "messages": [[each.role, each.content] for each in messages],
            },
            preconditions=({"model": info.name, "endpoint": info.endpoint},),
            card=Card(
                verb="SEND OFF THIS MACHINE",
                subject=info.endpoint,
                headline=f"{count} tokens to {info.model}",
                rows=(
                    CardRow(label="DO", text=f"{count} tokens to {info.model}{more}"),
                    CardRow(label="SENDS", text=sends),
                    CardRow(
                        label="RISK",
                        text="nothing is masked: every byte is sent as it stands",
                        mark=Mark.WARN,
                    ),
                    CardRow(label="UNDO", text="none: once sent, it is theirs"),
                ),
                items=tuple(
                    CardItem(
                        key=str(number),
                        text=f"{message.role}: {visible(message.content)}",
                        size=len(message.content.encode()),
                    )
                    for number, message in enumerate(messages)
                ),
            ),
            ttl_s=_EXPIRES_S,
        )

    async def check(self, plan: StoredPlan) -> list[str]:
        wanted = plan.preconditions[0]
        info = self._models.info()
        if wanted != {"model": info.name, "endpoint": info.endpoint}:
            return [f"the model in use is {info.name} now"]
        return []

    async def settle(self, _plan: StoredPlan) -> Outcome:
        return Outcome(
            state=ApprovalState.INTERRUPTED,
            total=1,
            summary="the engine ended while the answer was on its way; the question was sent",
        )


def _messages(plan: StoredPlan) -> tuple[Message, ...]:
    return tuple(Message(role, content) for role, content in plan.payload["messages"])


def _done(summary: str, result: Json) -> Outcome:
    return Outcome(state=ApprovalState.DONE, done=1, total=1, summary=summary, result=result)


# --- asking ---------------------------------------------------------------------------------------


class AsksElsewhere(Protocol):
    """What planning and executing a question needs of the room."""

    async def foresee(self, request: Ask) -> tuple[Ask, tuple[Attached, ...], Prompt]:
        """The request with its defaults, what is attached, and what would be sent."""
        ...

    async def answer(
        self, request: Ask, attached: Sequence[Attached], prompt: Prompt, call: Call, check: Check
    ) -> Turn:
        """Asks with this prompt and no other; the closed turn."""
        ...


class RemoteAsk(Elsewhere):
    """Binds plan, check, execute and settle of ``agent0.ask`` where a prompt leaves the machine."""

    def __init__(self, models: Models, room: AsksElsewhere) -> None:
        super().__init__(models)
        self._room = room

    async def plan(self, request: Ask, _call: Call) -> Draft:
        asked, attached, prompt = await self._room.foresee(request)
        turns, memories = (len(prompt.messages) - 2) // 2, len(prompt.recalled or ())
        sends = ["your question"]
        sends += [f"{turns} earlier turn{'s' * (turns > 1)}"] if turns else []
        sends += [f"{memories} memor{'ies' if memories > 1 else 'y'}"] if memories else []
        sends += ["not all memories: they could not be searched"] if prompt.lacking else []
        sends += [f"{one.name} ({len(one.text.encode()):,} bytes)" for one in attached]
        return await self._draft(
            # A digest has no place for fractions, so they are text; what is attached stands in the
            # payload, once.
            asked.model_dump(mode="json")
            | {"temperature": str(asked.temperature or 0), "attachments": []},
            {
                "attached": [[one.name, one.text] for one in attached],
                "recalled": [one.model_dump_json() for one in prompt.recalled or ()],
                "lacking": prompt.lacking,
                "searched": prompt.recalled is not None,
            },
            prompt.messages,
            " · ".join(sends),
        )

    async def execute(self, plan: StoredPlan, run: Execution) -> Outcome:
        await run.progress(0, 1)
        request = Ask.model_validate(plan.request)
        attached = [Attached(name, text) for name, text in plan.payload["attached"]]
        prompt = Prompt(
            _messages(plan),
            int(plan.request["max_tokens"]),
            tuple(map(Recalled.model_validate_json, plan.payload.get("recalled", ())))
            if plan.payload.get("searched", True)
            else None,
            session=request.session,
            lacking=plan.payload.get("lacking", ""),
        )
        turn = await self._room.answer(request, attached, prompt, run.call, only_there(plan))
        await run.progress(1, 1)
        result = {"turn_id": turn.id, "session": turn.session}
        return _done(f"answered in {turn.session}", result)


# --- structured answers -------------------------------------------------------------------------


class StructuresElsewhere(Protocol):
    """What planning and executing a structured answer needs of the room."""

    def wanted(self, request: Structure) -> Wanted: ...

    async def structure(
        self, wanted: Wanted, call: Call, check: Check, attempts: int
    ) -> Structured: ...


class RemoteStructure(Elsewhere):
    """Binds the same of ``agent0.structure``. The answer is the approval's result."""

    def __init__(self, models: Models, room: StructuresElsewhere) -> None:
        super().__init__(models)
        self._room = room

    async def plan(self, request: Structure, _call: Call) -> Draft:
        wanted = self._room.wanted(request)
        return await self._draft(
            {"text": request.text, "max_tokens": wanted.max_tokens},
            {"schema": json.dumps(wanted.schema)},
            wanted.messages,
            "your question and the schema of its answer",
            ", once",
        )

    async def execute(self, plan: StoredPlan, run: Execution) -> Outcome:
        await run.progress(0, 1)
        schema = json.loads(plan.payload["schema"])
        wanted = Wanted(_messages(plan), schema, int(plan.request["max_tokens"]))
        found = await self._room.structure(wanted, run.call, only_there(plan), 1)
        await run.progress(1, 1)
        return _done(f"answered by {found.model}", found.model_dump(mode="json"))
