"""What models take and what there is: whether one more fits, and the words where it does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.contract.backend import Placement
from engine.contract.base import visible
from engine.contract.errors import Unavailable

_MOST_NAMED = 4


@dataclass(frozen=True, slots=True, eq=False)
class Holding:
    """What a loaded model takes; ``busy`` while somebody uses it. No two are equal."""

    name: str
    placement: Placement
    busy: bool

    @property
    def on_device(self) -> int:
        return self.placement.on_device


@dataclass(frozen=True, slots=True)
class Room:
    """Memory for models. ``budget``: what all may take together, in bytes, 0 for no bound."""

    budget: int
    held: Sequence[Holding]

    def lacks(self, wanted: Placement, *, leaving: Sequence[Holding] = ()) -> bool:
        """True where ``wanted`` does not fit, though the ``leaving`` were gone."""
        staying = sum(each.placement.needs for each in self.held if each not in leaving)
        ram = sum(_in_ram(each.placement) for each in leaving)
        device = sum(each.on_device for each in leaving)
        return (
            (self.budget > 0 and staying + wanted.needs > self.budget)
            or (wanted.free_ram > 0 and _in_ram(wanted) > wanted.free_ram + ram)
            or (wanted.free > 0 and wanted.on_device > wanted.free + device)
        )

    def cramps(self, wanted: Placement) -> bool:
        """True where it fits, but others hold GPU memory that more of its layers would go into."""
        return (
            wanted.gpu_layers < wanted.layers
            and 0 < wanted.free < wanted.needs
            and any(each.on_device for each in self.held)
        )

    def refusal(self, name: str, wanted: Placement) -> Unavailable:
        """Needs, what is free, who holds what, what to do."""
        held = sorted(self.held, key=lambda each: each.placement.needs, reverse=True)
        named = ", ".join(
            f"{visible(each.name)} {size(each.placement.needs)}{' (in use)' if each.busy else ''}"
            for each in held[:_MOST_NAMED]
        )
        more = f" and {len(held) - _MOST_NAMED} more" if len(held) > _MOST_NAMED else ""
        return Unavailable(
            f"{visible(name)} does not fit into memory: it needs {size(wanted.needs)}, "
            f"{self._free(wanted)}. "
            + (f"Loaded: {named}{more}." if held else "No other model is loaded."),
            f"{self._first()} a smaller model, or a smaller context (context in config.toml).",
        )

    def _first(self) -> str:
        """What to do, up to where it is the same for all."""
        if not self.held:
            return "Use"
        wait = (
            "Ask again when an answer has ended, free" if any(e.busy for e in self.held) else "Free"
        )
        return f"{wait} one (arcanum model unload NAME), use"

    def _free(self, wanted: Placement) -> str:
        parts = []
        if self.budget:
            left = max(0, self.budget - sum(each.placement.needs for each in self.held))
            parts.append(f"{size(left)} are left of the {size(self.budget)} that models may take")
        if wanted.free_ram:
            parts.append(f"this machine has {size(wanted.free_ram)} free")
        if wanted.free and wanted.on_device:
            parts.append(f"{visible(wanted.device)} has {size(wanted.free)} free")
        return " and ".join(parts)


def fits(placement: Placement, budget: int) -> bool:
    """Whether it would fit if no other model were loaded."""
    return not Room(budget, ()).lacks(placement)


def _in_ram(placement: Placement) -> int:
    return max(0, placement.needs - placement.on_device)


def size(count: int) -> str:
    """Bytes in decimal units: ``96 MB``, ``4.1 GB``."""
    if count < 1_000_000_000:
        return f"{count / 1e6:.0f} MB"
    return f"{count / 1e9:.{1 if count < 10_000_000_000 else 0}f} GB"
