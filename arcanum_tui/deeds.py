"""What a key asks of the engine in more than one call. Nothing here knows a screen."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

from arcanum_tui.state.card import undo_of
from arcanum_tui.state.export import pages
from arcanum_tui.state.found import FOLDER, MODEL
from arcanum_tui.state.text import plural
from engine.contract import approvals, assets, discovery, jobs, media, memory, model
from engine.contract.base import PathRef, visible
from engine.contract.client import Pending
from engine.contract.discovery import Found
from engine.contract.errors import Failed, NotFound, Refused
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
    if isinstance(result, memory.RestoredSession):
        return f"The conversation {result.session.name} is back."
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
            await engine.ask(media.ADD, assets.AddLibrary(path=path))
        elif key in models:
            await engine.ask(model.USE, model.UseModel(name=models[key].name))
        else:
            raise NotFound(f"Nothing called {key} was found.")
    return names


async def export(engine: Bridge, session: str, path: str) -> int:
    """Writes a whole conversation to a new file; how many turns it has. Raises ArcanumError.

    It is read whole first, and nothing that is there is overwritten.
    """
    async with engine.stream(memory.EXPORT, memory.OneSession(session=session)) as items:
        turns = [turn async for turn in items]
    await asyncio.to_thread(_write, path, "".join(pages(session, turns)))
    return len(turns)


def _write(path: str, text: str) -> None:
    """Raises Refused where there is something already, Failed where it cannot be written."""
    shown = visible(path)
    try:
        number = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise Refused(f"{shown} is there already.", "Choose another name.") from None
    except (OSError, ValueError) as error:
        raise Failed(f"{shown} cannot be made: {error}.", "Choose another path.") from error
    try:
        with os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        with suppress(OSError):
            os.unlink(path)  # noqa: PTH108 - a part would look like the whole
        raise Failed(f"{shown} cannot be written: {error}.", "Choose another path.") from error
