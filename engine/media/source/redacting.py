"""What is kept of an address: neither credentials nor a query. Standard library only.

Programs write the addresses that they fetched as they were, with all that opens a door: passwords
before the host, tokens and signatures in the query, passkeys among the folders. Where a file came
from is told without them.

A part of a path that looks like a key is shown as ``…``: 20 or more characters of hexadecimal or
base64 that are no words.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

MOST = 1000
"""Characters of an address, or of a text, that are kept."""
READ = 8192
"""Characters that are looked at."""
_MASK = "…"

_URL = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]{0,30}):[/\\]{2}", re.ASCII)
# Percent-encoded ones too, and magnet links, which name trackers with their keys.
_WITHIN = re.compile(
    r"(?:[a-zA-Z][a-zA-Z0-9+.-]{0,30}(?::[/\\]{2}|(?P<encoded>(?i:%3a%2f%2f)))|(?i:magnet:\?))"
    r"[^\s\"'<>]*",
    re.ASCII,
)
_MAGNET = re.compile(
    r"(?i:magnet):.*?[?&]xt=urn:(btih|btmh):([0-9a-zA-Z]{32,80})(?:&|$)", re.DOTALL
)
# Schemes whose rest may be anything, the content itself included.
_OPAQUE = re.compile(
    r"(data|blob|filesystem|javascript|view-source|feed|magnet|about):", re.IGNORECASE
)
# A secret is named; words that only begin like such a name are none.
_SECRET = re.compile(
    r"(?i)\b(?!authors?\b|pass(?:age|enger|ion|over)|secretar|signal)((?:access|api|auth|pass|priv|rss|secret|sess|sig|token)[\w.-]{0,20}|key|pw|pwd|sid)"
    r"(\s{0,3}[=:]\s{0,3})[^\s&;,]+"
)
_PLACE = re.compile(r"(?:(?:blob|feed|filesystem|view-source):)?[a-z][a-z0-9+.-]*://.|urn:bt")
_TOKEN = re.compile(r"[A-Za-z0-9_+=~-]{20,}")
_RUN = re.compile(r"[A-Za-z0-9]{20,}")
_HEX = re.compile(r"[0-9a-fA-F]{20,}")
_PART = re.compile(r"[_+=~-]+")
# What a name is made of: words of one case or with a capital, numbers, 1080p, S01, x264.
_WORD = re.compile(
    r"(?:[A-Z]?[a-z]{1,19}|[A-Z]{1,19}|(?:[A-Z][a-z]{2,}){1,12}"
    r"|\d{1,8}[A-Za-z]{0,3}|[A-Za-z]{1,5}\d{1,4}(?:[A-Za-z]\d{1,4})?|)"
)


def url(told: str) -> str:
    """The address without user, password, query, fragment and keys. What is none is a text."""
    start = told[:READ].strip()
    if magnet := _MAGNET.match(start):
        return f"urn:{magnet[1]}:{magnet[2].lower()}"
    if opaque := _OPAQUE.match(start):
        return _opaque(opaque[1].lower(), start[opaque.end() :])
    found = _URL.match(start)
    if found is None:
        return text(told)
    rest = start[found.end() :].replace("\\", "/")
    whole = re.split(r"[?#]", rest, maxsplit=1)[0]
    authority, slash, path = whole.partition("/")
    if len(whole) == len(rest) and len(told) > READ:
        path = path.rpartition("/")[0]  # What is cut may be the beginning of a key.
    host = authority.rpartition("@")[2]
    shown = ".".join(part if part.startswith("xn--") else masked(part) for part in host.split("."))
    path = "/".join(_segment(segment) for segment in path.split("/"))
    return _bounded(f"{found[1].lower()}://{shown.lower()}{slash}{path}")


def place(told: str) -> str:
    """As ``url``; "" for what names no place: no address, or one that holds the content itself."""
    shown = url(told)
    return shown if _PLACE.match(shown) else ""


def host(address: str) -> str:
    """The host of a redacted address; "" where there is none."""
    found = _URL.match(address)
    if found is None:
        return ""
    authority = re.split(r"[/\\?#]", address[found.end() :], maxsplit=1)[0].rpartition("@")[2]
    name = authority.partition("]")[0] + "]" if authority[:1] == "[" else authority.split(":")[0]
    return name.lower()[:255]


def text(told: str) -> str:
    """Words in which the addresses are redacted, and what is said to be a key is left out."""
    # What is cut may end in half an address, of which nobody could tell the password.
    whole = told if len(told) <= READ else told[:READ].rpartition(" ")[0]
    if not any(mark in whole for mark in (":", "=", "%")):
        return _bounded(whole)
    return _bounded(_SECRET.sub(rf"\1\2{_MASK}", _WITHIN.sub(_address, whole.strip())))


def _address(found: re.Match[str]) -> str:
    return url(unquote(found[0], errors="replace") if found["encoded"] else found[0])


def masked(name: str) -> str:
    """A name in which what looks like a key is ``…``."""
    stripped = _TOKEN.sub(_mask_token, _HEX.sub(_MASK, name))
    return _RUN.sub(_mask_run, stripped)


def _mask_token(found: re.Match[str]) -> str:
    parts = _PART.split(found[0])
    return found[0] if all(_WORD.fullmatch(part) for part in parts) else _MASK


def _mask_run(found: re.Match[str]) -> str:
    return found[0] if _WORD.fullmatch(found[0]) else _MASK


def _segment(segment: str) -> str:
    """One folder of a path. It may hold a whole address, percent-encoded once or more."""
    plain = segment
    for _ in range(3 if "%" in segment else 0):
        plain = unquote(plain, errors="replace")
    if plain != segment and (re.search(r"[?#;]|/.*@", plain) or masked(plain) != plain):
        return _MASK
    if any(":" in part.rpartition("@")[0] for part in plain.split("/")):
        if plain != segment:
            return _MASK
        segment = segment.rpartition("@")[2]
    named = _SECRET.sub(rf"\1\2{_MASK}", segment.partition(";")[0])
    return masked(named)


def _opaque(scheme: str, rest: str) -> str:
    if scheme in {"blob", "feed", "filesystem", "view-source"} and _URL.match(rest):
        return _bounded(f"{scheme}:{url(rest)}")
    if scheme == "data":  # Its type alone: the rest is the content.
        return _bounded(f"data:{re.split('[;,]', rest, maxsplit=1)[0][:100]}")
    return "" if scheme == "about" else f"{scheme}:"


def _bounded(shown: str) -> str:
    shown = shown.strip()
    return shown if len(shown) <= MOST else f"{shown[: MOST - 1]}{_MASK}"
