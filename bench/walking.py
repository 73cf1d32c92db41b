"""Walks a folder as the scan's worker does, alone: ``python -m bench.walking FOLDER``."""

from __future__ import annotations

import os
import sys

from engine.media.root import open_root
from engine.media.walk import Walker

if __name__ == "__main__":
    descriptor, _identity, device = open_root(os.fsencode(sys.argv[1]))
    size = files = 0
    for found in Walker(descriptor, device, b".arcanum-trash").everything():
        if found.identity is not None:
            files += 1
            size += found.identity.size
    print(files, size)
