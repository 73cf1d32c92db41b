"""EXIF, as Pillow hands it over: tag numbers and values of any type. No import of Pillow here.

Tags and their meaning: CIPA DC-008 (Exif 2.32), tables 3 to 15.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from engine.media.survey.trait import Trait, plain

MAKER, MODEL, ORIENTATION = 271, 272, 274
MAIN, PHOTO, GPS = 0, 0x8769, 0x8825

_TIMES = ((36867, 36881, 37521), (36868, 36882, 37522), (306, 36880, 37520))
"""Original, digitised, changed: a time, its zone, its part of a second."""
_ABOUT = {270: "description", 305: "software", 315: "artist", 33432: "copyright"}
_SHOT = {42036: "lens", 34855: "iso"}
_RATIOS = {33434: "exposure_s", 33437: "f_number", 37386: "focal_mm"}


def tell(trait: Trait, exif: Any) -> None:
    """Puts what ``exif`` says (a PIL.Image.Exif) into the trait. Nonsense is left out."""
    main: Mapping[int, Any] = exif
    photo, gps = _folder(exif, PHOTO), _folder(exif, GPS)
    trait.camera(main.get(MAKER), main.get(MODEL))
    for moment, zone, part in _TIMES:
        if text := plain(photo.get(moment) or main.get(moment)):
            fraction = plain(photo.get(part))
            dotted = f"{text}.{fraction[:9]}" if fraction.isdigit() else text
            trait.taken(dotted, photo.get(zone) or "")
    for tag, name in _ABOUT.items():
        trait.tell(name, main.get(tag))
    for tag, name in _SHOT.items():
        trait.tell(name, photo.get(tag))
    for tag, name in _RATIOS.items():
        if (value := _number(photo.get(tag))) is not None and value > 0:
            trait.tell(name, value)
    if (orientation := main.get(ORIENTATION)) in range(2, 9):
        trait.tell("orientation", orientation)
    _place(trait, gps)


def turned(exif: Any) -> bool:
    """Whether the picture is shown with its sides exchanged."""
    return exif.get(ORIENTATION) in {5, 6, 7, 8}


def _folder(exif: Any, tag: int) -> Mapping[int, Any]:
    with suppress(Exception):  # A broken folder: the others may be well.
        found: Mapping[int, Any] = exif.get_ifd(tag)
        return found
    return {}


def _place(trait: Trait, gps: Mapping[int, Any]) -> None:
    latitude = _degrees(gps.get(2), plain(gps.get(1)), "S")
    longitude = _degrees(gps.get(4), plain(gps.get(3)), "W")
    if latitude is not None and longitude is not None:
        trait.place(latitude, longitude)
    altitude = _number(gps.get(6))
    if altitude is not None and 0 < altitude < 20_000 and "latitude" in trait:
        trait.tell("altitude_m", -altitude if gps.get(5) in {1, b"\1"} else altitude)


def _degrees(value: Any, side: str, negative: str) -> float | None:
    if not isinstance(value, (tuple, list)) or not 1 <= len(value) <= 3:
        return None
    total = 0.0
    for part, of in zip(value, (1, 60, 3600), strict=False):
        if (number := _number(part)) is None or number < 0:
            return None
        total += number / of
    return -total if side[:1].upper() == negative else total


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return number if -1e9 < number < 1e9 else None
