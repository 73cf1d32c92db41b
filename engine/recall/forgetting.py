"""The four acts of forgetting: gone for good, from wherever words are kept.

The memories, their turns and the rows of the archives change in one transaction; new files of the
archives are whole before it, old ones go after it. The rest is cleaning, which can be done again:
after a crash ``settle`` does. What remains is a tombstone, which holds nothing of what was said.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol

from engine.contract.approvals import ApprovalState, Outcome
from engine.contract.base import visible
from engine.contract.call import Call
from engine.contract.errors import ArcanumError, Failed
from engine.contract.memories import Forget, Forgotten
from engine.contract.memory import SessionChanged
from engine.contract.ports import Draft, Execution, StoredPlan
from engine.ground import Ground
from engine.recall import copies, gone
from engine.recall.archived import Damaged
from engine.recall.book import fetch, numbers, show_again, told
from engine.recall.copies import Erasure, Unclean
from engine.recall.erasing import PLANS, Statement, Words, emptied, plan_emptied
from engine.recall.extent import answers_of, extent_of, left_of, moved, turns_of
from engine.recall.forget_card import also, drafted
from engine.recall.forget_request import MOST, keeping, refuse, refuse_unclear, wanted
from engine.recall.records import memories, some, why
from engine.recall.vault import Replacement, Vault, switch
from engine.recall.wholeness import tombs
from engine.store import Database, Transaction

_log = logging.getLogger("arcanum.recall")
_LOOKED_FOR = 100
_TELLING = 12
"""Characters from which on a text in a log is no coincidence."""


class Index(Protocol):
    """What is asked of the index."""

    async def forget(self, ids: Sequence[int]) -> str:
        """Returns once nothing of these memories is in its files; else what is in the way."""
        ...


@dataclass(slots=True)
class _Report:
    places: list[str] = field(default_factory=lambda: ["the database"])
    problems: list[str] = field(default_factory=list)


class ForgetActs:
    """Implements ``HighRisk[Forget]``."""

    def __init__(self, ground: Ground, vault: Vault, index: Index) -> None:
        self._ground = ground
        self._state = ground.state
        self._vault = vault
        self._index = index
        self._copies = ground.home.data / "backups"

    # --- before ---------------------------------------------------------------------------------

    async def plan(self, request: Forget, call: Call) -> Draft:
        refuse_unclear(request)
        hours = timedelta(hours=self._ground.config.approvals.expires_hours)
        if request.gone:
            left = await gone.left(self._state, self._copies, MOST)
            return await asyncio.to_thread(gone.drafted, request, left, call, hours.total_seconds())
        ids = await wanted(self._state, request)
        found = await extent_of(self._state, ids)
        if request.keep or request.keep_older or request.keep_answers:
            found = await extent_of(self._state, ids, keeping(request, found))
        refuse(found)
        away = [row["id"] for row in found.rows if row["state"] == "archived"]
        texts = await self._vault.texts(away) if away else {}
        return await asyncio.to_thread(drafted, request, found, texts, call, hours.total_seconds())

    async def check(self, plan: StoredPlan) -> list[str]:
        return await self._moved(self._state, plan)

    async def _moved(self, source: Database | Transaction, plan: StoredPlan) -> list[str]:
        """What is gone stays as it is."""
        return [] if gone.is_gone(plan) else await moved(source, plan)

    # --- doing it -------------------------------------------------------------------------------

    async def execute(self, plan: StoredPlan, run: Execution) -> Outcome:
        total = len(plan.preconditions)
        if run.stopping():
            return _untouched(plan, ApprovalState.INTERRUPTED, ["the engine is stopping"])
        await run.progress(0, total, "looking through the archives")
        erasure = await self._said(plan)
        report = _Report()
        changed = await self._erase(plan, erasure, report)
        if changed:
            return _untouched(plan, ApprovalState.FAILED, changed)
        await run.progress(total, total, "cleaning the copies")
        await self._clean(plan, erasure, report)
        return _done(plan, report)

    async def settle(self, plan: StoredPlan) -> Outcome:
        """It was committed whole, or not at all; where it was, the cleaning is done again."""
        left = await fetch(
            self._state,
            "SELECT id FROM memory WHERE id IN (SELECT value FROM json_each(?)) LIMIT 1",
            numbers(_ids(plan)),
        )
        if left:
            return _untouched(plan, ApprovalState.INTERRUPTED, ["the engine ended before"])
        report, erasure = _Report(), Erasure(_uids(plan), turns_of(plan), answers_of(plan))
        if gone.is_gone(plan):  # Whether it was committed is not seen, and it can be done again.
            erasure = await self._said(plan)
            await self._erase(plan, erasure, report)
        else:
            async with self._vault.changing:
                await self._vault.settle()
        await self._clean(plan, erasure, report)
        return _done(plan, report)

    async def _said(self, plan: StoredPlan) -> Erasure:
        """All that is to go, in memory alone."""
        if gone.is_gone(plan):
            found = await gone.left(self._state, self._copies, MOST)
            texts = {row["text"] for row in found.passages.values()}
            return Erasure(_uids(plan), (), texts=sorted(texts - {""}), gone=True)
        ids = _ids(plan)
        rows = await fetch(
            self._state,
            "SELECT memory.id, memory.text, turn.question FROM memory"
            " LEFT JOIN turn ON turn.id = memory.turn_id"
            " WHERE memory.id IN (SELECT value FROM json_each(?))",
            numbers(ids),
        )
        turns = turns_of(plan)
        asked = await fetch(
            self._state,
            "SELECT question FROM turn WHERE id IN (SELECT value FROM json_each(?))",
            numbers(number for number, _at in turns),
        )
        made = await fetch(
            self._state,
            "SELECT answer FROM turn WHERE id IN (SELECT value FROM json_each(?))",
            numbers(number for number, _at in answers_of(plan)),
        )
        corrected = await fetch(
            self._state,
            "SELECT newer.uid, old.text AS before, newer.text AS says FROM memory AS old"
            # What was corrected may have been replaced since: it stands beside its older text then.
            " JOIN memory AS newer"
            " ON newer.id = old.replaced_by OR newer.replaced_by = old.replaced_by"
            " WHERE old.state = 'replaced' AND newer.text != '' AND newer.text != old.text"
            " AND old.id IN (SELECT value FROM json_each(?1))"
            " AND newer.id NOT IN (SELECT value FROM json_each(?1))",
            numbers(ids),
        )
        away = await self._vault.texts(ids)
        texts = {row["text"] for row in rows} | {row["question"] for row in asked}
        return Erasure(
            _uids(plan),
            turns,
            answers_of(plan),
            sorted((texts | set(away.values())) - {""}),
            sorted({row["answer"] for row in made} - {""}),
            [(row["uid"].hex(), row["before"], row["says"]) for row in corrected],
        )

    async def _erase(self, plan: StoredPlan, erasure: Erasure, report: _Report) -> list[str]:
        """What moved meanwhile, and then nothing is done; else it is gone from the truth."""
        ids, words = _ids(plan), await asyncio.to_thread(Words, erasure.texts, erasure.said)
        async with self._vault.changing:
            try:
                await self._vault.settle()
                uids = await tombs(self._state) if gone.is_gone(plan) else erasure.uids
                files, problems = await self._vault.without(uids, ids)
            except (OSError, Damaged) as error:
                raise Failed(
                    f"An archive could not be written anew: {visible(str(error))}.",
                    "Nothing was forgotten. Look at the disk's free space and health.",
                ) from error
            plans, seen = await self._plans(0, plan, words)

            async def work(tx: Transaction) -> list[str]:
                if changed := await self._moved(tx, plan):
                    return changed
                await self._write(tx, plan, files)
                later, _seen = await self._plans(seen, plan, words, tx)
                for statement in (*plans, *later):
                    await tx.execute(*statement)
                return []

            try:
                changed = await self._state.write(work)
            except Exception:
                await self._vault.remove(_fresh(files))
                raise
            if changed:
                await self._vault.remove(_fresh(files))
                return changed
            report.problems += problems
            report.problems += await self._vault.remove(each.name for each in files)
        if files:
            report.places.append("1 archive" if len(files) == 1 else f"{len(files):,} archives")
        if plans:
            report.places.append("the plans that are kept of approvals")
        return []

    async def _write(self, tx: Transaction, plan: StoredPlan, files: Sequence[Replacement]) -> None:
        ids = _ids(plan)
        spaces = await tx.fetch(
            "SELECT DISTINCT namespace_id AS id FROM memory"
            " WHERE id IN (SELECT value FROM json_each(?))",
            (numbers(ids),),
        )
        if gone.is_gone(plan):  # In which they were nothing tells any more.
            spaces = await tx.fetch("SELECT id FROM namespace")
        left = list(left_of(plan))
        if left:
            await show_again(tx, left, self._ground.machine)
        tables = {"memory", "attachment", "turn", "session"}
        turns = [number for number, _at in turns_of(plan)]
        answers = [number for number, _at in answers_of(plan)]
        for statement in emptied(ids, turns, answers, tables):
            await tx.execute(*statement)
        await self._tell_readers(tx, [*turns, *answers])
        await switch(tx, files)
        # A name says something, too.
        await tx.execute(
            "DELETE FROM namespace WHERE id IN (SELECT value FROM json_each(?))"
            " AND session_id IS NULL"
            " AND NOT EXISTS (SELECT 1 FROM memory WHERE namespace_id = namespace.id)"
            " AND NOT EXISTS (SELECT 1 FROM folder WHERE namespace_id = namespace.id)",
            (numbers(row["id"] for row in spaces),),
        )
        name = plan.payload["namespace"] or ""
        if ids:
            await told(tx, "forgotten", ids, self._ground.machine, name)

    async def _tell_readers(self, tx: Transaction, turns: Sequence[int]) -> None:
        """Whoever shows a conversation of these turns reads it again."""
        for row in await tx.fetch(
            "SELECT DISTINCT session.name FROM turn JOIN session ON session.id = turn.session_id"
            " WHERE turn.id IN (SELECT value FROM json_each(?))",
            (numbers(turns),),
        ):
            await tx.emit(
                SessionChanged(
                    session=row["name"], change="forgotten", machine=self._ground.machine
                )
            )

    async def _plans(
        self, after: int, plan: StoredPlan, words: Words, tx: Transaction | None = None
    ) -> tuple[list[Statement], int]:
        """What empties the plans after one of them, and the last of these."""
        found: list[Statement] = []
        ids, turns = set(_ids(plan)), {number for number, _at in turns_of(plan)}
        answers = {number for number, _at in answers_of(plan)}
        if gone.is_gone(plan):  # Also of what no copy holds: a plan tells what it took along.
            tombs = await fetch(tx or self._state, "SELECT memory_id AS id FROM forgotten")
            ids = await asyncio.to_thread(lambda: {row["id"] for row in tombs})
        while rows := await fetch(tx or self._state, PLANS, after):
            after = rows[-1]["id"]
            found += await asyncio.to_thread(_emptied_plans, rows, ids, turns, answers, words)
        return found, after

    # --- what can be done again -----------------------------------------------------------------

    async def _clean(self, plan: StoredPlan, erasure: Erasure, report: _Report) -> None:
        await self._clean_copies(erasure, report)
        await self._forgotten_by_models(report)
        if problem := await self._forgotten_by_index(_ids(plan)):
            report.problems.append(f"the index holds it still: {problem}")
        else:
            report.places.append("the index")
        try:
            if not await self._state.scrub():
                report.problems.append(
                    "the database's log holds it still, because somebody is reading in it; it is"
                    " emptied when the engine ends"
                )
        except ArcanumError as error:
            report.problems.append(f"the database's free space holds it still: {error.message}")
        await self._look_into_logs(erasure, report)

    async def _clean_copies(self, erasure: Erasure, report: _Report) -> None:
        cleaned = 0
        try:
            found = await asyncio.to_thread(copies.copies, self._copies)
        except OSError as error:
            report.problems.append(
                f"{self._copies} could not be looked through: {visible(str(error))}"
            )
            return
        for path in found:
            try:
                cleaned += await asyncio.to_thread(copies.clean, path, erasure)
            except Unclean as error:
                report.problems.append(f"{path} could not be cleaned ({error}): remove it yourself")
        if cleaned:
            report.places.append(f"{cleaned:,} {'copy' if cleaned == 1 else 'copies'} in backups")

    async def _forgotten_by_index(self, ids: Sequence[int]) -> str:
        """What is in the way, in words."""
        try:
            return await self._index.forget(ids)
        except Exception as error:  # noqa: BLE001 - the truth is clean all the same, and this is told
            _log.error("the index could not be cleaned: %s", why(error))
            return why(error)

    async def _forgotten_by_models(self, report: _Report) -> None:
        """What any of them has read of any conversation: a memory was part of other prompts."""
        for row in await self._state.read("SELECT name FROM session"):
            try:
                await self._ground.models.forget_session(row["name"])
            except Exception as error:  # noqa: BLE001 - what was asked for is done, and this is told
                _log.error("what models keep could not be removed: %s", why(error))
                report.problems.append(f"what a model keeps on disk is still there: {why(error)}")
                return
        report.places.append("what models keep on disk")

    async def _look_into_logs(self, erasure: Erasure, report: _Report) -> None:
        """A log is not written anew; where it holds some of it, that is told."""
        words = (*erasure.said[:_LOOKED_FOR], *erasure.texts[:_LOOKED_FOR])
        telling = [text for text in words if len(text) >= _TELLING]
        log = self._ground.home.log_file
        for path in await asyncio.to_thread(_logs, log.parent, log.name, telling):
            report.problems.append(f"{path} holds words of it: remove that file")


def _emptied_plans(
    rows: Sequence[Any], ids: set[int], turns: set[int], answers: set[int], words: Words
) -> list[Statement]:
    return [each for row in rows for each in plan_emptied(row, ids, turns, answers, words)]


def _logs(folder: Any, name: str, texts: Sequence[str]) -> list[Any]:
    return copies.in_files(sorted(folder.glob(f"{name}*")), texts)


def _ids(plan: StoredPlan) -> list[int]:
    return [each["id"] for each in plan.preconditions]


def _uids(plan: StoredPlan) -> list[str]:
    return [each["uid"] for each in plan.preconditions]


def _fresh(files: Sequence[Replacement]) -> list[str]:
    return [each.fresh.name for each in files if each.fresh is not None]


def _untouched(plan: StoredPlan, state: ApprovalState, problems: Sequence[str]) -> Outcome:
    return Outcome(
        state=state,
        total=len(plan.preconditions),
        summary="nothing was forgotten",
        problems=some(problems),
    )


def _done(plan: StoredPlan, report: _Report) -> Outcome:
    total = len(plan.preconditions)
    answers = tuple(number for number, _at in answers_of(plan))
    result = Forgotten(ids=tuple(_ids(plan)), answers=answers, places=tuple(report.places))
    return Outcome(
        state=ApprovalState.PARTIAL if report.problems else ApprovalState.DONE,
        done=total,
        total=total,
        summary=f"{memories(total)}{also(len(answers))} forgotten",
        problems=some(report.problems),
        result=result.model_dump(mode="json"),
    )
