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
_AWAY = re.compile(
    r"(?i)connection (?:refused|reset|timed out)|no such host|i/o timeout|network is unreachable"
    r"|no route to host|couldn't connect|TLS handshake|broken pipe|unexpected EOF|: EOF\b"
    r"|deadline exceeded|server misbehaving|host is down"
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
    if _DENIED.search(said):
        return Denied(
            f"{where} does not allow it: {reason}.",
            "Are its user, password or key right? rclone config changes them.",
        )
    if _AWAY.search(said):
        return Unavailable(
            f"{where} does not answer: {reason}.", "Is it switched on, and the network there?"
        )
    if _FULL.search(said):
        return RcloneFailed(f"{where} is full: {reason}.", "Make room there, then send again.")
    if status == 404:
        return NotFound(f"{where}: {reason}.", "arcanum remotes inventory lists what is there.")
    return RcloneFailed(f"{where}: {reason}.", "Try again; rclone itself may tell more.")
