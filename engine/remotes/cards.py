"""What a person reads before a yes to a copy or a sync."""

from __future__ import annotations

from collections.abc import Sequence

from engine.contract.approvals import Card, CardItem, CardRow, Mark
from engine.contract.base import visible
from engine.remotes.local import Place
from engine.remotes.plans import Findings, Item
from engine.remotes.target import Target
from engine.remotes.words import files, size, span, when

_HOW = {"hash": "by hash", "time": "by size and time", "size": "by size alone"}


def card(verb: str, place: Place, target: Target, found: Findings, rate: int) -> Card:
    """Call it in a thread. ``rate``: the limit in bytes a second; 0: none."""
    by_act = {
        act: [item for item in found.items if item.act == act]
        for act in ("send", "overwrite", "delete")
    }
    lost = len(by_act["overwrite"]) + len(by_act["delete"])
    sent = [*by_act["send"], *by_act["overwrite"]]
    here = "" if not place.folder else f"/{visible(place.folder.decode('utf-8', 'replace'))}"
    rows = (
        CardRow(label="DO", text=_do(by_act), mark=Mark.WARN if lost else Mark.NONE),
        CardRow(label="SENDS", text=f"{place.name}{here} → {_place_there(target)}"),
        CardRow(label="COST", text=_cost(_sum(sent), rate)),
        CardRow(label="WHY", text=_why(found)),
        CardRow(label="SAFE", text=_safe(by_act["delete"]), mark=Mark.OK),
        _risk(by_act, found, target),
        CardRow(label="UNDO", text=_undo(lost, target), mark=Mark.WARN),
    )
    return Card(
        verb=verb,
        subject=place.name,
        headline=f"{files(len(found.items))}, {size(_sum(sent))} → {visible(target.fs)}",
        rows=rows,
        items=tuple(_item(item) for item in found.items),
        confirm_count=lost or None,
    )


def _sum(items: Sequence[Item]) -> int:
    return sum(item.size for item in items)


def _place_there(target: Target) -> str:
    return f"{visible(target.fs)} · {target.type} {target.where}".rstrip()


def _do(by_act: dict[str, list[Item]]) -> str:
    words = {"send": "send", "overwrite": "overwrite there", "delete": "delete there"}
    return " · ".join(
        f"{words[act]} {files(len(items))}, {size(_sum(items))}"
        for act, items in by_act.items()
        if items
    )


def _cost(sent: int, rate: int) -> str:
    text = f"{size(sent)} to send"
    if rate:
        text += f" · at {size(rate)}/s {span(sent / rate)} or longer"
    return text


def _why(found: Findings) -> str:
    there = ", ".join(f"{count:,} {_HOW[how]}" for how, count in sorted(found.there.items()))
    text = f"{files(sum(found.there.values()))} there already" + (f" ({there})" if there else "")
    if found.beyond:
        text += f" · {files(found.beyond)} more are left to a next plan"
    return text


def _safe(deletes: Sequence[Item]) -> str:
    text = "each file is looked at again just before · what was sent is verified at the end"
    return f"{text} · deletes come last, if all else is right" if deletes else text


def _risk(by_act: dict[str, list[Item]], found: Findings, target: Target) -> CardRow:
    told = ["stays on this machine" if target.local else "leaves this machine"]
    if by_act["overwrite"] or by_act["delete"]:
        told.append("what is overwritten or deleted there is lost")
    if found.left_count:
        told.append(f"{files(found.left_count)} left out: {'; '.join(found.left[:2])}")
    if not target.hashes:
        told.append("the remote has no hashes: only sizes can be verified")
    mark = Mark.NONE if told == ["stays on this machine"] else Mark.WARN
    return CardRow(label="RISK", text=" · ".join(told), mark=mark)


def _undo(lost: int, target: Target) -> str:
    if lost:
        return "none: what is lost there cannot be brought back from here"
    return "none: delete it there yourself" if target.local else "none: once sent, it is theirs"


def _item(item: Item) -> CardItem:
    note = {"send": "new there", "overwrite": "overwrites", "delete": "deleted there"}[item.act]
    if item.there is not None:
        note += f" {size(max(0, item.there.size))}"
        if item.there.mtime_ns is not None:
            note += f" of {when(item.there.mtime_ns):%Y-%m-%d}"
    return CardItem(key=item.key, text=item.shown, size=item.size, note=note)
