"""What an answer that is not there yet waits for, and which model would give it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len

from arcanum_tui.state.frame import MODEL_STATES, UNKNOWN_STATE
from arcanum_tui.state.grid import Piece, fit, muted
from arcanum_tui.state.model import State
from arcanum_tui.state.pace import seconds
from arcanum_tui.state.text import clean, number

if TYPE_CHECKING:
    from arcanum_tui.state.chat import Exchange
    from engine.contract.model import ModelInfo


def waits_for(
    exchange: Exchange, ahead: int, state: State, loading_s: float, now: float
) -> tuple[Piece, ...]:
    """What to say under a question. ``ahead``: questions before it; ``loading_s``: how long the
    model has been loading."""
    model, pace = state.model, exchange.pace
    if exchange.status == "queued":
        if state.link.state != "live":
            return (Piece("○ waits for the engine; it is asked as soon as it answers", "info"),)
        return (Piece(f"○ waits: {number(ahead)} ahead", "info"),)
    since = "" if pace is None else f" {now - pace.asked_at:.1f} s"
    if pace is not None and pace.first_at is not None:
        said = "● writing"
    elif exchange.status == "writing":
        tokens = f", {number(pace.prompt_tokens)} tokens" if pace and pace.prompt_tokens else ""
        said = f"● reading the prompt{tokens} …{since}"
    elif model is not None and model.state == "loading":
        said = f"● loading {clean(model.model)} … {loading_s:.1f} s"
    else:
        said = f"● asking …{since}"
    return Piece(said, "info"), muted(" · Esc stops")


def head(state: State, loading_s: float, trouble: str, room: int) -> list[Piece]:
    """The model that answers: where it runs, and whether it is ready, in ``room`` cells as far as
    that can be. ``trouble``: why it could not be loaded ahead."""
    info = state.model
    if info is None:
        failure = state.failures.get("model.info")
        why = f": {clean(failure.message)}" if failure else ""
        return [Piece(f"? model unknown{why}", "unknown")]
    if info.simulated:
        why = f" · {clean(info.reason)}" if info.reason else ""
        return _first([[Piece("SCRIPTED – no model", "warn"), muted(why)]], room)
    word, tone = MODEL_STATES.get(info.state, UNKNOWN_STATE)
    if info.state == "loading":
        word = f"{word} {loading_s:.1f} s"
    elif info.state == "failed" and info.reason:
        word = f"{word}: {clean(info.reason)}"
    elif info.state == "unloaded" and trouble:
        word, tone = f"✗ {clean(trouble)}", "bad"
    end = [Piece(clean(info.model)), Piece(f" {word}", tone)]
    took = [muted(f" in {seconds(info.load_s)}")] if info.state == "ready" and info.load_s else []
    where = _where(info)
    ways = [[where, *end, *took], [where, *end]]
    # That a prompt leaves this machine is said wherever there is room for anything.
    ways += [end, [Piece(f"{word}", tone)]] if info.local else [[where, Piece(word, tone)]]
    return _first(ways, room)


def _first(ways: list[list[Piece]], room: int) -> list[Piece]:
    """The first that fits; the last one cut where none does."""
    for pieces in ways:
        if sum(cell_len(p.text) for p in pieces) <= room:
            return pieces
    text = "".join(p.text for p in ways[-1])
    return [Piece(fit(text, room), ways[-1][-1].tone)] if room > 4 else []


def _where(info: ModelInfo) -> Piece:
    if not info.local:
        return Piece("! leaves this machine · ", "warn")
    return muted(f"{clean(info.device)} · " if info.device else "local · ")
