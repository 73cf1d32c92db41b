"""The first paint comes before everything that takes time."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest
from textual.color import Color

from arcanum_tui import looks

ROOT = Path(__file__).parents[2]

HEAVY = ("pydantic", "aiosqlite", "httpx", "psutil", "prometheus_client", "watchfiles", "sqlite3")

_PROBE = """
import sys, arcanum_tui.app
print(*sorted(m for m in sys.modules if m.split('.')[0] in {heavy!r}
              or m.startswith(('engine.', 'backends', 'textual.widgets._text_area',
                               'textual.widgets._markdown'))
              and m not in {light!r}))
"""


def test_importing_the_app_imports_nothing_heavy() -> None:
    light = ("engine", "engine.contract", "engine.contract.errors", "engine.contract.shown")
    probe = _PROBE.format(heavy=HEAVY, light=light)
    made = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert made.stdout.split() == []


_APP = """
import asyncio, sys
from pathlib import Path
from arcanum_tui.app import run
from arcanum_tui.wishes import Wishes

async def connect():
    mark = Path({mark!r})
    mark.write_text("painted" if Path({stamp!r}).exists() else "not painted")
    from engine.contract.errors import Unavailable
    raise Unavailable("Nobody is here.")

sys.exit(run(connect, Wishes()))
"""


def test_the_engine_is_reached_only_after_the_first_paint(tmp_path: Path) -> None:
    stamp, mark = tmp_path / "stamp", tmp_path / "mark"
    began = time.monotonic()
    screen = _run_on_a_terminal(
        _APP.format(mark=str(mark), stamp=str(stamp)), {"ARCANUM_FIRST_PAINT": str(stamp)}
    )
    assert mark.read_text() == "painted"
    assert began < float(stamp.read_text()) < time.monotonic()
    assert "NEEDS YOU" in screen


_WHOLE = """
import sys
from arcanum_tui import __main__ as main

async def connect():
    from engine.contract.errors import Unavailable
    raise Unavailable("Nobody is here.")

main.connect = connect
sys.argv = ["arcanum"]
sys.exit(main.main())
"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_first_paint_has_the_theme_that_is_wished(tmp_path: Path, theme: str) -> None:
    (tmp_path / "config.toml").write_text(f'[screen]\ntheme = "{theme}"\n')
    told = {"ARCANUM_HOME": str(tmp_path), "COLORTERM": "truecolor"}
    screen = _run_on_a_terminal(_WHOLE, told)
    red, green, blue = Color.parse(looks.load(theme).background or "").rgb
    assert f"48;2;{red};{green};{blue}" in screen


def _run_on_a_terminal(program: str, env: dict[str, str]) -> str:
    """Runs it until the loss of the engine is on the screen, then presses q; what it wrote."""
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=ROOT,
        env={**os.environ, "TERM": "xterm-256color", **env},
        start_new_session=True,
    )
    os.close(theirs)
    written, asked = b"", False
    until = time.monotonic() + 30
    try:
        while process.poll() is None and time.monotonic() < until:
            if select.select([ours], [], [], 0.05)[0]:
                try:
                    written += os.read(ours, 65536)
                except OSError:
                    break
            if not asked and b"LOST" in written:
                asked = True
                os.write(ours, b"q")
        assert process.wait(timeout=10) == 0
    finally:
        if process.poll() is None:
            process.kill()
        os.close(ours)
    return written.decode("utf-8", "replace")


@pytest.mark.parametrize("module", ["state", "keys", "actions"])
def test_state_knows_no_textual_widgets(module: str) -> None:
    """What is pure stays pure: it can be imported where there is no screen."""
    if module == "actions":
        names = ["arcanum_tui.actions"]
    elif module == "keys":
        names = ["arcanum_tui.keys"]
    else:
        files = (ROOT / "arcanum_tui" / "state").glob("*.py")
        names = [f"arcanum_tui.state.{f.stem}" for f in files if f.stem != "__init__"]
    screens = {"textual.app", "textual.widget"}
    probe = f"import sys, {', '.join(names)}\nprint(*{screens!r} & set(sys.modules))"
    made = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert made.stdout.split() == []
