"""A small room with an operation of every kind: what the suites drive the engine with.

Its high-risk operation moves real files, and keeps a log beside them of every act, so that a test
can tell after a kill -9 what was done how often.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from engine.contract.approvals import (
    ApprovalState,
    Card,
    CardItem,
    CardRow,
    Outcome,
    TakenBack,
    Undo,
)
from engine.contract.base import Empty, Name, Wire
from engine.contract.call import ONLY_OPERATOR, Call
from engine.contract.errors import Busy, Failed, NotFound, PromptTooLong, Refused, Unavailable
from engine.contract.operation import Kind, Limits, Operation, Risk
from engine.contract.ports import Draft, Execution, JobControl, StoredPlan
from engine.ground import Ground
from tests.fakes.waiting import until


class Echo(Wire):
    text: Annotated[str, Field(max_length=1500)] = ""
    number: Annotated[int, Field(ge=1)] = 1


class Echoed(Wire):
    text: str
    number: int
    actor: str
    machine: str | None
    has_deadline: bool


class Note(Wire):
    name: Name
    text: str = ""


class Fail(Wire):
    how: Literal[
        "busy", "failed", "not_found", "prompt_too_long", "refused", "unavailable", "internal"
    ]


class Count(Wire):
    """``fails_at``: raises there; ``holds_at``: waits there until the room is released."""

    upto: Annotated[int, Field(ge=0)]
    refused: bool = False
    fails_at: int | None = None
    holds_at: int | None = None


class Counted(Wire):
    n: int


class Send(Wire):
    away: bool


class Fill(Wire):
    """``steps`` steps, each of which waits for the room's ``go``."""

    name: Name
    steps: Annotated[int, Field(ge=1)] = 3
    fails: bool = False


class Filled(Wire):
    steps: int


class Erase(Wire):
    """Moves what is in ``folder`` away; with ``final`` for good."""

    folder: str
    keep: tuple[str, ...] = ()
    final: bool = False
    ttl_ms: int = 3_600_000


class Restore(Wire):
    folder: str


class Restored(TakenBack):
    left: int

    @property
    def complete(self) -> bool:
        return self.left == 0


ECHO = Operation("example.echo", "Say it again", Echo, Echoed, limits=Limits(max_bytes=2000))
NOTE = Operation(
    "example.note",
    "Take a note",
    Note,
    Empty,
    risk=Risk.WRITE,
    audit=("name",),
    positional=("name",),
)
FAIL = Operation("example.fail", "Fail", Fail, Empty, risk=Risk.WRITE, audit=("how",))
HOLD = Operation("example.hold", "Wait", Empty, Empty, limits=Limits(concurrent=2, timeout_s=None))
HOLD_WRITE = Operation("example.hold_write", "Wait, audited", Empty, Empty, risk=Risk.WRITE)
BRIEF = Operation("example.brief", "Wait, not long", Empty, Empty, limits=Limits(timeout_s=0.05))
OFTEN = Operation("example.often", "Not often", Empty, Empty, limits=Limits(per_minute=3))
MINE = Operation("example.mine", "For people", Empty, Empty, actors=ONLY_OPERATOR)
COUNT = Operation(
    "example.count",
    "Count",
    Count,
    Empty,
    kind=Kind.STREAM,
    item=Counted,
    limits=Limits(timeout_s=None),
)
SEND = Operation(
    "example.send", "Send", Send, Empty, kind=Kind.STREAM, risk=Risk.HIGH, item=Counted
)
OVERCLAIM = Operation(
    "example.overclaim",
    "Claims more risk than declared",
    Empty,
    Empty,
    kind=Kind.STREAM,
    item=Counted,
)
FILL = Operation(
    "example.fill",
    "Long work",
    Fill,
    Filled,
    kind=Kind.JOB,
    risk=Risk.WRITE,
    audit=("name",),
    limits=Limits(timeout_s=None),
)
ERASE = Operation("example.erase", "Move away", Erase, Empty, risk=Risk.HIGH, audit=("folder",))
RESTORE = Operation("example.restore", "Bring back", Restore, Restored, risk=Risk.WRITE)
UNBOUND = Operation("example.unbound", "Nobody does it", Empty, Empty)
BROKEN = Operation("broken.read", "Its room does not start", Empty, Empty)

_FAILURES = {
    "busy": Busy,
    "failed": Failed,
    "not_found": NotFound,
    "prompt_too_long": PromptTooLong,
    "refused": Refused,
    "unavailable": Unavailable,
}


class ExampleRoom:
    """``facts`` is what happened; ``release`` lets go what is held; ``go`` lets jobs step."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self.facts: list[str] = []
        self.release = asyncio.Event()
        self.go = asyncio.Semaphore(0)

    async def start(self) -> None:
        door = self._ground.door
        door.unary(ECHO, self._echo)
        door.unary(NOTE, self._note)
        door.unary(FAIL, self._fail)
        door.unary(HOLD, self._hold)
        door.unary(HOLD_WRITE, self._hold)
        door.unary(BRIEF, self._hold)
        door.unary(OFTEN, self._often)
        door.unary(MINE, self._often)
        door.stream(COUNT, self._count)
        door.stream(SEND, self._send, risk=_risk_of_sending, high=SendActs(self.facts))
        door.stream(OVERCLAIM, self._send, risk=lambda _request, _call: Risk.WRITE)
        door.job(FILL, self._fill, lambda request: request.name)
        door.high(ERASE, EraseActs())
        door.unary(RESTORE, self._restore)
        self._ground.provide(ExampleRoom, self)

    async def stop(self) -> None:
        self.facts.append("stopped")

    async def _echo(self, request: Echo, call: Call) -> Echoed:
        return Echoed(
            text=request.text,
            number=request.number,
            actor=str(call.actor),
            machine=call.machine,
            has_deadline=call.deadline is not None,
        )

    async def _note(self, request: Note, _call: Call) -> Empty:
        self.facts.append(f"note {request.name}")
        return Empty()

    async def _fail(self, request: Fail, _call: Call) -> Empty:
        if request.how in _FAILURES:
            raise _FAILURES[request.how](f"It is {request.how}.", "Try something else.")
        raise LookupError("nobody foresaw this")

    async def _hold(self, _request: Empty, _call: Call) -> Empty:
        self.facts.append("held")
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.facts.append("cancelled")
            raise
        self.facts.append("let go")
        return Empty()

    async def _often(self, _request: Empty, _call: Call) -> Empty:
        return Empty()

    @asynccontextmanager
    async def _count(self, request: Count, _call: Call) -> AsyncIterator[AsyncIterator[Counted]]:
        if request.refused:
            raise Refused("It will not be counted.", "Count something else.")

        async def items() -> AsyncIterator[Counted]:
            for n in range(request.upto):
                if n == request.fails_at:
                    raise Failed(f"It cannot count beyond {n}.")
                if n == request.holds_at:
                    self.facts.append("holding")
                    await self.release.wait()
                self.facts.append(f"counted {n}")
                yield Counted(n=n)

        self.facts.append("opened")
        try:
            yield items()
        finally:
            self.facts.append("closed")

    @asynccontextmanager
    async def _send(self, _request: Wire, _call: Call) -> AsyncIterator[AsyncIterator[Counted]]:
        async def items() -> AsyncIterator[Counted]:
            yield Counted(n=1)

        self.facts.append("sent")
        yield items()

    async def _fill(self, request: Fill, control: JobControl) -> Filled:
        self.facts.append(f"filling {request.name}")
        try:
            for step in range(request.steps):
                await control.checkpoint()
                control.progress(step, request.steps, "steps", note=f"step {step}")
                await self.go.acquire()
                if request.fails:
                    raise Failed(f"{request.name} is full.", "Take a larger one.")
        except asyncio.CancelledError:
            self.facts.append("job cancelled")
            raise
        return Filled(steps=request.steps)

    async def _restore(self, request: Restore, _call: Call) -> Restored:
        gone = Path(request.folder) / ".gone"
        for file in sorted(gone.iterdir()) if gone.is_dir() else []:
            target = Path(request.folder) / file.name
            if not target.exists():
                file.rename(target)
        return Restored(left=len(list(gone.iterdir())) if gone.is_dir() else 0)


def _risk_of_sending(request: Send, _call: Call) -> Risk:
    return Risk.HIGH if request.away else Risk.READ


class SendActs:
    """What it would take to send something away: one row, nothing to undo."""

    def __init__(self, facts: list[str]) -> None:
        self._facts = facts

    async def plan(self, request: Send, _call: Call) -> Draft:
        card = Card(verb="send", subject="away", headline="sends it away", rows=())
        return Draft(request.model_dump(mode="json"), {}, (), card)

    async def check(self, _plan: StoredPlan) -> list[str]:
        return []

    async def execute(self, _plan: StoredPlan, _run: Execution) -> Outcome:
        self._facts.append("sent away")
        return Outcome(state=ApprovalState.DONE, done=1, total=1)

    async def settle(self, _plan: StoredPlan) -> Outcome:
        return Outcome(state=ApprovalState.INTERRUPTED)


class EraseActs:
    """Moves files into ``.gone``, one by one, and logs every act beside the folder.

    A file ``hold NAME`` beside the folder holds the act on NAME after it was begun; a file called
    ``bomb`` in the folder is a defect.
    """

    async def plan(self, request: Erase, _call: Call) -> Draft:
        folder = Path(request.folder)
        files = sorted(
            file for file in folder.iterdir() if file.is_file() and file.name not in request.keep
        )
        if not files:
            raise Refused("Nothing is left to erase.")
        sizes = [(file.name, file.stat().st_size) for file in files]
        items = tuple(CardItem(key=name, text=name, size=size) for name, size in sizes)
        card = Card(
            verb="erase",
            subject=folder.name,
            headline=f"{len(files)} files",
            rows=(CardRow(label="DO", text=f"moves {len(files)} files away"),),
            items=items,
            confirm_count=len(files) if request.final else None,
            keepable=not request.final,
        )
        return Draft(
            request.model_dump(mode="json"),
            {"items": [name for name, _size in sizes]},
            tuple({"name": name, "size": size} for name, size in sizes),
            card,
            request.ttl_ms / 1000,
        )

    async def check(self, plan: StoredPlan) -> list[str]:
        folder = Path(plan.request["folder"])
        return [
            f"{each['name']} changed" for each in plan.preconditions if not _holds(folder, each)
        ]

    async def execute(self, plan: StoredPlan, run: Execution) -> Outcome:
        folder = Path(plan.request["folder"])
        done, problems, state = 0, [], ApprovalState.DONE
        (folder / ".gone").mkdir(exist_ok=True)
        for each in plan.preconditions:
            name = each["name"]
            if run.stopping():
                state = ApprovalState.INTERRUPTED
                break
            if not _holds(folder, each):
                problems.append(f"{name} changed")
                state = ApprovalState.PARTIAL
                continue
            if name == "bomb":
                raise LookupError("nobody foresaw this")
            log(folder, f"begin {name}")
            await until(_may_go(folder, name), within_s=60)
            (folder / name).rename(folder / ".gone" / name)
            log(folder, f"done {name}")
            done += 1
            await run.progress(done, len(plan.preconditions), name)
        return _outcome(plan, state, done, tuple(problems))

    async def settle(self, plan: StoredPlan) -> Outcome:
        """The rename is one step: what was begun is either done or not."""
        folder = Path(plan.request["folder"])
        log(folder, "settle")
        gone = folder / ".gone"
        done = len(list(gone.iterdir())) if gone.is_dir() else 0
        return _outcome(plan, ApprovalState.INTERRUPTED, done)


def _may_go(folder: Path, name: str) -> Callable[[], bool]:
    return lambda: not (folder.parent / f"hold {name}").exists()


def _holds(folder: Path, precondition: dict) -> bool:
    file = folder / precondition["name"]
    return file.is_file() and file.stat().st_size == precondition["size"]


def _outcome(
    plan: StoredPlan, state: ApprovalState, done: int, problems: tuple[str, ...] = ()
) -> Outcome:
    undo = Undo(operation=RESTORE.name, request={"folder": plan.request["folder"]})
    total = len(plan.preconditions)
    return Outcome(
        state=state,
        done=done,
        total=total,
        summary=f"{done} of {total}",
        problems=problems,
        undo=undo if done and not plan.request["final"] else None,
    )


def log(folder: Path, act: str) -> None:
    with (folder.parent / "acts.log").open("a") as file:
        file.write(act + "\n")


def acts(folder: Path) -> list[str]:
    """Every act of every process, in order."""
    path = folder.parent / "acts.log"
    return path.read_text().splitlines() if path.exists() else []


class BrokenRoom:
    """Never starts, and says why."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def start(self) -> None:
        raise Unavailable("The disk is away.", "Mount it.")

    async def stop(self) -> None:
        """It never ran."""
