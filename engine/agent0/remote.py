"""Asking a model on another machine: what would be sent is planned, shown and approved first."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from engine.contract.agent0 import Ask
from engine.contract.approvals import ApprovalState, Card, CardItem, CardRow, Mark, Outcome
from engine.contract.backend import Generation, Message
from engine.contract.base import visible
from engine.contract.call import Call
from engine.contract.memory import RecallHit, Turn
from engine.contract.ports import Draft, Execution, Models, StoredPlan
from engine.ground import Ground

_EXPIRES_S = 600.0

Prepare = Callable[[str, str, int], Awaitable[tuple[tuple[Message, ...], list[RecallHit]]]]


class Answering(Protocol):
    async def __call__(
        self, session: str, question: str, prompt: Generation, call: Call
    ) -> Turn: ...


class RemoteAsk:
    """Binds plan, check, execute and settle of ``agent0.ask`` where a prompt leaves the machine."""

    def __init__(self, ground: Ground, model: Models, prepare: Prepare, answer: Answering) -> None:
        self._ground = ground
        self._model = model
        self._prepare = prepare
        self._answer = answer

    async def plan(self, request: Ask, _call: Call) -> Draft:
        limit = self._ground.config.model.max_new_tokens
        tokens = min(request.max_tokens or limit, limit)
        prompt, recalled = await self._prepare(request.session, request.text, tokens)
        info = self._model.info()
        async with self._model.lease() as backend:
            count = await backend.count_tokens(prompt)
        turns = (len(prompt) - 2) // 2
        sends = f"your question · {turns} earlier turns · {len(recalled)} memories"
        return Draft(
            request=request.model_dump(mode="json") | {"max_tokens": tokens},
            payload={"messages": [[message.role, message.content] for message in prompt]},
            preconditions=({"model": info.name, "endpoint": info.endpoint},),
            card=Card(
                verb="SEND OFF THIS MACHINE",
                subject=info.endpoint,
                headline=f"{count} tokens to {info.model}",
                rows=(
                    CardRow(label="DO", text=f"{count} tokens to {info.model}"),
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
                    for number, message in enumerate(prompt)
                ),
            ),
            ttl_s=_EXPIRES_S,
        )

    async def check(self, plan: StoredPlan) -> list[str]:
        wanted = plan.preconditions[0]
        info = self._model.info()
        if wanted != {"model": info.name, "endpoint": info.endpoint}:
            return [f"the model in use is {info.name} now"]
        return []

    async def execute(self, plan: StoredPlan, run: Execution) -> Outcome:
        await run.progress(0, 1)
        request = Ask.model_validate(plan.request)
        messages = tuple(Message(role, content) for role, content in plan.payload["messages"])
        prompt = Generation(messages, int(plan.request["max_tokens"]))
        turn = await self._answer(request.session, request.text, prompt, run.call)
        await run.progress(1, 1)
        return Outcome(
            state=ApprovalState.DONE,
            done=1,
            total=1,
            summary=f"answered in {request.session}",
            result={"turn_id": turn.id, "session": turn.session},
        )

    async def settle(self, _plan: StoredPlan) -> Outcome:
        return Outcome(
            state=ApprovalState.INTERRUPTED,
            total=1,
            summary="the engine ended while the answer was on its way; the question was sent",
        )
