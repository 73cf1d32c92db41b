"""Asking for evidence as the process that looks into files does."""

from __future__ import annotations

import os
import plistlib
from pathlib import Path
from typing import Any

from engine.contract.base import visible
from engine.media.source import evidence

INFO = {
    "id": "x1",
    "title": "A film",
    "formats": [{"url": "https://cdn.example/s?sig=hunter2"}] * 3,
    "webpage_url": "https://video.example/watch?v=x1&key=hunter2",
    "extractor": "video",
    "extractor_key": "Video",
    "uploader": "Ada",
    "upload_date": "20260102",
    "ext": "mp4",
}
"""What yt-dlp writes beside a film, as far as it matters."""


def found(root: Path, name: str | bytes) -> list[dict[str, Any]]:
    """The rows of a file below ``root``. Whatever it is, they have the right form."""
    path = os.fsencode(name)
    root_fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fd = os.open(os.fsencode(root) + b"/" + path, os.O_RDONLY)
        try:
            before = len([*Path("/proc/self/fd").iterdir()])
            rows = evidence.read(fd, root_fd, path)
            assert len([*Path("/proc/self/fd").iterdir()]) == before
        finally:
            os.close(fd)
    finally:
        os.close(root_fd)
    for row in rows:
        assert set(row) == {"kind", "origin", "referrer", "confidence", "evidence"}
        assert 0 < row["confidence"] <= 1
        for key, told in row["evidence"].items():
            assert key
            assert key == visible(key)
            assert isinstance(told, str)
            assert "hunter2" not in told
        assert "hunter2" not in row["origin"] + row["referrer"]
    return rows


def binary_list(*texts: str) -> bytes:
    return plistlib.dumps([*texts], fmt=plistlib.FMT_BINARY)
