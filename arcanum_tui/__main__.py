"""Where ``arcanum`` starts. What is not needed to decide what was asked is not imported."""

from __future__ import annotations

import gc
import os
import signal
import sys

TYPE_CHECKING = False  # As in typing, which costs more than all that is imported here.
if TYPE_CHECKING:
    from engine.contract.client import EngineClient

_SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


def main() -> int:
    """Opens the control center, or runs the command in ``sys.argv``. Returns the exit code."""
    # Nothing is garbage while modules load; whoever has loaded enough turns collection on again.
    gc.disable()
    # Looking for plugins reads the metadata of every installed package.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    # A module must not be torn while it loads: a signal waits until somebody can answer it.
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    return _command() if len(sys.argv) > 1 else _screen()


def _command() -> int:
    from arcanum_tui.cli.main import run

    code = run(sys.argv[1:])
    # All is told and closed. Taking the interpreter apart would cost a quarter of a short command.
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    os._exit(code)


def _screen() -> int:
    """The control center. The engine is imported by ``connect``, after the first paint."""
    if not all(stream and stream.isatty() for stream in (sys.stdin, sys.stdout)):
        print("arcanum: the control center needs a terminal; see arcanum --help", file=sys.stderr)
        return 64
    try:
        from arcanum_tui import wishes
        from arcanum_tui.app import run
        from engine.home import locate

        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        return run(connect, wishes.read(locate().config_file))
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
    gc.freeze()
    gc.enable()
    return await attach(host="terminal", start_all=True)


if __name__ == "__main__":
    sys.exit(main())
