"""What rclone says went wrong, as errors that a person can act on.

Failed
├── RcloneGone     its process ended in the middle of it
└── RcloneFailed   it said that something did not work
NotFound           no such remote, folder or file
Unavailable        the remote does not answer
"""

from __future__ import annotations

import re
from typing import ClassVar

from engine.contract.base import visible
from engine.contract.errors import ArcanumError, Failed, NotFound, Refused, Unavailable

_LONGEST = 300
# Whatever has the form of an address may hold a password before the host or a signature after "?".
_LOGIN = re.compile(r"(?<=://)[^/\s\"'@]+@")
_QUERY = re.compile(r"(https?://[^\s\"'?]+)\?[^\s\"']+")
_SECRET = re.compile(
    r"(?i)\b((?:proxy-)?authorization|bearer|token|secret|password|pass|api[_-]?key)"
    r"(\"?\s*[=:]\s*\"?)[^\s\"',;]+"
)
_WRAPPED = re.compile(r"^(?:error in ListJSON: |couldn't list files: |operation error )+")
# What never came to an answer. Go names an operation on the network by its kind ("write tcp a->b:
# …"), and a request without an answer by its method and address ("Put "http://…": …"), whatever the
# words behind it are; the rest are those of other protocols, and of a proxy that stands before it.
_NETWORK = re.compile(
    r"\b(?:dial|read|write|readfrom|writeto|close|shutdown) (?:tcp|udp|unix)[46]?\b"
    r"|\blookup \S+ on \S+: "
)
# A certificate or a token that is not right stands there too, and is no silence.
_UNANSWERED = re.compile(
    r"\b[A-Z][A-Za-z]+ \"https?://[^\s\"]*\": (?!.*(?:x509|certificate|token|oauth|invalid_grant))"
)
_AWAY = re.compile(
    r"(?i)connection (?:was |has been )?(?:refused|reset|aborted|closed|lost|broken|timed out)"
    r"|(?:closed|broken|lost|idle) (?:network )?(?:connection|pipe)"
    r"|\b(?:i/o|request|handshake|header|dial|gateway)[ -]?timeout|timed out|deadline exceeded"
    r"|\bEOF\b|couldn't connect|server misbehaving"
    r"|no such host|no route to host|(?:network|host) is (?:down|unreachable)"
    r"|\b50[234]\b.{0,40}(?:bad gateway|unavailable|gateway time-?out)"
)
_DENIED = re.compile(
    r"(?i)\b40[13]\b|unauthorized|forbidden|unable to authenticate|access ?denied"
    r"|InvalidAccessKeyId|SignatureDoesNotMatch|permission denied|invalid_grant|login incorrect"
)
_LOCKED = re.compile(r"(?i)unable to decrypt configuration|decrypt config")
_FULL = re.compile(r"(?i)no space left|quota exceeded|insufficient storage|storageQuota")


class RcloneFailed(Failed):
    """It said that something did not work."""


class Denied(RcloneFailed):
    """The remote does not let it in, or may not be written."""


class RcloneGone(Failed):
    """Its process ended in the middle of it: what it was doing may be done in part."""

    retryable: ClassVar[bool] = True


def redacted(text: str) -> str:
    """One line without what may be a secret, of a length that can be shown."""
    text = text.strip().replace("\n", " ")
    text = _QUERY.sub(r"\1?…", _LOGIN.sub("", text))
    text = visible(_SECRET.sub(r"\1\2…", text))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def explain(status: int, said: str, where: str) -> ArcanumError:
    """The error for what rclone answered. ``where`` names the remote, or what was asked."""
    reason = redacted(_WRAPPED.sub("", said)).rstrip(".")
    where = visible(where)
    if _LOCKED.search(said):
        return Refused(
            "rclone's configuration is encrypted, and its password is not known, or is not right.",
            "Set password_command below [remotes] in config.toml to a command that prints it, such"
            ' as "pass show rclone".',
        )
    if "didn't find section in config file" in said:
        return NotFound(f"rclone knows no remote {where}.", "arcanum remotes list names them.")
    away = _NETWORK.search(said) or _UNANSWERED.search(said)
    if not away and _DENIED.search(said):
        return Denied(
            f"{where} does not allow it: {reason}.",
            "Are its user, password or key right? rclone config changes them.",
        )
    if away or _AWAY.search(said):
        return Unavailable(
            f"{where} does not answer: {reason}.", "Is it switched on, and the network there?"
        )
    if _FULL.search(said):
        return RcloneFailed(f"{where} is full: {reason}.", "Make room there, then send again.")
    if status == 404:
        hint = "arcanum remotes inventory REMOTE lists what is there."
        return NotFound(f"{where}: {reason}.", hint)
    return RcloneFailed(f"{where}: {reason}.", "Try again; rclone itself may tell more.")
