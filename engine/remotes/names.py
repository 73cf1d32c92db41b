"""How a file of this machine is called on a remote, and back.

rclone writes names as Unicode text; what no remote can hold, it shows as another character (ESC
as ␛) and turns back on the way. It cannot be told every name that a disk can hold, not every remote
keeps its quotation mark (‛) as it is, and buckets take no control characters: such characters and
bytes are written out here, as they are shown elsewhere too (``\\xdf``, ``\\u201b``).
"""

from __future__ import annotations

import re
import unicodedata

from engine.contract.base import visible

QUOTE = "\u201b"
LOST = "\ufffd"
"""Stands in a listing for what is not UTF-8: a name with it cannot be told to rclone."""

_PICTURES = {chr(code): chr(0x2400 + code) for code in range(1, 0x20)} | {"\x7f": "\u2421"}
_CONTROLS = {picture: control for control, picture in _PICTURES.items()}
_UNKEPT = re.compile(f"[\ud800-\udfff{QUOTE}{''.join(_CONTROLS)}]")
_CONTROL = re.compile(r"[\x01-\x1f\x7f]")
_WRITTEN = re.compile(r"\\x([0-9a-f]{2})|\\u(201b|240[1-9a-f]|241[0-9a-f]|2421)")


def to_remote(path: bytes, *, bucket: bool = False) -> str:
    """The name on a remote. Different paths may get the same one: see ``is_written``."""
    text = path.decode("utf-8", "surrogateescape")
    if text.isascii() and text.isprintable():
        return text
    if is_written(path, bucket=bucket):
        text = text.replace("\\", "\\x5c")  # So that one way back is the right one.
    text = _UNKEPT.sub(_written, text)
    return _CONTROL.sub(_written if bucket else _picture, text)


def is_written(path: bytes, *, bucket: bool = False) -> bool:
    """Whether something of the path had to be written out, so that another may be called so."""
    text = path.decode("utf-8", "surrogateescape")
    return bool(_UNKEPT.search(text) or (bucket and _CONTROL.search(text)))


def plain(name: str) -> bytes:
    """The path of this name where nothing was written out."""
    text = "".join(_CONTROLS.get(char, char) for char in name)
    return text.encode("utf-8", "surrogatepass")


def candidates(name: str) -> tuple[bytes, ...]:
    """Every path that has this name on a remote."""
    first = plain(name)
    if "\\" not in name:
        return (first,)
    text = _WRITTEN.sub(_read, "".join(_CONTROLS.get(char, char) for char in name))
    second = text.encode("utf-8", "surrogateescape")
    return (first,) if first == second else (first, second)


def to_local(name: str, *, bucket: bool = False) -> bytes:
    """The path that a file of this name gets here: the one that it would be sent from."""
    found = candidates(name)
    sent = [path for path in found if to_remote(path, bucket=bucket) == name]
    return (sent or found)[-1]


def is_odd(name: str) -> bool:
    """Whether a file here may be called otherwise than by the very bytes of this name."""
    return candidates(name) != (name.encode("utf-8", "surrogatepass"),)


def folded(name: str) -> str:
    """The same for names that one remote or another takes for one: those that differ in case, or
    in how letters with marks are put together (Unicode's forms NFC and NFD)."""
    return name if name.isascii() and name.islower() else _composed(name).casefold()


def apart(name: str, other: str) -> str:
    """How two names differ that are the same when ``folded``, in words."""
    same = _composed(name) == _composed(other)
    how = "in how its letters are encoded" if same else "in case"
    return f"differs from {visible(other)} {how} alone, and the remote takes both for one name"


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _picture(found: re.Match[str]) -> str:
    return _PICTURES[found[0]]


def _written(found: re.Match[str]) -> str:
    code = ord(found[0])
    byte = code - 0xDC00 if 0xDC80 <= code <= 0xDCFF else code
    return f"\\x{byte:02x}" if byte < 0x100 else f"\\u{byte:04x}"


def _read(found: re.Match[str]) -> str:
    byte, code = found.groups()
    if byte is None:
        return chr(int(code, 16))
    number = int(byte, 16)
    return chr(0xDC00 + number) if number >= 0x80 else chr(number)
