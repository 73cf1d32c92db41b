"""Themes: read from ``themes/*.toml`` beside this package, one file a theme."""

from __future__ import annotations

import tomllib
from pathlib import Path

from textual.theme import Theme

FOLDER = Path(__file__).resolve().parent.parent / "themes"
DEFAULT = "dark"


def names() -> tuple[str, ...]:
    """The themes that can be chosen, those that most people want first."""
    found = sorted(path.stem for path in FOLDER.glob("*.toml"))
    return tuple(sorted(found, key=lambda name: name not in {DEFAULT, "light"}))


def load(name: str) -> Theme:
    """The theme called ``name``. Raises FileNotFoundError or tomllib.TOMLDecodeError.

    Each tone becomes a CSS variable ``$tone-<name>``.
    """
    data = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    colors: dict[str, str] = data["colors"]
    tones: dict[str, str] = data["tones"]
    return Theme(
        name=data["name"],
        dark=data["dark"],
        primary=colors["primary"],
        secondary=colors["secondary"],
        accent=colors["accent"],
        success=colors["success"],
        warning=colors["warning"],
        error=colors["error"],
        foreground=colors["foreground"],
        background=colors["background"],
        surface=colors["surface"],
        panel=colors["panel"],
        variables={f"tone-{tone}": color for tone, color in tones.items()}
        | {
            "input-cursor-background": tones["plain"],
            "input-selection-background": tones["cursor"],
            "screen-selection-background": tones["accent"],
            "screen-selection-foreground": colors["background"],
            "scrollbar": colors["panel"],
            "scrollbar-hover": tones["rule"],
            "scrollbar-active": tones["muted"],
            "scrollbar-background": colors["background"],
            "scrollbar-background-hover": colors["background"],
            "scrollbar-background-active": colors["background"],
            "scrollbar-corner-color": colors["background"],
        },
    )
