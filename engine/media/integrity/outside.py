"""The same files on remotes: compared with, and offered where one here is damaged."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence

from engine.contract import remotes
from engine.contract.base import PathRef
from engine.contract.call import Call
from engine.contract.elsewhere import Elsewhere
from engine.contract.errors import ArcanumError, Forbidden
from engine.contract.integrity import Compared, Damaged, RemoteCopy, Trouble
from engine.contract.ports import JobControl
from engine.contract.remotes import CheckResult, DifferenceKind
from engine.ground import Ground
from engine.media.integrity.checks import Checks

_COPIES = 5
_KINDS: Mapping[DifferenceKind, str] = {
    "differing": "differing",
    "missing_here": "missing",
    "missing_there": "extra",
    "size_only": "unsure",
    "unknown": "unsure",
}


class Outside:
    """Starts the remotes room only where it is asked for something."""

    def __init__(self, ground: Ground, checks: Checks) -> None:
        self._ground, self._checks = ground, checks

    async def _elsewhere(self) -> Elsewhere:
        """Raises Unavailable."""
        await self._ground.door.ensure("remotes")
        return self._ground.use(Elsewhere)  # type: ignore[type-abstract]

    async def hash_of(self, remote: str, call: Call) -> str:
        """What it is compared by. Raises Forbidden where this caller may not reach remotes."""
        if call.actor.kind not in remotes.CHECK.actors:
            raise Forbidden(
                f"{call.actor} may not reach remotes: they are asked with a person's keys.",
                "Ask a person to compare with it.",
            )
        return await (await self._elsewhere()).hash_of(remote)

    async def compare(
        self, library: str, remote: str, control: JobControl
    ) -> tuple[Compared, list[Trouble]]:
        """Raises as ``Elsewhere.compare`` does."""
        found = await (await self._elsewhere()).compare(library, remote, control)
        return _compared(found), [
            Trouble(
                kind=_KINDS[each.kind],  # type: ignore[arg-type]
                path=each.path,
                why=each.why or f"not on {found.remote}" * (each.kind == "missing_there"),
            )
            for each in found.differences
        ]

    async def copies(
        self, file: int, blake3: str | None, size: int, path: PathRef
    ) -> tuple[RemoteCopy, ...]:
        """Who has what this file should hold, as far as inventories tell."""
        hashes = await self._checks.digests(file) | ({"blake3": blake3} if blake3 else {})
        name = os.path.basename(path.data).decode("utf-8", "replace")
        try:
            found = await (await self._elsewhere()).holders(hashes, size, name, _COPIES)
        except ArcanumError:  # It is an offer: without it, all else is as true.
            return ()
        return tuple(
            RemoteCopy(remote=each.remote, path=each.path, by=each.by, at=each.at) for each in found
        )

    async def sure(
        self, file: int, blake3: str | None, size: int, path: PathRef
    ) -> tuple[RemoteCopy, ...]:
        """Those of which a hash says so."""
        found = await self.copies(file, blake3, size, path) if blake3 else ()
        return tuple(each for each in found if each.by != "size")

    async def offered(self, damaged: Sequence[Damaged]) -> tuple[Damaged, ...]:
        """The same, with what remotes have of each."""
        return tuple(
            [
                one.model_copy(
                    update={"remotes": await self.copies(one.id, one.blake3, one.size, one.path)}
                )
                for one in damaged
            ]
        )


def _compared(found: CheckResult) -> Compared:
    count = Counter(
        {
            "missing": found.missing_here,
            "differing": found.differing,
            "unsure": found.size_only + found.unknown,
        }
    )
    return Compared(
        entries=found.same + count.total(),
        matching=found.same,
        extra=found.missing_there,
        unreadable=0,
        bad_lines=0,
        remote=found.remote,
        hash=found.hash,
        **count,
    )
