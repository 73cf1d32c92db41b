"""What servers write is looked at with these: any of it may be missing, or be something else."""

from __future__ import annotations

import math
from typing import Any


def field(value: Any, key: str) -> Any:
    """A value of an object, or None where ``value`` is none or lacks it."""
    return value.get(key) if isinstance(value, dict) else None


def objects(value: Any, key: str) -> list[dict[str, Any]]:
    """The objects in a list of an object."""
    found = field(value, key)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def whole_number(value: Any) -> int | None:
    """A size or a count; None where it is none that can be."""
    plausible = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**60
    return value if plausible else None


def is_number(value: Any) -> bool:
    """Whether it is a finite number. JSON as Python reads it knows NaN and Infinity."""
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


def whole(text: str) -> str:
    """``text`` with lone surrogates, which UTF-8 cannot hold, replaced."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
