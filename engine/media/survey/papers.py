"""PDF, through pypdf: title, author, pages. Its text is not read here."""

from __future__ import annotations

import re
from typing import Any

from engine.media.survey.trait import Trait, UnreadError, plain
from engine.media.survey.window import Window, buffered

TYPES = frozenset({"application/pdf"})
_DATE = re.compile(r"D:(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(?:(Z)|([+-]\d\d)'?(\d\d)?'?)?")
_TOLD = {
    "/Title": "title",
    "/Author": "author",
    "/Subject": "subject",
    "/Creator": "creator",
    "/Producer": "software",
}
_MOST_PAGES = 1_000_000


def read(trait: Trait, window: Window) -> None:
    """Raises UnreadError, and whatever a parser may raise."""
    try:
        from pypdf import PdfReader
        from pypdf.errors import DependencyError
    except ImportError as error:
        raise UnreadError("pypdf is not installed, so its pages are unknown: make setup") from error
    trait["container"] = "pdf"
    reader = PdfReader(buffered(window))
    try:
        if reader.is_encrypted and not reader.decrypt(""):
            raise UnreadError("it is encrypted")
        _tell(trait, reader)
    except DependencyError as error:
        raise UnreadError("it is encrypted") from error


def _tell(trait: Trait, reader: Any) -> None:
    found = reader.metadata or {}
    for key, name in _TOLD.items():
        trait.tell(name, found.get(key))
    if match := _DATE.match(plain(found.get("/CreationDate"))):
        year, month, day, hour, minute, second, utc, hours, minutes = match.groups()
        zone = utc or (f"{hours}:{minutes or '00'}" if hours else "")
        date = f"{year}-{month or '01'}-{day or '01'}"
        trait.taken(f"{date} {hour or '00'}:{minute or '00'}:{second or '00'}", zone)
    pages = reader.trailer["/Root"].get_object()["/Pages"].get_object()["/Count"]
    if isinstance(pages, int) and 0 < pages <= _MOST_PAGES:
        trait.tell("pages", pages)
