"""The truth behind the fake engine: approvals, jobs, libraries, a conversation, gauges."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from engine.contract import (
    agent0,
    approvals,
    assets,
    discovery,
    jobs,
    media,
    memory,
    model,
    quota,
    recall,
    telemetry,
)
from engine.contract import engine as engine_words
from engine.contract.approvals import Approval, ApprovalState, ApprovalSummary, Card, Outcome, Undo
from engine.contract.base import PathRef
from engine.contract.errors import AlreadyAnswered, NotFound, Refused
from engine.contract.events import Event
from tests.fakes.fake_memories import Memories
from tests.fakes.fake_shelves import Shelves
from tests.fakes.fake_talk import Talk

NOW = datetime(2026, 11, 20, 7, 42, tzinfo=UTC)
"""The fixed present of every test and picture."""

MACHINE = "nas"
_OPEN = {ApprovalState.PENDING, ApprovalState.EXECUTING}


class World:
    """``steps``: how many items of an execution may still run (None: all); ``pieces``: the answer
    of the model; ``go_on``: what the answer waits for before each piece."""

    def __init__(self, *, now: datetime = NOW) -> None:
        self.now = now
        self.log: list[Event] = []
        self.approvals: dict[int, Approval] = {}
        self.jobs: dict[int, jobs.Job] = {}
        self.libraries: dict[str, assets.Library] = {}
        self.gauges: dict[str, quota.Gauge] = {}
        self.assets: dict[str, int] = {}
        self.talk = Talk(self)
        self.memories = Memories(self)
        self.shelves: Shelves = Shelves(self)
        self.concerns: list[engine_words.ConcernLine] = []
        self.found = discovery.Found(asked=True, folders=(), models=())
        self.host = "serve"
        self.model = model.ModelInfo(
            name="bundled", backend="llama_cpp", model="SmolLM2-135M-Instruct", state="ready",
            context=2048, size=98_000_000, max_new_tokens=160,
        )  # fmt: skip
        self.models = [
            model.ModelLine(
                name="bundled", backend="llama_cpp", description="SmolLM2-135M-Instruct",
                size=98_000_000, in_use=True, origin="bundled", state="ready",
            ),
            model.ModelLine(
                name="qwen3-8b", backend="llama_cpp", description="Qwen3-8B-Q4_K_M.gguf",
                size=5_030_000_000, origin="added",
            ),
            model.ModelLine(
                name="scripted", backend="scripted", description="no model at all",
                origin="scripted",
            ),
        ]  # fmt: skip
        self.loading: asyncio.Event | None = None
        self.pieces = ["Your", " bike", " is", " turquoise", "."]
        self.go_on: asyncio.Semaphore | None = None
        self.prompt_tokens = 300
        self.finish_execution: asyncio.Event | None = None
        self.samples: list[telemetry.Gauges] = []
        self._tell: Callable[[Event], None] = lambda event: None

    # --- events ---------------------------------------------------------------------------------

    def listen(self, tell: Callable[[Event], None]) -> None:
        self._tell = tell

    @property
    def seq(self) -> int:
        return len(self.log)

    def emit(self, event: Event) -> None:
        """A fact: numbered and kept if durable, told to every subscriber."""
        event = event.model_copy(update={"machine": MACHINE})
        if type(event).durable:
            event = event.model_copy(update={"seq": self.seq + 1})
            self.log.append(event)
        self._tell(event)

    # --- the engine -----------------------------------------------------------------------------

    def status(self) -> engine_words.Status:
        waiting = [a for a in self.approvals.values() if a.state is ApprovalState.PENDING]
        broken = [c for c in self.concerns if c.severity == "broken"]
        unknown = [c for c in self.concerns if c.severity == "unknown"]
        return engine_words.Status(
            machine=MACHINE, version="0.1.0", pid=4242, host=self.host,
            started_at=self.now - timedelta(days=2), home="/home/ada/.local/share/arcanum",
            needs_you=len(waiting), broken=len(broken), unknown=len(unknown),
            concerns=tuple(self.concerns),
            services=(engine_words.Service(name="store", state="running"),),
        )  # fmt: skip

    # --- approvals ------------------------------------------------------------------------------

    def add_approval(self, card: Card, **changes: Any) -> int:
        id_ = len(self.approvals) + 1
        fields: dict[str, Any] = {
            "id": id_,
            "operation": "quota.prune",
            "state": ApprovalState.PENDING,
            "digest": f"{id_:064x}",
            "machine": MACHINE,
            "requested_by": "operator:local",
            "created_at": self.now - timedelta(hours=2),
            "expires_at": self.now + timedelta(hours=22),
            "card": card,
        }
        self.approvals[id_] = Approval(**(fields | changes))
        self.emit(approvals.ApprovalRequested(summary=self._summary(id_), at=self.now))
        return id_

    def change_approval(self, id_: int, **changes: Any) -> Approval:
        self.approvals[id_] = self.approvals[id_].model_copy(update=changes)
        self.emit(approvals.ApprovalChanged(summary=self._summary(id_), at=self.now))
        return self.approvals[id_]

    def _summary(self, id_: int) -> ApprovalSummary:
        a = self.approvals[id_]
        undo = a.outcome.undo if a.outcome and not a.undone else None
        return ApprovalSummary(
            id=a.id, operation=a.operation, state=a.state, machine=a.machine, verb=a.card.verb,
            subject=a.card.subject, headline=a.card.headline, created_at=a.created_at,
            expires_at=a.expires_at, reason=a.reason, undoable=undo is not None,
            undo_until=undo.until if undo else None, undone=a.undone,
        )  # fmt: skip

    async def list_approvals(self, request: approvals.ListApprovals) -> approvals.ApprovalList:
        lines = sorted(
            (self._summary(i) for i in self.approvals), key=lambda s: (s.state != "pending", -s.id)
        )
        pending = sum(1 for s in lines if s.state == "pending")
        return approvals.ApprovalList(approvals=tuple(lines), pending=pending)

    async def show_approval(self, request: approvals.ApprovalId) -> Approval:
        if request.id not in self.approvals:
            raise NotFound(f"There is no approval #{request.id}.", "arcanum approvals list")
        return self.approvals[request.id]

    async def approve(self, request: approvals.Approve) -> Approval:
        found = self.approvals[request.id]
        if found.state is not ApprovalState.PENDING:
            raise AlreadyAnswered(f"#{found.id} is {found.state}.", "Nothing was done.")
        if request.digest != found.digest:
            raise Refused("The plan is not the one on the screen.", "Read the card again.")
        if found.card.confirm_count is not None and request.count != found.card.confirm_count:
            raise Refused("The count does not fit.", "Type the number of things.")
        total = len(found.card.items)
        self.change_approval(found.id, state=ApprovalState.EXECUTING, answered_at=self.now)
        if found.operation == memory.DELETE.name:
            return self.talk.deleted(found)
        if found.operation == recall.FORGET.name:
            return self.memories.forgotten(found)
        for done in range(1, total + 1):
            self.emit(
                approvals.ApprovalProgressed(id=found.id, done=done, total=total, at=self.now)
            )
            if self.finish_execution is not None:
                await self.finish_execution.wait()
        undo = Undo(
            operation="quota.undo",
            request={"plan_id": f"p{found.id}"},
            until=self.now + timedelta(days=7),
        )
        outcome = Outcome(
            state=ApprovalState.DONE, done=total, total=total,
            summary=f"moved {total} files to the trash", undo=undo,
        )  # fmt: skip
        done_ = self.change_approval(found.id, state=ApprovalState.DONE, outcome=outcome)
        self.emit(
            quota.Pruned(
                library=found.card.subject, plan_id=f"p{found.id}", files=total,
                bytes=sum(i.size for i in found.card.items), at=self.now,
            )
        )  # fmt: skip
        return done_

    async def deny(self, request: approvals.Deny) -> Approval:
        if self.approvals[request.id].state is not ApprovalState.PENDING:
            raise AlreadyAnswered(f"#{request.id} was answered before.", "Nothing was done.")
        return self.change_approval(request.id, state=ApprovalState.DENIED, reason=request.reason)

    async def keep(self, request: approvals.Keep) -> approvals.Kept:
        old = self.approvals[request.id]
        items = tuple(i for i in old.card.items if i.key not in request.keep)
        self.change_approval(request.id, state=ApprovalState.DENIED, reason="replaced")
        card = old.card.model_copy(update={"items": items, "headline": f"{len(items)} files"})
        return approvals.Kept(approval_id=self.add_approval(card))

    async def undo(self, request: quota.PlanId) -> quota.UndoResult:
        id_ = int(request.plan_id.removeprefix("p"))
        total = self.approvals[id_].outcome.total  # type: ignore[union-attr]
        self.change_approval(id_, undone=True)
        self.emit(
            quota.Undone(
                library="films", plan_id=request.plan_id, files=total, bytes=1, at=self.now
            )
        )
        return quota.UndoResult(plan_id=request.plan_id, restored=total, bytes=1)

    # --- jobs -----------------------------------------------------------------------------------

    def start_job(self, operation: str, subject: str, **changes: Any) -> jobs.Job:
        id_ = len(self.jobs) + 1
        fields: dict[str, Any] = {
            "id": id_, "operation": operation, "subject": subject, "machine": MACHINE,
            "state": jobs.JobState.RUNNING, "started_at": self.now,
        }  # fmt: skip
        self.jobs[id_] = jobs.Job(**(fields | changes))
        self.emit(jobs.JobChanged(job=self.jobs[id_], at=self.now))
        return self.jobs[id_]

    def change_job(self, id_: int, **changes: Any) -> jobs.Job:
        self.jobs[id_] = self.jobs[id_].model_copy(update=changes)
        told = jobs.JobChanged if "state" in changes else jobs.JobProgressed
        self.emit(told(job=self.jobs[id_], at=self.now))
        return self.jobs[id_]

    async def list_jobs(self, request: jobs.ListJobs) -> jobs.JobList:
        found = sorted(self.jobs.values(), key=lambda j: (j.state in jobs.ENDED, -j.id))
        return jobs.JobList(jobs=tuple(found))

    async def pause_job(self, request: jobs.JobId) -> jobs.Job:
        return self.change_job(request.id, state=jobs.JobState.PAUSED)

    async def resume_job(self, request: jobs.JobId) -> jobs.Job:
        return self.change_job(request.id, state=jobs.JobState.RUNNING)

    async def cancel_job(self, request: jobs.JobId) -> jobs.Job:
        return self.change_job(request.id, state=jobs.JobState.CANCELLED, ended_at=self.now)

    # --- media and quota ------------------------------------------------------------------------

    def set_library(self, name: str, files: int, used: int, **changes: Any) -> None:
        """Makes a library, or moves its numbers."""
        fields: dict[str, Any] = {
            "name": name, "path": PathRef.of(f"/srv/{name}"), "machine": MACHINE, "state": "ok",
            "watch": "live", "last_scan_at": self.now - timedelta(minutes=12),
        }  # fmt: skip
        if name in self.libraries:
            fields = dict(self.libraries[name])
        self.libraries[name] = assets.Library(
            **(fields | {"files": files, "bytes": used} | changes)
        )
        self.assets.setdefault(name, files)
        self.emit(media.LibraryChanged(library=self.libraries[name], at=self.now))

    async def list_libraries(self, request: Any) -> assets.LibraryList:
        return assets.LibraryList(libraries=tuple(x for _, x in sorted(self.libraries.items())))

    async def add_library(self, request: assets.AddLibrary) -> assets.Library:
        name = request.name or request.path.display.rstrip("/").rpartition("/")[2]
        if not request.path.data.startswith(b"/"):
            raise Refused("The path is not absolute.", "Give the whole path.")
        self.set_library(name, 0, 0, path=request.path)
        self.emit(media.LibraryAdded(library=name, at=self.now))
        return self.libraries[name]

    async def remove_library(self, request: assets.LibraryName) -> assets.LibraryList:
        del self.libraries[request.library]
        self.emit(media.LibraryRemoved(library=request.library, at=self.now))
        return assets.LibraryList(libraries=tuple(self.libraries.values()))

    async def show_gauges(self, request: Any) -> quota.GaugeList:
        return quota.GaugeList(gauges=tuple(self.gauges.values()))

    def set_gauge(self, library: str, used: int, limit: int | None, in_trash: int = 0) -> None:
        over = max(0, used - limit) if limit else 0
        self.gauges[library] = quota.Gauge(
            library=library, machine=MACHINE, used=used, limit=limit, over=over,
            in_trash=in_trash, state="over" if over else "ok" if limit else "none",
        )  # fmt: skip

    async def set_limit(self, request: quota.SetLimit) -> quota.Gauge:
        used = self.libraries[request.library].bytes
        self.set_gauge(request.library, used, request.max_bytes or None)
        self.emit(
            quota.LimitSet(library=request.library, limit=request.max_bytes or None, at=self.now)
        )
        return self.gauges[request.library]

    def request_prune(self, library: str) -> int:
        from tests.fakes.sample import prune_card

        return self.add_approval(prune_card(library))

    # --- models ---------------------------------------------------------------------------------

    async def model_info(self, request: Any) -> model.ModelInfo:
        return self.model

    async def list_models(self, request: Any) -> model.ModelList:
        lines = [
            line.model_copy(
                update={
                    "in_use": line.name == self.model.name,
                    "state": self.model.state if line.name == self.model.name else line.state,
                }
            )
            for line in self.models
        ]
        return model.ModelList(models=tuple(lines))

    async def use_model(self, request: model.UseModel) -> model.ModelInfo:
        found = (
            model.ModelLine(
                name=m.name, backend="openai_http", description=m.description, origin="found"
            )
            for m in self.found.models
        )
        line = next((m for m in (*self.models, *found) if m.name == request.name), None)
        if line is None:
            raise NotFound(f"There is no model {request.name!r}.", "arcanum model list")
        return self.set_model(
            name=line.name, model=line.description.removesuffix(".gguf"), backend=line.backend,
            size=line.size, state="unloaded", simulated=line.origin == "scripted", load_s=None,
        )  # fmt: skip

    async def load_model(self, request: model.AnyModel) -> model.ModelInfo:
        """``loading`` is what a load waits for."""
        self.set_model(state="loading")
        if self.loading is not None:
            await self.loading.wait()
        return self.set_model(state="ready", load_s=0.42)

    def set_model(self, **changes: Any) -> model.ModelInfo:
        """The model in use is another one, or in another state."""
        self.model = self.model.model_copy(update=changes)
        self.emit(model.ModelChanged(info=self.model, at=self.now))
        return self.model

    # --- memory and Agent-0 ---------------------------------------------------------------------

    @property
    def turns(self) -> list[memory.Turn]:
        """Every turn of every conversation."""
        return self.talk.turns

    def add_turn(self, session: str, question: str, answer: str, **changes: Any) -> memory.Turn:
        return self.talk.add(session, question, answer, **changes)

    async def ask(self, request: agent0.Ask) -> AsyncIterator[agent0.AnswerItem]:
        turn = self.talk.opened(request)
        self.emit(memory.TurnOpened(session=turn.session, turn_id=turn.id, at=self.now))
        hits = self.memories.of_earlier(turn)
        turn = turn.model_copy(update={"recalled": tuple(hit.recalled for hit in hits)})
        said, status, count = "", "stopped", 0
        try:
            yield agent0.AnswerStarted(
                turn_id=turn.id, session=turn.session, backend=self.model.backend,
                model=self.model.model, simulated=self.model.simulated, recalled=hits,
                prompt_tokens=self.prompt_tokens, context=self.model.context,
            )  # fmt: skip
            for piece in self.pieces:
                if self.go_on is not None:
                    await self.go_on.acquire()
                said += piece
                count += 1
                yield agent0.AnswerPiece(text=piece)
            status = "done"
        finally:
            turn = self.talk.closed(turn, said, status)
        yield agent0.AnswerFinished(
            turn=turn, finish="stop", tokens=count, first_token_s=0.12, seconds=0.52,
            prompt_tokens=self.prompt_tokens, cached_tokens=self.prompt_tokens * 96 // 100,
            context=self.model.context,
        )  # fmt: skip

    # --- gauges and discovery -------------------------------------------------------------------

    async def watch(self, request: telemetry.WatchGauges) -> AsyncIterator[telemetry.Gauges]:
        for sample in self.samples:
            yield sample
        await asyncio.Event().wait()

    async def look(self, request: Any) -> discovery.Found:
        return self.found

    async def answer(self, request: discovery.Answer) -> discovery.Found:
        self.found = self.found.model_copy(update={"asked": True})
        return self.found
