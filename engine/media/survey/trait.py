"""What is found out about one file, on its way to the engine. Standard library only.

The engine checks all of it again (``records``): what read the file may have been taken over by it.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from engine.media.source import redacting

TEXT = 400
"""Characters of a text that leave the process."""

_TIME = re.compile(
    r"(\d{4})[:\-/](\d\d)[:\-/](\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?)?"
    r"\s*(Z|[+-]\d\d:?\d\d)?$"
)
ASSUMED = "as this machine's local time: the file names no zone"


class UnreadError(Exception):
    """Why less is known of a file than could be."""


class Trait(dict[str, Any]):
    """The columns of ``trait`` by name, those that are known; ``details`` is everything else."""

    def __init__(self, kind: str, type_: str) -> None:
        super().__init__(kind=kind, type=type_)
        self.details: dict[str, str] = {}

    def frame(self) -> dict[str, Any]:
        return {**self, "details": self.details} if self.details else dict(self)

    def tell(self, name: str, value: object) -> None:
        """One of the details, where there is one."""
        if told := plain(value):
            self.details.setdefault(name, told)

    def size(self, width: int, height: int) -> None:
        if width > 0 and height > 0:
            self["width"], self["height"] = width, height

    def camera(self, maker: object, model: object) -> None:
        """Many a model's name begins with its maker's."""
        make, name = plain(maker), plain(model)
        first = make.split(" ")[0].lower()
        camera = name if first and name.lower().startswith(first) else f"{make} {name}".strip()
        if camera:
            self["camera"] = camera

    def place(self, latitude: float, longitude: float) -> None:
        """Degrees, south and west negative. (0, 0) is what receivers without a fix write."""
        real = math.isfinite(latitude) and math.isfinite(longitude)
        if real and abs(latitude) <= 90 and abs(longitude) <= 180 and (latitude or longitude):
            self["latitude"], self["longitude"] = round(latitude, 7), round(longitude, 7)

    def taken(self, text: object, zone: object = "") -> None:
        """The first time that is told counts. ``zone``: told apart from it."""
        if "taken_at" in self:
            return
        if (found := instant(f"{plain(text)}{plain(zone)}")) is not None:
            self["taken_at"], assumed = found
            self.tell("taken", f"{plain(text)} {plain(zone)}")
            if assumed:
                self.tell("taken_zone", ASSUMED)


def plain(value: object) -> str:
    """A value of a file as text: one line, without blanks around it; addresses are redacted."""
    if isinstance(value, (bytes, bytearray)):
        data = bytes(value[: redacting.READ + 1]).split(b"\0")[0]
        try:
            value = data.decode("utf-8")
        except UnicodeDecodeError:
            value = data.decode("latin-1")
    if isinstance(value, float):
        value = f"{value:.6g}" if math.isfinite(value) else ""
    text = "" if value is None else str(value)[: redacting.READ + 1].split("\0")[0]
    return redacting.text(" ".join(text.split()))[:TEXT]


def instant(text: str) -> tuple[int, bool] | None:
    """Nanoseconds since 1970, and whether local time was assumed; None where it is no time."""
    if (match := _TIME.match(text.strip())) is None:
        return None
    year, month, day, hour, minute, second, part, zone = match.groups()
    try:
        moment = datetime(  # noqa: DTZ001 - its zone comes next
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0)
        )
        if zone is not None:
            moment = moment.replace(tzinfo=_zone(zone))
        if not 1800 <= moment.year <= 2250:
            return None
        seconds = math.floor(moment.timestamp())
    except (ValueError, OverflowError, OSError):
        return None
    return seconds * 1_000_000_000 + int((part or "0").ljust(9, "0")), zone is None


def _zone(text: str) -> timezone:
    """Raises ValueError."""
    if text == "Z":
        return UTC
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    if minutes > 14 * 60:
        raise ValueError("no place is that far east or west")
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))
