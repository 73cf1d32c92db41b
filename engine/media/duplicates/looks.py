"""How a picture looks, in two hashes of 64 bits: pictures that look alike differ in few of them.

``shape`` is of the lowest frequencies of the picture (the discrete cosine transform of 32 × 32 grey
pixels, against its median), ``edges`` of which of two neighbours is brighter, on 9 × 8 pixels. Each
by itself takes now and then one picture for another; seldom both. Made here and not by a library:
the usual one would bring SciPy along.

Pillow is imported when the first picture is read, in a process with limits.
"""

from __future__ import annotations

import math
from functools import cache
from operator import mul
from typing import TYPE_CHECKING, Any

from engine.media.survey.trait import UnreadError
from engine.media.survey.window import Window, buffered

if TYPE_CHECKING:
    from PIL.Image import Image

_SIDE = 32
_LOW = 8
_PLAIN = 2.0
"""A deviation of the grey (0 to 255) below which there is nothing to compare."""
_OPENERS = {
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    "image/gif": "GIF",
    "image/webp": "WEBP",
    "image/tiff": "TIFF",
    "image/bmp": "BMP",
}
_HEIF = frozenset({"image/heic", "image/heif"})
TYPES = frozenset(_OPENERS) | _HEIF
_MOST_PIXELS = 64 * 1024**2
_MOST_JPEG = 400 * 1024**2
"""Pixels: a JPEG is unpacked at an eighth of its size."""
_TURNS = {
    2: ("FLIP_LEFT_RIGHT",),
    3: ("ROTATE_180",),
    4: ("FLIP_TOP_BOTTOM",),
    5: ("TRANSPOSE",),
    6: ("ROTATE_270",),
    7: ("TRANSVERSE",),
    8: ("ROTATE_90",),
}
_COSINES = tuple(
    tuple(math.cos(math.pi * (2 * at + 1) * low / (2 * _SIDE)) for at in range(_SIDE))
    for low in range(_LOW)
)


@cache
def _pillow() -> Any:
    """Raises UnreadError where Pillow is not installed."""
    try:
        from PIL import Image, TiffImagePlugin
    except ImportError as error:
        raise UnreadError("Pillow is not installed: make setup") from error
    Image.preinit()
    Image.init()
    Image.MAX_IMAGE_PIXELS = None  # The bound is our own, by format.
    TiffImagePlugin.READ_LIBTIFF = False
    return Image


def see(type_: str, window: Window) -> dict[str, Any]:
    """``shape`` and ``edges`` (signed), ``plain``. Raises UnreadError, and what a parser may."""
    with _opened(type_, window) as image:
        grey = _grey(image)
    return compare_by(grey)


def compare_by(grey: Image) -> dict[str, Any]:
    """The hashes of a picture in grey."""
    box = _pillow().Resampling.BOX
    small = grey.resize((_SIDE, _SIDE), box).tobytes()
    mean = sum(small) / len(small)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in small) / len(small))
    return {
        "shape": _shape(small),
        "edges": _edges(grey.resize((9, 8), box).tobytes()),
        "plain": deviation < _PLAIN,
    }


def _opened(type_: str, window: Window) -> Any:
    pillow = _pillow()
    if type_ in _HEIF:
        return _heif(window)
    image = pillow.open(buffered(window), formats=[_OPENERS[type_]])
    pixels = image.width * image.height
    if pixels > (_MOST_JPEG if image.format == "JPEG" else _MOST_PIXELS):
        image.close()
        raise UnreadError(f"it has {pixels:,} pixels: more than are unpacked")
    image.draft("L", (2 * _SIDE, 2 * _SIDE))
    return image


def _heif(window: Window) -> Any:
    try:
        import pillow_heif
    except ImportError as error:
        raise UnreadError("pillow-heif is not installed: make setup") from error
    file = pillow_heif.open_heif(window.whole())
    width, height = file.size
    if width * height > _MOST_PIXELS:
        raise UnreadError(f"it has {width * height:,} pixels: more than are unpacked")
    return file.to_pillow()  # libheif has turned it.


def _grey(image: Image) -> Image:
    """Small, upright, and on white where it can be seen through."""
    pillow = _pillow()
    turn = image.getexif().get(274) if image.format in {"JPEG", "TIFF", "WEBP", "PNG"} else None
    if image.mode in {"P", "PA", "LA", "RGBA", "La", "RGBa"} or "transparency" in image.info:
        seen = image.convert("RGBA")
        ground = pillow.new("RGBA", seen.size, (255, 255, 255, 255))
        image = pillow.alpha_composite(ground, seen)
    if image.mode.startswith(("I", "F")):  # 16 bits: convert would cut them off.
        low, high = image.getextrema()
        span = max(1, high - low)
        image = image.convert("F").point(lambda value: value * (255 / span) - low * 255 / span)
    grey = image.convert("L")
    grey.thumbnail((4 * _SIDE, 4 * _SIDE), pillow.Resampling.BOX, reducing_gap=None)
    for name in _TURNS.get(turn or 1, ()):
        grey = grey.transpose(getattr(pillow.Transpose, name))
    return grey


def _shape(pixels: bytes) -> int:
    rows = [pixels[at : at + _SIDE] for at in range(0, len(pixels), _SIDE)]
    across = [[sum(map(mul, row, cosine)) for row in rows] for cosine in _COSINES]
    low = [sum(map(mul, column, cosine)) for cosine in _COSINES for column in across]
    # The first is the brightness of all, which says nothing of what is to be seen.
    ordered = sorted(low[1:])
    median = ordered[len(ordered) // 2]
    return _bits([value > median for value in low])


def _edges(pixels: bytes) -> int:
    return _bits(
        [pixels[9 * row + at] < pixels[9 * row + at + 1] for row in range(8) for at in range(8)]
    )


def _bits(values: list[bool]) -> int:
    """64 of them as SQLite's signed integer."""
    number = sum(1 << at for at, value in enumerate(values) if value)
    return number - 2**64 if number >= 2**63 else number
