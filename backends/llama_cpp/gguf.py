"""A first look at a model file, so that a wrong one is named before a process is started."""

from __future__ import annotations

import os
import stat
import struct
from pathlib import Path

from engine.contract.base import visible
from engine.contract.errors import ModelFailed

_HEADER = struct.Struct("<4sIQQ")  # magic, version, number of tensors, number of metadata pairs
_VERSIONS = range(2, 4)
_MAX_ITEMS = 1_000_000
REPLACE = "Download the file again, or use another model: arcanum model list"


def check_gguf(path: Path) -> int:
    """The size of the model file in bytes. Raises ModelFailed for what cannot be a model.

    Reads the header only. What is damaged further in is found by llama.cpp, in its own process.
    """
    name = visible(os.fspath(path))
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ModelFailed(f"{name} is not a file", REPLACE)
        with path.open("rb") as file:
            header = file.read(_HEADER.size)
    except (OSError, ValueError) as error:  # ValueError: no file can have such a name.
        reason = error.strerror if isinstance(error, OSError) else error
        raise ModelFailed(
            f"The model file {name} cannot be read: {reason}",
            "Check the path and its permissions, or use another model: arcanum model list",
        ) from error
    if len(header) < _HEADER.size:
        raise ModelFailed(f"The model file {name} is cut off: {len(header)} bytes", REPLACE)
    magic, version, tensors, pairs = _HEADER.unpack(header)
    if magic != b"GGUF":
        shown = visible(magic.decode("latin-1"))
        raise ModelFailed(f"{name} is not a GGUF model: it starts with {shown!r}", REPLACE)
    if version not in _VERSIONS or not 0 < tensors < _MAX_ITEMS or not 0 < pairs < _MAX_ITEMS:
        raise ModelFailed(f"The model file {name} is damaged: its header makes no sense", REPLACE)
    return status.st_size
