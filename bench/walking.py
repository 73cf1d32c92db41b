"""Walks a folder as a scan does where the library is known and large, and nothing else:
``python -m bench.walking FOLDER``."""

from __future__ import annotations

import os
import sys

from engine.media.ahead import ahead
from engine.media.root import open_root
from engine.media.walk import Walker

if __name__ == "__main__":
    descriptor, _identity, device = open_root(os.fsencode(sys.argv[1]))
    top = sorted(os.listdir(os.fsencode(sys.argv[1])))  # noqa: PTH208 - bytes
    middle = top[len(top) // 2]
    size = files = 0
    walker = Walker(descriptor, device, b".arcanum-trash")
    for _half, met in ahead(walker, [(b"", middle), (middle, None)]):
        for found in met:
            if found.identity is not None:
                files += 1
                size += found.identity.size
    print(files, size)
