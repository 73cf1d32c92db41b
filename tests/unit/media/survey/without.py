"""The process that looks into files, where none of the libraries is installed."""

from __future__ import annotations

import sys
from typing import Any

from engine.media.survey import worker

LIBRARIES = ("PIL", "av", "pillow_heif", "pypdf")

if __name__ == "__main__":
    missing: dict[str, Any] = dict.fromkeys(LIBRARIES)
    sys.modules.update(missing)
    worker.main()
