"""What an answer that is not there yet waits for, and which model would give it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arcanum_tui.state.frame import MODEL_STATES, UNKNOWN_STATE
from arcanum_tui.state.grid import Piece, muted
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
        return Piece("● writing", "info"), muted(" · Esc stops")
    if exchange.status == "asked":
        if model is not None and model.state == "loading":
            return (Piece(f"● loading {clean(model.model)} … {loading_s:.1f} s", "info"),)
        return (Piece(f"● asking …{since}", "info"),)
    tokens = f", {number(pace.prompt_tokens)} tokens" if pace and pace.prompt_tokens else ""
    return (Piece(f"● reading the prompt{tokens} …{since}", "info"),)


def head(state: State, loading_s: float, trouble: str) -> list[Piece]:
    """The model that answers: where it runs, and whether it is ready. ``trouble``: why it could
    not be loaded ahead."""
    info = state.model
    if info is None:
        failure = state.failures.get("model.info")
        why = f": {clean(failure.message)}" if failure else ""
        return [Piece(f"? model unknown{why}", "unknown")]
    if info.simulated:
        why = f" · {clean(info.reason)}" if info.reason else ""
        return [Piece("SCRIPTED – no model", "warn"), muted(why)]
    word, tone = MODEL_STATES.get(info.state, UNKNOWN_STATE)
    if info.state == "loading":
        word = f"{word} {loading_s:.1f} s"
    elif info.state == "failed" and info.reason:
        word = f"{word}: {clean(info.reason)}"
    elif info.state == "unloaded" and trouble:
        word, tone = f"✗ {clean(trouble)}", "bad"
    pieces = [*_where(info), Piece(clean(info.model)), Piece(f" {word}", tone)]
    if info.state == "ready" and info.load_s:
        pieces.append(muted(f" in {seconds(info.load_s)}"))
    return pieces


def _where(info: ModelInfo) -> list[Piece]:
    if not info.local:
        return [Piece("! leaves this machine · ", "warn")]
    device = f"{clean(info.device)} · " if info.device else "local · "
    return [muted(device)]
