"""``arcanum report`` on a real library: three forms, files, and what is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.shell import arcanum, refused, told

HOSTILE = b"<img src=x>|`\xff\x1b[2J.mkv"


@pytest.fixture
def scanned(films: Path) -> Path:
    """Five films, one of them held twice, one with a name that means harm."""
    (films / "copy.mkv").write_bytes((films / "film-0.mkv").read_bytes())
    os.link(films / "film-1.mkv", films / "linked.mkv")
    (films / os.fsdecode(HOSTILE)).write_bytes(b"x" * 9_000_000)
    told("media", "add", str(films), "--name", "films")
    told("media", "scan", "films")
    return films


def test_the_three_forms_say_the_same(scanned: Path, tmp_path: Path) -> None:
    found = told("report", "media")
    total = {"files": 8, "bytes": 45_000_000}
    assert total.items() <= found["total"].items()
    for name in ("kinds", "types", "cameras", "modified", "first_seen"):
        assert _sum(found[name]) == total
    assert found["duplicates"]["totals"] == {"groups": 1, "copies": 2, "frees": 6_000_000}
    assert found["integrity"][0]["verdict"] == "sound"
    assert found["growth"]["months"][-1]["held"] == total
    assert found["largest"][0]["path"]["display"] == r"<img src=x>|`\xff\x1b[2J.mkv"

    markdown = arcanum("report", "media")
    assert (markdown.code, "| all | 8 | 45.0 MB | 100.0 % |" in markdown.out) == (0, True)
    assert "\x1b" not in markdown.out
    assert "<img src=x>" not in markdown.out

    file = tmp_path / "films.html"
    ran = arcanum("report", "media", "films", "--format", "html", "--output", str(file))
    assert (ran.code, ran.out) == (0, "")
    page = file.read_text("utf-8")
    assert "<svg" in page
    assert "default-src 'none'" in page
    assert "&lt;img src=x&gt;" in page
    assert "<img" not in page
    assert json.loads(arcanum("report", "media", "--format", "json").out)["total"] == found["total"]


def _sum(part: dict[str, Any]) -> dict[str, int]:
    amounts = [*part["rows"], part["others"], part["unknown"]]
    return {name: sum(each[name] for each in amounts) for name in ("files", "bytes")}


def test_a_report_to_hand_on_names_nothing(scanned: Path) -> None:
    for form in ("html", "md", "json"):
        ran = arcanum("report", "media", "--no-paths", "--format", form)
        assert ran.code == 0
        for name in ("dune", "film-0", "mkv", str(scanned), os.uname().nodename):
            assert name not in ran.out


def test_a_file_that_is_there_is_not_overwritten(scanned: Path, tmp_path: Path) -> None:
    file = tmp_path / "report.md"
    file.write_text("mine")
    error = refused("report", "media", "--output", str(file))
    assert (error["code"], "--replace" in error["hint"]) == ("refused", True)
    assert file.read_text() == "mine"
    assert arcanum("report", "media", "--output", str(file), "--replace").code == 0
    assert file.read_text("utf-8").startswith("# Media report")
    assert refused("report", "media", "--output", str(tmp_path))["code"] == "refused"
    nowhere = str(tmp_path / "none" / "report.md")
    assert refused("report", "media", "--output", nowhere)["code"] == "failed"
    assert refused("report", "media", "--replace", code=64)["code"] == "invalid"
    assert {path.name for path in tmp_path.iterdir()} == {"films", "report.md"}


def test_what_is_not_there() -> None:
    assert refused("report", "media", "nope")["code"] == "not_found"
    empty = told("report", "media")
    assert (empty["total"]["files"], empty["libraries"]) == (0, [])
    assert arcanum("report", "media", "--format", "html").code == 0
