"""The type of a file by its content. A name decides nothing. Standard library only.

The signatures are facts of the formats, from their specifications and registrations: IANA's media
types; RFC 2083 (PNG), 8259 (JSON), 9559 (Matroska), 9639 (FLAC), 3533 (Ogg), 1952 (gzip); ISO/IEC
14496-12 (MP4 and its brands), 10918-1 (JPEG), 13818-1 (MPEG-TS), 11172-3 (MPEG audio); PKWARE's
APPNOTE (ZIP); ECMA-376 (OOXML), ISO/IEC 26300 (OpenDocument), OCF (EPUB); Adobe's TIFF 6.0;
Microsoft's RIFF, ASF and [MS-CFB].
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple

HEAD = 8192
"""Bytes of a file's beginning that the type is told by."""

KINDS = ("image", "video", "audio", "document", "archive", "text", "other")


class Sort(NamedTuple):
    """``type``: a media type. ``kind``: its family, one of KINDS."""

    type: str
    kind: str


UNKNOWN = Sort("application/octet-stream", "other")
EMPTY = Sort("application/x-empty", "other")
PLAIN = Sort("text/plain", "text")

_FIXED: tuple[tuple[int, bytes, str, str], ...] = (
    (0, b"\xff\xd8\xff", "image/jpeg", "image"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png", "image"),
    (0, b"GIF87a", "image/gif", "image"),
    (0, b"GIF89a", "image/gif", "image"),
    (0, b"8BPS\0\x01", "image/vnd.adobe.photoshop", "image"),
    (0, b"8BPS\0\x02", "image/vnd.adobe.photoshop", "image"),
    (0, b"\0\0\x01\0", "image/vnd.microsoft.icon", "image"),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", "image/jxl", "image"),
    (0, b"\xff\x0a", "image/jxl", "image"),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", "image/jp2", "image"),
    (0, b"FUJIFILMCCD-RAW", "image/x-fuji-raf", "image"),
    (0, b"IIRO", "image/x-olympus-orf", "image"),
    (0, b"IIU\0", "image/x-panasonic-rw2", "image"),
    (8, b"CR\x02", "image/x-canon-cr2", "image"),
    (0, b"II*\0", "image/tiff", "image"),
    (0, b"MM\0*", "image/tiff", "image"),
    (0, b"II+\0", "image/tiff", "image"),
    (0, b"MM\0+", "image/tiff", "image"),
    (0, b"qoif", "image/qoi", "image"),
    (0, b"v/1\x01", "image/x-exr", "image"),
    (0, b"gimp xcf", "image/x-xcf", "image"),
    (0, b"DDS ", "image/vnd-ms.dds", "image"),
    (0, b"fLaC", "audio/flac", "audio"),
    (0, b"MAC ", "audio/x-ape", "audio"),
    (0, b"wvpk", "audio/x-wavpack", "audio"),
    (0, b"DSD ", "audio/x-dsf", "audio"),
    (0, b"FRM8", "audio/x-dff", "audio"),
    (0, b"caff\0\x01", "audio/x-caf", "audio"),
    (0, b"#!AMR", "audio/amr", "audio"),
    (0, b"MThd\0\0\0\x06", "audio/midi", "audio"),
    (0, b".snd\0", "audio/basic", "audio"),
    (0, b"MPCK", "audio/x-musepack", "audio"),
    (0, b"TTA1", "audio/x-tta", "audio"),
    (0, b"FLV\x01", "video/x-flv", "video"),
    (0, b"\0\0\x01\xba", "video/mpeg", "video"),
    (0, b"\0\0\x01\xb3", "video/mpeg", "video"),
    (0, b".RMF\0\0\0", "application/vnd.rn-realmedia", "video"),
    (0, b"DKIF\0\0", "video/x-ivf", "video"),
    (0, b"%PDF-", "application/pdf", "document"),
    (0, b"%!PS", "application/postscript", "document"),
    (0, b"{\\rtf", "application/rtf", "document"),
    (0, b"AT&TFORM", "image/vnd.djvu", "document"),
    (60, b"BOOKMOBI", "application/x-mobipocket-ebook", "document"),
    (0, b"\x1f\x8b\x08", "application/gzip", "archive"),
    (0, b"BZh", "application/x-bzip2", "archive"),
    (0, b"\xfd7zXZ\0", "application/x-xz", "archive"),
    (0, b"\x28\xb5\x2f\xfd", "application/zstd", "archive"),
    (0, b"\x04\x22\x4d\x18", "application/x-lz4", "archive"),
    (0, b"LZIP\x01", "application/x-lzip", "archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed", "archive"),
    (0, b"Rar!\x1a\x07", "application/vnd.rar", "archive"),
    (0, b"MSCF\0\0\0\0", "application/vnd.ms-cab-compressed", "archive"),
    (0, b"xar!", "application/x-xar", "archive"),
    (257, b"ustar", "application/x-tar", "archive"),
    (0, b"!<arch>\ndebian", "application/vnd.debian.binary-package", "archive"),
    (0, b"\xed\xab\xee\xdb", "application/x-rpm", "archive"),
    (0, b"SQLite format 3\0", "application/vnd.sqlite3", "other"),
    (0, b"\x7fELF", "application/x-elf", "other"),
    (0, b"\xcf\xfa\xed\xfe", "application/x-mach-binary", "other"),
    (0, b"\xca\xfe\xba\xbe", "application/java-vm", "other"),
    (0, b"\0asm\x01", "application/wasm", "other"),
    (0, b"wOF2", "font/woff2", "other"),
    (0, b"wOFF", "font/woff", "other"),
    (0, b"OTTO", "font/otf", "other"),
    (0, b"\0\x01\0\0\0", "font/ttf", "other"),
    (0, b"GGUF", "application/x-gguf", "other"),
    (0, b"\xd4\xc3\xb2\xa1", "application/vnd.tcpdump.pcap", "other"),
    (0, b"QFI\xfb", "application/x-qemu-disk", "other"),
)
# Most first bytes belong to few formats, and most files are of one with a signature at 0.
_BY_FIRST: dict[int, list[tuple[bytes, Sort]]] = {}
for _at, _magic, _type, _kind in _FIXED:
    if _at == 0:
        _BY_FIRST.setdefault(_magic[0], []).append((_magic, Sort(_type, _kind)))
_LATER = tuple((at, magic, Sort(type_, kind)) for at, magic, type_, kind in _FIXED if at)

_RIFF = {
    b"WEBP": Sort("image/webp", "image"),
    b"WAVE": Sort("audio/wav", "audio"),
    b"AVI ": Sort("video/x-msvideo", "video"),
    b"ACON": Sort("application/x-navi-animation", "image"),
    b"RMID": Sort("audio/midi", "audio"),
}
_HEIC = Sort("image/heic", "image")
_AVIF = Sort("image/avif", "image")
_BRANDS = {
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"), _HEIC),
    **dict.fromkeys((b"mif1", b"msf1"), Sort("image/heif", "image")),
    **dict.fromkeys((b"avif", b"avis"), _AVIF),
    b"crx ": Sort("image/x-canon-cr3", "image"),
    b"qt  ": Sort("video/quicktime", "video"),
    **dict.fromkeys((b"M4A ", b"M4B ", b"M4P "), Sort("audio/mp4", "audio")),
    **dict.fromkeys((b"3gp4", b"3gp5", b"3gp6", b"3ge6", b"3gg6"), Sort("video/3gpp", "video")),
}
_BOXES = (b"moov", b"mdat", b"wide", b"pnot")
_AIFF = Sort("audio/aiff", "audio")
_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_COMPOUND = bytes.fromhex("d0cf11e0a1b11ae1")
_ZIP = Sort("application/zip", "archive")
_OFFICE = "application/vnd.openxmlformats-officedocument."
_MEMBERS = (
    (b"word/", Sort(f"{_OFFICE}wordprocessingml.document", "document")),
    (b"xl/", Sort(f"{_OFFICE}spreadsheetml.sheet", "document")),
    (b"ppt/", Sort(f"{_OFFICE}presentationml.presentation", "document")),
)
_STREAMS = (  # Names in a compound file are UTF-16.
    ("WordDocument", Sort("application/msword", "document")),
    ("Workbook", Sort("application/vnd.ms-excel", "document")),
    ("PowerPoint Document", Sort("application/vnd.ms-powerpoint", "document")),
    ("__properties_version1.0", Sort("application/vnd.ms-outlook", "document")),
)
_STATED = re.compile(rb"application/[a-z0-9][a-z0-9.+-]{2,80}")


def sort(head: bytes, tail: bytes = b"") -> Sort:
    """``head``: the first HEAD bytes, or all there are. ``tail``: the last ones, for a ZIP."""
    if not head:
        return EMPTY
    for magic, found in _BY_FIRST.get(head[0], ()):
        if head.startswith(magic):
            return _closer(found, head)
    return _structured(head, tail) or _later(head) or _stream(head) or _text(head) or UNKNOWN


def _closer(found: Sort, head: bytes) -> Sort:
    """A signature that several formats share."""
    if found.type == "image/tiff" and head[8:10] == b"CR":
        return Sort("image/x-canon-cr2", "image")
    if found.type == "image/gif" or found.type != "image/vnd.microsoft.icon":
        return found
    # Four plain bytes: an icon also says how many pictures it has, and a zero.
    count = int.from_bytes(head[4:6], "little")
    return found if 0 < count < 100 and len(head) > 9 and head[9] == 0 else UNKNOWN


def _structured(head: bytes, tail: bytes) -> Sort | None:
    four = head[:4]
    if four in {b"RIFF", b"RF64"}:
        return _RIFF.get(head[8:12])
    if head[4:8] == b"ftyp":
        return _brand(head)
    if head[4:8] in _BOXES:
        return Sort("video/quicktime", "video")
    if four == b"\x1aE\xdf\xa3":
        webm = b"webm" in head[:64]
        return Sort("video/webm" if webm else "video/matroska", "video")
    if four == b"OggS":
        return _ogg(head)
    if four == b"FORM" and head[8:12] in {b"AIFF", b"AIFC"}:
        return _AIFF
    if four in {b"PK\x03\x04", b"PK\x05\x06"}:
        return _zip(head, tail)
    if head.startswith(_ASF):
        audio = b"\xc0\xef\x19\xbc\x4d\x5b\xcf\x11" not in head  # The video stream's GUID.
        return Sort("audio/x-ms-wma", "audio") if audio else Sort("video/x-ms-wmv", "video")
    if head.startswith(_COMPOUND):
        for name, found in _STREAMS:
            if name.encode("utf-16-le") in head + tail:
                return found
        return Sort("application/x-ole-storage", "document")
    return _bmp(head) if head[:2] == b"BM" else None


def _brand(head: bytes) -> Sort:
    """The first brand that says something; the major one, then the compatible."""
    size = min(int.from_bytes(head[:4], "big"), 256)
    listed = [head[8:12], *(head[at : at + 4] for at in range(16, size, 4))]
    if listed[0] in {b"mif1", b"msf1"} and b"avif" in listed:
        return _AVIF
    if listed[0] in {b"mif1", b"msf1"} and b"heic" in listed:
        return _HEIC
    return _BRANDS.get(listed[0], Sort("video/mp4", "video"))


def _ogg(head: bytes) -> Sort:
    first = head[28:64]
    if b"theora" in first:
        return Sort("video/ogg", "video")
    return Sort("audio/ogg", "audio")


def _zip(head: bytes, tail: bytes) -> Sort:
    """A ZIP, or what is made of one: an EPUB and OpenDocument say so first of all."""
    if head[30:38] == b"mimetype" and (stated := _STATED.match(head, 38)):
        return Sort(stated[0].decode("ascii"), "document")
    seen = head + tail
    if b"[Content_Types].xml" in seen:
        for member, found in _MEMBERS:
            if member in seen:
                return found
    if b"AndroidManifest.xml" in seen:
        return Sort("application/vnd.android.package-archive", "archive")
    return Sort("application/java-archive", "archive") if b"META-INF/MANIFEST" in seen else _ZIP


def _bmp(head: bytes) -> Sort | None:
    header = int.from_bytes(head[14:18], "little")
    known = header in {12, 16, 40, 52, 56, 64, 108, 124}
    return Sort("image/bmp", "image") if known and head[6:10] == b"\0\0\0\0" else None


def _later(head: bytes) -> Sort | None:
    return next((s for at, magic, s in _LATER if head.startswith(magic, at)), None)


# --- streams without a header -------------------------------------------------------------------


def _stream(head: bytes) -> Sort | None:
    for size, at in ((188, 0), (192, 4)):
        if len(head) > at + 3 * size and all(head[at + n * size] == 0x47 for n in range(4)):
            return Sort("video/mp2t", "video")
    if head.startswith(b"ID3") and len(head) >= 10 and head[3] < 0xFF:
        return Sort("audio/mpeg", "audio")
    if head[0] == 0xFF and len(head) > 4:
        return _mpeg_audio(head)
    return Sort("audio/ac3", "audio") if head[:2] == b"\x0b\x77" else None


_KBITS = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_HERTZ = (44_100, 48_000, 32_000)


def _mpeg_audio(head: bytes) -> Sort | None:
    """Frames of MPEG audio or of AAC: sync words are short, so a second one must follow."""
    if head[1] & 0xF6 == 0xF0:
        size = (head[3] & 3) << 11 | head[4] << 3 | (head[5] if len(head) > 5 else 0) >> 5
        again = head[size : size + 2]
        follows = size > 7 and (again[:1] == b"\xff" or size >= len(head))
        return Sort("audio/aac", "audio") if follows else None
    layer, rate, hertz = head[1] >> 1 & 3, head[2] >> 4, head[2] >> 2 & 3
    if head[1] & 0xE0 != 0xE0 or layer in {0, 3} or rate in {0, 15} or hertz == 3:
        return None  # Layer I, which nobody uses, begins like a text in UTF-16.
    if head[1] & 0x18 == 0x18 and layer == 1:  # MPEG 1, layer III: its size is known.
        size = 144 * _KBITS[rate] * 1000 // _HERTZ[hertz] + (head[2] >> 1 & 1)
        if size < len(head) - 1 and head[size : size + 1] != b"\xff":
            return None
    return Sort("audio/mpeg", "audio")


# --- text ---------------------------------------------------------------------------------------

_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_SUBRIP = re.compile(r"\d+\s*\n\d\d:\d\d:\d\d[,.]\d{3} -->")
_WORDS = (
    ("<?xml", Sort("application/xml", "text")),
    ("<!doctype html", Sort("text/html", "text")),
    ("<html", Sort("text/html", "text")),
    ("webvtt", Sort("text/vtt", "text")),
    ("#extm3u", Sort("audio/x-mpegurl", "text")),
    ("begin:vcalendar", Sort("text/calendar", "text")),
    ("begin:vcard", Sort("text/vcard", "text")),
    ("-----begin pgp", Sort("application/pgp", "text")),
    ("-----begin ", Sort("application/x-pem-file", "text")),
    ("#!", Sort("text/x-script", "text")),
)
_SVG = Sort("image/svg+xml", "image")
_TORRENT = re.compile(rb"d\d{1,3}:(announce|comment|created by|creation date|encoding|info|nodes)")
_WIDE = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}


def _text(head: bytes) -> Sort | None:
    """None where it is no text: bytes that no text has, in any of the common encodings."""
    if _TORRENT.match(head):
        return Sort("application/x-bittorrent", "other")
    wide = _WIDE.get(head[:2])
    if wide is not None and len(head) < 4:
        return None
    if wide is None and _CONTROL.search(head):
        return None
    try:
        text = head.decode(wide or "utf-8")
    except UnicodeDecodeError as error:
        cut = len(head) == HEAD and error.start > len(head) - 4  # A character that goes on.
        if not cut and (wide or not _latin(head)):
            return None
        text = head.decode("latin-1")
    if wide and any(ord(c) < 9 for c in text):
        return None
    return _words(text, whole=len(head) < HEAD)


def _latin(head: bytes) -> bool:
    """Text in one of the encodings of a byte a character: most of it is plain."""
    return sum(byte > 0x7F for byte in head) * 10 < 3 * len(head)


def _words(text: str, *, whole: bool) -> Sort:
    text = text.lstrip("\ufeff \t\r\n")
    start = text[:512].lower()
    if start.startswith("<svg") or (start.startswith(("<?xml", "<!")) and "<svg" in start):
        return _SVG
    for word, found in _WORDS:
        if start.startswith(word):
            return found
    if _SUBRIP.match(text):
        return Sort("application/x-subrip", "text")
    if whole and text[:1] in {"{", "["}:
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            return PLAIN
        return Sort("application/json", "text")
    return PLAIN
