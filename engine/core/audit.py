"""The audit log: append-only, each row's hash covers the row before.

It holds ids, digests, counts and decisions, never content. A tail that was cut off is noticed in
three ways: the highest number that SQLite remembers, the head kept in a file beside the database,
and a head that the user exported (``arcanum audit verify --head SEQ:HASH``).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import re
import threading
from pathlib import Path
from typing import Any

from engine.contract import audit
from engine.contract.base import Json, now, visible
from engine.contract.call import Call
from engine.contract.errors import StoreFailed
from engine.ground import Ground
from engine.store import Database, Transaction
from engine.store.database import Row

_log = logging.getLogger("arcanum.audit")
_START = "0" * 64
_HEAD = re.compile(r"\d{1,18}:[0-9a-f]{64}")
_PAGE = 2000
_LOWEST = -(2**63)
_COLUMNS = (
    "seq, at, machine, call, parent, actor, on_behalf_of,"
    " operation, phase, outcome, details, previous"
)


def _hash(values: list[Any]) -> str:
    """SHA-256 over the row's values, as JSON without spaces, the previous hash last."""
    text = json.dumps(values, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _detail(value: Any) -> Any:
    """A value that is fit for the log: small and printable."""
    if isinstance(value, bool | int | float) or value is None:
        return value
    return visible(str(value))[:200]


class AuditLog:
    """Appends and verifies. One process holds the engine's lock, so one chain grows at a time."""

    def __init__(self, state: Database, machine: str, head_file: Path) -> None:
        self._state = state
        self._machine = machine
        self._head_file = head_file
        self._keeping = threading.Lock()
        self._kept_seq = 0

    async def intent(self, operation: str, call: Call, details: Json) -> None:
        """Says what is about to be done. Committed before it returns."""
        await self._append(operation, call, "intent", "", details)

    async def outcome(self, operation: str, call: Call, outcome: str, details: Json) -> None:
        await self._append(operation, call, "outcome", outcome, details)

    async def _append(
        self, operation: str, call: Call, phase: str, outcome: str, details: Json
    ) -> None:
        text = json.dumps(
            {key: _detail(value) for key, value in details.items()}, separators=(",", ":")
        )

        async def work(tx: Transaction) -> tuple[int, str]:
            last = await tx.fetch("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")
            seq = await _highest(tx) + 1
            row = [
                seq,
                now().isoformat(),
                self._machine,
                call.id,
                call.parent,
                str(call.actor),
                None if call.on_behalf_of is None else str(call.on_behalf_of),
                operation,
                phase,
                outcome,
                text,
                last[0]["hash"] if last else _START,
            ]
            digest = _hash(row)
            await tx.execute(
                f"INSERT INTO audit ({_COLUMNS}, hash) VALUES ({'?, ' * 12}?)",  # noqa: S608
                (*row, digest),
            )
            return seq, digest

        await asyncio.to_thread(self._keep_head, *await self._state.write(work))

    def _keep_head(self, seq: int, digest: str) -> None:
        """After the commit, so that the file is never ahead of the database."""
        with self._keeping:
            if seq <= self._kept_seq:
                return
            draft = self._head_file.with_suffix(".new")
            try:
                draft.write_text(f"{seq}:{digest}\n", "ascii")
                draft.replace(self._head_file)
            except OSError as error:
                # An older head still fits: the row is written, so the call may go on.
                _log.warning("%s could not be written: %s", self._head_file, error)
            else:
                self._kept_seq = seq

    async def page(self, request: audit.ShowAudit) -> audit.AuditPage:
        rows = await self._state.read(
            f"SELECT {_COLUMNS}, hash FROM audit"  # noqa: S608 - a constant
            " WHERE ?1 IS NULL OR operation = ?1 ORDER BY seq DESC LIMIT ?2",
            (request.operation, request.limit),
        )
        return audit.AuditPage(entries=tuple(map(_entry, rows)))

    async def verify(self, request: audit.VerifyAudit) -> audit.AuditVerdict:
        """Walks the chain from its first row. The first row that does not fit is named."""
        kept = await asyncio.to_thread(self._kept_head)
        heads = [_parts(head) for head in (request.head, kept) if head]
        # Before the walk: what is appended meanwhile is no row that is missing.
        highest = max(await _highest(self._state), *(number for number, _ in heads), 0)
        previous, seq, count, after = _START, 0, 0, _LOWEST
        while True:
            rows = await self._state.read(
                f"SELECT {_COLUMNS}, hash FROM audit"  # noqa: S608 - a constant
                " WHERE seq > ? ORDER BY seq LIMIT ?",
                (after, _PAGE),
            )
            if not rows:
                break
            values = [tuple(row) for row in rows]
            bad = await asyncio.to_thread(_first_bad, values, previous, seq, heads)
            if bad is not None:
                return audit.AuditVerdict(
                    ok=False,
                    entries=count,
                    head=f"{seq}:{previous}",
                    bad_seq=bad[0],
                    problem=bad[1],
                )
            seq = after = values[-1][0]
            previous, count = values[-1][-1], count + len(values)
        head = f"{seq}:{previous}"
        if highest > seq:
            return audit.AuditVerdict(
                ok=False,
                entries=count,
                head=head,
                bad_seq=seq + 1,
                problem=f"rows {seq + 1} to {highest} are missing at the end",
            )
        return audit.AuditVerdict(ok=True, entries=count, head=head)

    def _kept_head(self) -> str | None:
        """None where none was kept yet. Raises StoreFailed for what is no head."""
        try:
            text = self._head_file.read_text("ascii").strip()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise self._no_head(visible(str(error))) from error
        if not _HEAD.fullmatch(text):
            raise self._no_head("it holds something else")
        return text

    def _no_head(self, problem: str) -> StoreFailed:
        return StoreFailed(
            f"{self._head_file} is not the head of the audit log: {problem}.",
            "Somebody may have changed it. Compare with a head that you exported (--head), then"
            " move the file away.",
        )


async def _highest(source: Database | Transaction) -> int:
    """The highest number that was ever used, whatever rows are left."""
    read = source.read if isinstance(source, Database) else source.fetch
    rows = await read("SELECT seq FROM sqlite_sequence WHERE name = 'audit'")
    return rows[0]["seq"] if rows else 0


def _parts(head: str) -> tuple[int, str]:
    seq, _, digest = head.partition(":")
    return int(seq), digest


def _entry(row: Row) -> audit.AuditEntry:
    try:
        details = json.loads(row["details"])
        return audit.AuditEntry.model_validate(dict(row) | {"details": details})
    except ValueError as error:
        raise StoreFailed(
            f"Row {row['seq']} of the audit log is not of its form: somebody changed it.",
            "arcanum audit verify names the first row that does not fit.",
        ) from error


def _first_bad(
    rows: list[tuple[Any, ...]], previous: str, seq: int, heads: list[tuple[int, str]]
) -> tuple[int, str] | None:
    for row in rows:
        *values, digest = row
        number = values[0]
        if number > seq + 1:
            return seq + 1, f"row {seq + 1} is missing"
        if number <= seq:
            return number, "it does not belong there"
        if values[-1] != previous:
            return number, "it does not follow from the row before it"
        if _hash(values) != digest:
            return number, "its content was changed"
        if any(at == number and head != digest for at, head in heads):
            return number, "it is not the row of the head that was kept"
        seq, previous = number, digest
    return None


class AuditRoom:
    """Binds ``audit.show`` and ``audit.verify``."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._log = ground.use(AuditLog)

    async def start(self) -> None:
        self._ground.door.unary(audit.SHOW, lambda request, _call: self._log.page(request))
        self._ground.door.unary(audit.VERIFY, lambda request, _call: self._log.verify(request))

    async def stop(self) -> None:
        """Nothing to end."""
