"""The four acts of a fetch: plan, check, execute, settle; and where its files came from."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from engine.contract.approvals import ApprovalState, Card, Outcome
from engine.contract.base import visible
from engine.contract.errors import ArcanumError, Refused
from engine.contract.events import Event
from engine.contract.origins import Origin, Origins
from engine.contract.ports import StoredPlan
from engine.contract.remotes import Fetched
from engine.remotes import comparing, plans, words
from engine.remotes.acts import Acts
from engine.remotes.cards import fetch_card
from engine.remotes.fetching import Fetching, free, missing_here
from engine.remotes.inventory import take
from engine.remotes.landing import Landing
from engine.remotes.local import Place
from engine.remotes.plans import Approved, Findings, Item
from engine.remotes.rc import Rc
from engine.remotes.running import SENDING, SENT, VERIFIED, Report, Running
from engine.remotes.target import Target
from engine.remotes.telling import Telling

_AT_ONCE = 500


class FetchActs(Acts):
    """Nothing here is overwritten; what came is told where it came from."""

    moved, way = "fetched", "from"

    async def _find(
        self, rc: Rc, place: Place, target: Target, chosen: Findings, pace: Telling
    ) -> Findings:
        book, catalogue = self._reach.book, await self._reach.catalogue()
        tally = await take(rc, book, target, self._reach.cheap(target), pace)
        try:
            pairs = comparing.pairs(place, catalogue, book, tally.number, target)
            found = await missing_here((tally, pairs), place, target, chosen, pace)
        finally:
            await book.drop(tally.number)
        size, room = sum(item.size for item in found.items), await asyncio.to_thread(free, place)
        if size > room:
            raise Refused(
                f"{words.size(size)} do not fit into {place.name}: {words.size(room)} are free.",
                "Make room first, or fetch a folder of it.",
            )
        return found

    def _nothing(self, place: Place, target: Target, found: Findings) -> Refused:
        here = words.files(found.there["name"])
        left = f"; {words.files(found.left_count)} left out: {found.left[0]}" if found.left else ""
        where = visible(target.fs)
        return Refused(
            f"There is nothing to fetch: {here} of {where}, all by name in {place.name}{left}.",
            f"arcanum remotes check {place.name} {where} compares what they hold.",
        )

    def _card(self, place: Place, target: Target, found: Findings, rate: int) -> Card:
        return fetch_card(place, target, found, rate)

    def _running(self, number: int, operation: str, plan: Approved) -> Running:
        reach = self._reach
        return Fetching(
            number, operation, plan, rcd=reach.rcd, book=reach.book,
            at_once=reach.settings.transfers,
            note=lambda items: self._note(number, plan, items),
        )  # fmt: skip

    def _event(self, plan: Approved, outcome: Outcome) -> Event:
        return Fetched(
            library=plan.place.name,
            remote=plan.remote,
            files=outcome.result["fetched"],
            bytes=outcome.result["bytes"],
            complete=outcome.state is ApprovalState.DONE,
            machine=self._reach.ground.machine,
        )

    async def _after(self, number: int, plan: Approved, report: Report) -> None:
        """Takes what came into the catalogue, and notes where it came from."""
        states = report.states
        came = [item for item in plan.items if states.get(item.n) == SENT]
        try:
            for start in range(0, len(came), _AT_ONCE):
                some = came[start : start + _AT_ONCE]
                await self._note(number, plan, some)
                states |= dict.fromkeys((item.n for item in some), VERIFIED)
                await self._reach.book.act(number, [(item.n, VERIFIED) for item in some])
        except ArcanumError as error:
            report.problems.append(f"where it came from could not be noted: {error.message}")

    async def _note(self, number: int, plan: Approved, items: Sequence[Item]) -> None:
        catalogue = await self._reach.catalogue()
        await catalogue.refresh(plan.place.name, [item.path for item in items])
        told = {
            "remote": " ".join(filter(None, map(str, plan.kind.values()))),
            "approval": f"#{number}",
        }
        origins = [
            Origin(item.path, "remote", _where(plan.remote, item.name), 1.0, told) for item in items
        ]
        await self._reach.ground.use(Origins).came(  # type: ignore[type-abstract]
            plan.place.name, origins
        )

    async def settle(self, plan: StoredPlan) -> Outcome:
        """A file has its name, and then it is whole, or it has not, and its part is removed."""
        approved = await asyncio.to_thread(plans.approved, plan)
        states = await self._reach.book.acts(plan.approval_id)
        report = Report(states, stopped="the engine ended")
        flying = [item for item in approved.items if states.get(item.n) == SENDING]
        try:
            named = await asyncio.to_thread(_settled, approved, plan.approval_id, flying)
        except ArcanumError as error:  # The disk is away: those in flight are named.
            report.problems.append(error.message)
        else:
            for item in flying:
                del states[item.n]
            states |= dict.fromkeys((item.n for item in named), SENT)
        await self._after(plan.approval_id, approved, report)
        return await asyncio.to_thread(self._outcome, approved, states, report)


def _settled(plan: Approved, number: int, flying: list[Item]) -> list[Item]:
    landing = Landing(plan.place, number)
    try:
        return landing.settle(flying)
    finally:
        landing.close()


def _where(remote: str, name: str) -> str:
    """The address of a file there: it holds a remote's name, and none of its secrets."""
    return visible(f"{remote}{name}" if remote.endswith((":", "/")) else f"{remote}/{name}")
