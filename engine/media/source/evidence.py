"""Where a file came from, as it says itself and as what lies beside it says. Standard library only.

Called in the process that looks into files: everything here is bounded, and made to be lied to.
"""

from __future__ import annotations

import os
import re
from typing import Any

from engine.media.source import attributes, credentials, sidecars

_MOST = 8
_DOUBTED = 0.2
_HEAD = 512
_PAGE = re.compile(rb"\s*(?:\xef\xbb\xbf)?\s*<(?:!doctype\s+html|html|head)[\s>]", re.IGNORECASE)
_MEDIA = re.compile(
    r"\.(avif|bmp|flac|gif|gz|heic|iso|jpe?g|m4[av]|mkv|mov|mp[34]|ogg|opus|pdf|png|rar|tiff?"
    r"|wav|webm|webp|zip|7z)$",
    re.IGNORECASE,
)


def read(fd: int, root_fd: int, path: bytes) -> list[dict[str, Any]]:
    """What is known of where the file came from: rows of kind, origin, referrer, confidence, and
    evidence. ``path`` is that of the open file ``fd``, below the root.

    Addresses are redacted. Never raises for what a file, or one beside it, holds.
    """
    rows = [*attributes.read(fd), *sidecars.read(root_fd, path), *credentials.read(fd)][:_MOST]
    if any(_MEDIA.search(row["origin"]) for row in rows) and _is_page(fd):
        for row in rows:
            if _MEDIA.search(row["origin"]):
                row["confidence"] = _DOUBTED
                row["evidence"]["doubt"] = "it holds a web page, as servers send where nothing is"
    return rows


def _is_page(fd: int) -> bool:
    try:
        return _PAGE.match(os.pread(fd, _HEAD, 0)) is not None
    except OSError:
        return False
