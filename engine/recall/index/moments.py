"""When a question asks about: ``last week``, ``in May 2023``, ``before the move``. Pure.

English. Days are those of this machine's calendar. Dates without a year are the latest that lie
before ``now``.
"""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from engine.recall.index.words import MONTHS

_MONTH = "|".join(f"{name}|{name[:3]}" for name in MONTHS) + "|sept"
_NUMBERS = {
    "a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7,
    "eight": 8, "nine": 9, "ten": 10, "couple": 2, "few": 3,
}  # fmt: skip
_COUNT = rf"(\d{{1,3}}|{'|'.join(_NUMBERS)})(?: of)?"
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

_ISO = re.compile(r"\b(\d{4})-(\d{2})-(\d{2})\b")
_DAY_FIRST = re.compile(rf"\b(\d{{1,2}})(?:st|nd|rd|th)?(?: of)? ({_MONTH})\b\.?,?(?: (\d{{4}}))?")
_MONTH_FIRST = re.compile(rf"\b({_MONTH})\b\.? (\d{{1,2}})(?:st|nd|rd|th)?\b(?!:)(?:,? (\d{{4}}))?")
_MONTH_ALONE = re.compile(
    rf"\b(?:in|during|since|until|before|after|of|from) ({_MONTH})\b\.?,?(?: (\d{{4}}))?"
)
_MONTH_YEAR = re.compile(rf"\b({_MONTH})\b\.?,? (\d{{4}})\b")
_YEAR = re.compile(r"\b(?:in|during|since|until|before|after|of|from|year) (\d{4})\b")
_AGO = re.compile(rf"\b{_COUNT} (day|week|month|year)s? ago\b")
_PAST = re.compile(rf"\b(?:last|past|previous) {_COUNT} (day|week|month|year)s\b")
_LAST = re.compile(
    rf"\b(last|this|past|previous) (day|week|weekend|month|year|{'|'.join(_DAYS)})\b"
)
_NEAR = re.compile(r"\b(today|yesterday|the day before yesterday)\b")
_EVENT = re.compile(
    r"\b(before|after|since|until) ((?:the|my|our|his|her|their|i|we|he|she|they) [\w' ]{2,60})"
)
_SIDE = re.compile(r"\b(before|after|since|until)\s+(?:the )?$")


@dataclass(frozen=True, slots=True)
class Window:
    """From ``since`` to before ``until``, in seconds since 1970; None is open."""

    since: float | None = None
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """A time that only memory knows: before (else after) what ``words`` tell of."""

    before: bool
    words: str


def asked_for(query: str, now: float) -> Window | Event | None:
    """The time that a query asks for; None where it names none."""
    text = " ".join(query.lower().split())
    present = datetime.fromtimestamp(now, UTC).astimezone()
    for find in (_dates, _relative):
        if (found := find(text, present)) is not None:
            start, end, at = found
            return _sided(text[:at], start, end)
    event = _EVENT.search(text)
    if event is not None:
        return Event(event[1] in {"before", "until"}, event[2])
    return None


Found = tuple[date, date, int]
"""From a day to before a day, and where in the text it is told."""


def _sided(before: str, start: date, end: date) -> Window:
    """``before May`` ends where May begins; ``since May`` begins there and goes on."""
    side = _SIDE.search(before + " ") if before else None
    word = side[1] if side else ""
    if word in {"before", "until"}:
        return Window(None, _stamp(start))
    if word == "after":
        return Window(_stamp(end), None)
    if word == "since":
        return Window(_stamp(start), None)
    return Window(_stamp(start), _stamp(end))


def _stamp(day: date) -> float:
    return datetime.combine(day, time()).timestamp()


def _dates(text: str, now: datetime) -> Found | None:
    if found := _ISO.search(text):
        return _day(int(found[1]), int(found[2]), int(found[3]), found.start())
    if found := _DAY_FIRST.search(text):
        return _dated(found[3], found[2], int(found[1]), now, found.start())
    if found := _MONTH_FIRST.search(text):
        return _dated(found[3], found[1], int(found[2]), now, found.start())
    if found := _MONTH_YEAR.search(text):
        return _month(int(found[2]), _number(found[1]), found.start())
    if found := _MONTH_ALONE.search(text):
        month = _number(found[1])
        year = int(found[2]) if found[2] else now.year - (month > now.month)
        return _month(year, month, found.start(1))
    if (found := _YEAR.search(text)) and 1 < int(found[1]) < 9999:
        year = int(found[1])
        return date(year, 1, 1), date(year + 1, 1, 1), found.start(1)
    return None


def _number(name: str) -> int:
    return next(i for i, month in enumerate(MONTHS, 1) if month.startswith(name[:3]))


def _dated(year: str | None, month: str, day: int, now: datetime, at: int) -> Found | None:
    number = _number(month)
    if year:
        return _day(int(year), number, day, at)
    late = (number, day) > (now.month, now.day)
    return _day(now.year - late, number, day, at)


def _day(year: int, month: int, day: int, at: int) -> Found | None:
    try:
        first = date(year, month, day)
        return first, first + timedelta(days=1), at
    except (ValueError, OverflowError):
        return None


def _month(year: int, month: int, at: int) -> Found | None:
    if not 1 <= year < 9999:
        return None
    first = date(year, month, 1)
    return first, first + timedelta(days=calendar.monthrange(year, month)[1]), at


def _relative(text: str, now: datetime) -> Found | None:
    today = now.date()
    if found := _NEAR.search(text):
        back = {"today": 0, "yesterday": 1}.get(found[1], 2)
        day = today - timedelta(days=back)
        return day, day + timedelta(days=1), found.start()
    if found := _AGO.search(text):
        return _ago(_count(found[1]), found[2], today, found.start())
    if found := _PAST.search(text):
        start = _back(today, _count(found[1]), found[2])
        return start, today + timedelta(days=1), found.start()
    if found := _LAST.search(text):
        return _last(found[1] == "this", found[2], today, found.start())
    return None


def _count(word: str) -> int:
    return int(word) if word.isdigit() else _NUMBERS[word]


def _back(today: date, count: int, unit: str) -> date:
    if unit in {"day", "week"}:
        return today - timedelta(days=count * (7 if unit == "week" else 1))
    months = today.year * 12 + today.month - 1 - count * (12 if unit == "year" else 1)
    year, month = max(1, months // 12), months % 12 + 1
    return date(year, month, min(today.day, calendar.monthrange(year, month)[1]))


def _ago(count: int, unit: str, today: date, at: int) -> Found | None:
    day = _back(today, count, unit)
    around = {"day": 0, "week": 3, "month": 15, "year": 182}[unit]
    return day - timedelta(days=around), day + timedelta(days=around + 1), at


def _last(this: bool, unit: str, today: date, at: int) -> Found | None:
    if unit in _DAYS:
        back = (today.weekday() - _DAYS.index(unit)) % 7 or (0 if this else 7)
        day = today - timedelta(days=back)
        return day, day + timedelta(days=1), at
    if unit == "month":
        first = today.replace(day=1)
        if not this:
            first = _back(first, 1, "month")
        return _month(first.year, first.month, at)
    if unit == "year":
        year = today.year - (not this)
        return date(year, 1, 1), date(year + 1, 1, 1), at
    if unit == "day":
        return today - timedelta(days=1), today, at
    monday = today - timedelta(days=today.weekday() + (0 if this else 7))
    start = monday + timedelta(days=5) if unit == "weekend" else monday
    return start, monday + timedelta(days=7), at
