"""What a key asks of the engine in more than one call. Nothing here knows a screen."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from arcanum_tui.state.card import undo_of
from arcanum_tui.state.found import FOLDER, MODEL
from arcanum_tui.state.text import plural
from engine.contract import approvals, discovery, jobs, media, model
from engine.contract.base import PathRef
from engine.contract.client import Pending
from engine.contract.discovery import Found
from engine.contract.errors import NotFound, Refused
from engine.contract.operation import find
from engine.contract.quota import UndoResult

if TYPE_CHECKING:
    from arcanum_tui.bridge import Bridge


async def take_back(engine: Bridge, approval_id: int, now: datetime) -> str:
    """Undoes what an approval did; says what came of it. Raises ArcanumError."""
    approval = await engine.ask(approvals.SHOW, approvals.ApprovalId(id=approval_id))
    undo = undo_of(approval, now)
    if undo is None:
        raise Refused(f"#{approval_id} can no longer be taken back.", "w says what became of it.")
    operation = find(undo.operation)
    done = await engine.call(operation, operation.request.model_validate(undo.request))
    if isinstance(done, Pending):
        return f"#{done.approval_id} waits for your answer first: a"
    result = done.result
    if not isinstance(result, UndoResult):
        return f"#{approval_id} was taken back."
    text = f"{plural(result.restored, 'file')} brought back."
    if result.conflicts:
        first = result.conflicts[0].display
        text += (
            f" {plural(len(result.conflicts), 'file')} not: something else has that name now"
            f" ({first}). What stayed is still in the trash."
        )
    return text


async def change_job(engine: Bridge, job_id: int, what: str) -> None:
    """Pauses a job, carries it on, or stops it for good. Raises ArcanumError."""
    operation = {"pause": jobs.PAUSE, "resume": jobs.RESUME, "cancel": jobs.CANCEL}[what]
    await engine.ask(operation, jobs.JobId(id=job_id))


async def look(engine: Bridge) -> Found | None:
    """What is here that could be used; None where nothing is, or it was asked before."""
    found = await engine.ask(discovery.LOOK, discovery.LOOK.request())
    return found if not found.asked and (found.folders or found.models) else None


async def use(engine: Bridge, found: Found, keys: tuple[str, ...]) -> list[str]:
    """Takes what was ticked of what was found. Returns the names. Raises ArcanumError.

    The answer is remembered first: what fails is told, not asked again at every start.
    """
    folders = {FOLDER + f.path.raw: f for f in found.folders}
    models = {MODEL + m.name: m for m in found.models}
    names = [folders[k].name for k in keys if k in folders]
    names += [models[k].name for k in keys if k in models]
    answer = discovery.Answer(answer="accepted" if names else "skipped", accepted=tuple(names))
    await engine.ask(discovery.ANSWER, answer)
    for key in keys:
        if key in folders:
            path: PathRef = folders[key].path
            await engine.ask(media.ADD, media.AddLibrary(path=path))
        elif key in models:
            await engine.ask(model.USE, model.UseModel(name=models[key].name))
        else:
            raise NotFound(f"Nothing called {key} was found.")
    return names
