"""Real pixels, by kitty's graphics protocol: the terminal keeps a picture, and draws it where there
are placeholders. These are text like any other: nothing of a picture outlives them on the screen.
"""

from __future__ import annotations

from base64 import b64encode

_PLACEHOLDER = "\U0010eeee"
_CHUNK = 4096
_RANGES = (
    *((0x305, 0x305), (0x30D, 0x30E), (0x310, 0x310), (0x312, 0x312), (0x33D, 0x33F)),
    *((0x346, 0x346), (0x34A, 0x34C), (0x350, 0x352), (0x357, 0x357), (0x35B, 0x35B)),
    *((0x363, 0x36F), (0x483, 0x487), (0x592, 0x595), (0x597, 0x599), (0x59C, 0x5A1)),
)
_MARKS = tuple(chr(mark) for first, last in _RANGES for mark in range(first, last + 1))
"""The protocol's numbers, as far as they are needed: marks that stand on a placeholder."""


def placeholder(column: int, row: int) -> str:
    """One cell of a picture. By its colour it says of which: see ``transmission``."""
    return _PLACEHOLDER + _MARKS[row] + _MARKS[column]


def transmission(number: int, size: tuple[int, int], pixels: bytes, columns: int, rows: int) -> str:
    """A picture, to be drawn in so many cells. It takes the place of the one of this number.

    ``number`` is the colour of its placeholders: 24 bits, or what it is called among 256.
    """
    data = b64encode(pixels).decode("ascii")
    # q=2: the terminal answers nothing, which would be taken for keys.
    head = f"a=T,U=1,q=2,f=24,i={number},s={size[0]},v={size[1]},c={columns},r={rows},"
    pieces = []
    for start in range(0, len(data), _CHUNK):
        more = int(start + _CHUNK < len(data))
        pieces.append(f"\x1b_G{head}m={more};{data[start : start + _CHUNK]}\x1b\\")
        head = "q=2,"
    return "".join(pieces)


def deletion(number: int) -> str:
    return f"\x1b_Ga=d,d=I,q=2,i={number}\x1b\\"
