"""What is done with libraries from the media screen: each deed says where it goes on."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ByteSize, TypeAdapter, ValidationError

from arcanum_tui.modals.ask import AskDialog
from arcanum_tui.modals.folders import FolderSuggester
from arcanum_tui.reports import writing
from arcanum_tui.screens.base import View
from arcanum_tui.state.narrowing import ALL
from arcanum_tui.state.text import number, plural, size
from arcanum_tui.work import start
from engine.contract import assets, media, quota, report
from engine.contract.base import PathRef
from engine.contract.client import Pending
from engine.contract.errors import ArcanumError
from engine.contract.integrity import VerifyLibrary
from engine.contract.jobs import ENDED, JobState

if TYPE_CHECKING:
    from arcanum_tui.state.model import State
    from engine.contract.base import ErrorInfo
    from engine.contract.jobs import Job

_BYTES = TypeAdapter(ByteSize)
_ENDINGS = (".csv", ".jsonl", ".md")
_READING = (media.SCAN.name, media.VERIFY.name)
"""What reads a library, and whose pausing is meant first."""


class Shelves(View):
    """``library``: the selected one, "" where there is none, ALL for all together."""

    library = ""

    def __init__(self) -> None:
        super().__init__()
        self._followed: set[int] = set()
        self._awaited: dict[int, asyncio.Future[Job]] = {}

    def select(self, thing: str) -> None:
        raise NotImplementedError

    def _chosen(self) -> str:
        if not self.library:
            self.control_center.tell("There is no library yet: n watches a folder.")
        elif self.library == ALL:
            self.control_center.tell("Choose one library first: this is all of them.")
            return ""
        return self.library

    def action_scan(self) -> None:
        if name := self._chosen():
            start(self, "deeds", self._scan, name)

    async def _scan(self, name: str) -> None:
        try:
            await self.control_center.engine.call(media.SCAN, assets.ScanLibrary(library=name))
        except ArcanumError as error:
            self.control_center.tell_error(error)

    def action_prune(self) -> None:
        if name := self._chosen():
            start(self, "deeds", self._prune, name)

    async def _prune(self, name: str) -> None:
        try:
            done = await self.control_center.engine.call(quota.PRUNE, quota.Prune(library=name))
        except ArcanumError as error:
            self.control_center.tell_error(error)
            return
        if isinstance(done, Pending):
            text = f"Nothing is touched yet: press a to read #{done.approval_id} and answer."
            self.control_center.tell(text, f"▲ #{done.approval_id} prune {name} waits for you")

    def action_set_limit(self) -> None:
        if name := self._chosen():
            gauge = next((g for g in self.control_center.state.gauges if g.library == name), None)
            used = f" It holds {size(gauge.used)} now." if gauge else ""
            self.app.push_screen(
                AskDialog(
                    f"Limit of {name}",
                    f"How much may it hold? 500GB, 2TB, 20MiB; 0 takes the limit away.{used}",
                    value=str(gauge.limit) if gauge and gauge.limit else "",
                    limit=32,
                    check=_not_bytes,
                    act=partial(self._limit, name),
                )
            )

    async def _limit(self, name: str, text: str) -> str:
        limit = _BYTES.validate_python(text.strip())
        try:
            request = quota.SetLimit(library=name, max_bytes=limit)
            await self.control_center.engine.ask(quota.SET, request)
        except ArcanumError as error:
            return _reason(error)
        return ""

    def action_add_library(self) -> None:
        self.app.push_screen(
            AskDialog(
                "Watch a folder as a library",
                "Which folder? → completes a name. Its files are read, never changed.",
                value=os.path.expanduser("~/"),  # noqa: PTH111 - a string with its slash
                check=_not_absolute,
                act=self._add,
                suggester=FolderSuggester(),
            )
        )

    async def _add(self, text: str) -> str:
        path = _expanded(text).rstrip("/") or "/"
        try:
            library = await self.control_center.engine.ask(
                media.ADD, assets.AddLibrary(path=PathRef.of(path))
            )
        except ArcanumError as error:
            return _reason(error)
        self.select(library.name)
        return ""

    def action_remove_library(self) -> None:
        if name := self._chosen():
            self.app.push_screen(
                AskDialog(
                    f"Watch {name} no longer",
                    "Its files are not touched. What is known of them, their history too, is"
                    f" forgotten. Type the library's name: {name}",
                    limit=64,
                    check=lambda text: "" if text.strip() == name else f"That is not {name}.",
                ),
                lambda text: self._remove_library(name, text),
            )

    def _remove_library(self, name: str, text: str | None) -> None:
        if text is not None:
            start(self, "deeds", self._remove, name)

    async def _remove(self, name: str) -> None:
        try:
            request = assets.LibraryName(library=name)
            await self.control_center.engine.ask(media.REMOVE, request)
        except ArcanumError as error:
            self.control_center.tell_error(error)
        else:
            self.control_center.tell("Its files are where they were.", f"{name} is no library now")

    def action_report(self) -> None:
        """Asks for the file that a report of the library, or of all, is to be written to."""
        if not self.library:
            self._chosen()
            return
        named = () if self.library == ALL else (self.library,)
        day = f"{self.control_center.clock():%Y-%m-%d}"
        name = "-".join(named or ("libraries",))
        self.app.push_screen(
            AskDialog(
                "Write a report to a file",
                "Which file? It ends with .html, .md or .json, and is not there yet.",
                value=os.path.expanduser(f"~/{name}-report-{day}.html"),  # noqa: PTH111
                check=_no_report,
            ),
            lambda text: self._report_to(named, text),
        )

    def _report_to(self, named: tuple[str, ...], text: str | None) -> None:
        if text is not None:
            self.control_center.tell("Counting the files of the libraries …", "● report")
            start(self, "deeds", self._report, named, _expanded(text))

    async def _report(self, named: tuple[str, ...], path: str) -> None:
        try:
            await asyncio.to_thread(writing.check, Path(path), replace=False)
            found = await self.control_center.engine.ask(
                report.MEDIA, report.ReportMedia(libraries=named)
            )
            await asyncio.to_thread(_write, found, Path(path))
        except ArcanumError as error:
            self.control_center.tell_error(error)
        else:
            self.control_center.tell(path, "✓ the report is written")

    def action_remotes(self) -> None:
        """There is no screen of them: says which commands there are."""
        self.control_center.tell(
            "In a shell: arcanum remotes list, inventory, check, copy, fetch; arcanum media sync."
            " What they plan to send waits here for your answer (4).",
            "Remotes",
        )

    # --- long work ------------------------------------------------------------------------------

    async def _start_job(self, operation: Any, request: Any, what: str) -> None:
        """Starts a job, says so, and says again how it ended."""
        try:
            started = await self.control_center.engine.ask(operation, request)
        except ArcanumError as error:
            self.control_center.tell_error(error)
        else:
            self._follow(started.job_id, what)

    def _follow(self, number: int, what: str) -> None:
        self._followed.add(number)
        text = "The overview (1) shows how far it is; there it can be paused or stopped."
        self.control_center.tell(text, f"● {what}: job {number}")

    async def _begun(self, number: int) -> Job:
        """A job that was started, once it has got somewhere or ended."""
        self._awaited[number] = asyncio.get_running_loop().create_future()
        self.follow_jobs(self.control_center.state)
        try:
            return await self._awaited[number]
        finally:
            del self._awaited[number]

    def follow_jobs(self, state: State) -> None:
        """Tells of those that were started here and have ended."""
        for job in state.jobs if self._awaited else ():
            waiting = self._awaited.get(job.id)
            if (
                waiting is not None
                and not waiting.done()
                and (job.state in ENDED or job.progress.done)
            ):
                waiting.set_result(job)
        for job in state.jobs if self._followed else ():
            if job.id not in self._followed - {*self._awaited} or job.state not in ENDED:
                continue
            self._followed.discard(job.id)
            if job.state is JobState.DONE:
                text, title = _ended(job.operation, job.result or {}), f"✓ job {job.id} is done"
                self.control_center.tell(text, title)
            elif job.error is not None:
                told = f"{job.error.message} {job.error.hint}".strip()
                self.control_center.tell(told, f"✗ job {job.id}: {job.error.title}")
            else:
                self.control_center.tell(f"Job {job.id} is {job.state}.")

    def _reads(self) -> int | None:
        """The number of the job that reads the library; says so where there is none."""
        jobs = [j for j in self.control_center.state.running if j.operation in _READING]
        mine = [j for j in jobs if self.library in {j.subject, ALL}]
        if not mine:
            self.control_center.tell("No job reads it now: S begins one.")
            return None
        return min(mine, key=lambda j: (_READING.index(j.operation), -j.id)).id

    def action_pause_scan(self) -> None:
        number = self._reads()
        for job in self.control_center.state.running if number else ():
            if job.id == number:
                self.control_center.job(job.id, "resume" if job.state == "paused" else "pause")

    def action_stop_scan(self) -> None:
        center, number = self.control_center, self._reads()
        if number is not None:
            center.when_alone(partial(center.job, number, "cancel"), center.tell)

    def verify(self, library: str, paths: Sequence[PathRef], what: str) -> None:
        """Reads the library, or only these files and folders of it, again."""
        request = VerifyLibrary(library=library, paths=tuple(paths))
        start(self, "deeds", self._start_job, media.VERIFY, request, f"verifying {what}")

    def ask_where(self, operation: Any, fields: dict[str, Any], name: str) -> None:
        """Asks for the file that a list is to be written to."""
        day = f"{self.control_center.clock():%Y-%m-%d}"
        self.app.push_screen(
            AskDialog(
                "Write what is listed to a file",
                "Which file? It ends with .csv, .jsonl or .md, and is not there yet.",
                value=os.path.expanduser(f"~/{name}-{day}.csv"),  # noqa: PTH111
                check=_no_list,
                act=partial(self._export, operation, fields),
            )
        )

    async def _export(self, operation: Any, fields: dict[str, Any], text: str) -> str:
        """Why it cannot be written is known once the job has begun."""
        path = PathRef.of(_expanded(text))
        request = operation.request.model_validate({**fields, "path": path})
        try:
            started = await self.control_center.engine.ask(operation, request)
        except ArcanumError as error:
            return _reason(error)
        self._followed.add(started.job_id)  # Esc leaves the window, not the job.
        job = await self._begun(started.job_id)
        if job.error is not None:
            self._followed.discard(job.id)
            return _reason(job.error)
        self._follow(job.id, "writing the list")
        self.follow_jobs(self.control_center.state)
        return ""


def _reason(error: ArcanumError | ErrorInfo) -> str:
    return f"✗ {error.title}: {error.message} {error.hint}".rstrip()


def _ended(operation: str, result: dict[str, Any]) -> str:
    """What came of a job, in words."""
    if operation == media.EXPORT.name:
        return f"{number(result['files'])} files are in {result['path']['display']}."
    if operation == media.EXPORT_DUPLICATES.name:
        told = f"{plural(result['files'], 'file')} in {plural(result['groups'], 'group')}"
        left = f" {plural(result['untold'], 'file')} left out." if result["untold"] else ""
        return f"{told}: {result['path']['display']}.{left}"
    if operation == media.COMPARE_PICTURES.name:
        near, groups = plural(result["near"], "picture"), plural(result["groups"], "group")
        return f"{near} in {groups} look alike: D in Media shows them, and none is chosen."
    if operation == media.VERIFY.name:
        wrong = result["rotten"] + result["unreadable"]
        told = f"{number(result['intact'])} of {number(result['checked'])} files are intact"
        young = result.get("fresh", 0)  # Those of earlier versions do not say.
        fresh = f", {number(young)} too fresh to tell" if young else ""
        return f"{told}, {number(wrong)} damaged{fresh}." if wrong else f"{told}{fresh}."
    return ""


def _expanded(text: str) -> str:
    return os.path.expanduser(text.strip())  # noqa: PTH111 - no disk is touched


def _not_bytes(text: str) -> str:
    try:
        return "" if _BYTES.validate_python(text.strip()) >= 0 else "A limit is not below 0."
    except ValidationError:
        return "That is no size: write it like 500GB, 20MiB or 0."


def _not_absolute(text: str) -> str:
    return "" if text.strip().startswith(("/", "~")) else "Give the whole path, from / or ~."


def _no_list(text: str) -> str:
    if text.strip().lower().endswith(_ENDINGS):
        return _not_absolute(text)
    return "End its name with .csv, .jsonl or .md."


def _write(found: report.MediaReport, file: Path) -> None:
    writing.write(file, writing.text(found, file.suffix.lower()[1:]), replace=False)


def _no_report(text: str) -> str:
    if text.strip().lower().endswith(writing.ENDINGS):
        return _not_absolute(text)
    return "End its name with .html, .md or .json."
