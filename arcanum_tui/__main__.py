"""Where ``arcanum`` starts. What is not needed to decide what was asked is not imported."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.contract.client import EngineClient


def main() -> int:
    """Opens the control center, or runs the command in ``sys.argv``. Returns the exit code."""
    if len(sys.argv) > 1:
        from arcanum_tui.cli.main import run

        return run(sys.argv[1:])
    if not (
        sys.__stdin__ and sys.__stdin__.isatty() and sys.__stdout__ and sys.__stdout__.isatty()
    ):
        print("arcanum: the control center needs a terminal; see arcanum --help", file=sys.stderr)
        return 64
    return _open()


def _open() -> int:
    """The control center. The engine is imported by ``connect``, after the first paint."""
    try:
        from arcanum_tui.app import run

        return run(connect)
    except KeyboardInterrupt:
        return 3
    except Exception as error:  # noqa: BLE001 - recorded with its traceback, told in one line
        from arcanum_tui.cli.log import defect
        from arcanum_tui.cli.terminal import Terminal

        return Terminal().fail(defect(error))


async def connect() -> EngineClient:
    """The engine for the screen, in this process or in the one that runs it already."""
    from arcanum_tui.cli.log import install
    from arcanum_tui.wiring import connect as attach

    install()
    return await attach(host="terminal", start_all=True)


if __name__ == "__main__":
    sys.exit(main())
