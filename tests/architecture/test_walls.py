"""Who may know whom, held statically by the import contracts and here at run time."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRODUCT = ("engine", "arcanum_tui", "backends")
SOURCES = sorted(file for part in PRODUCT for file in (ROOT / part).rglob("*.py"))
FRONT = ("contract", "store", "core", "jobs", "approvals", "clients", "server")
GROUND = [
    file
    for file in SOURCES
    if file.parts[len(ROOT.parts)] == "engine"
    and (file.parent == ROOT / "engine" or file.parts[len(ROOT.parts) + 1] in FRONT)
]
PYDANTIC = {
    "pydantic",
    "pydantic_core",
    "annotated_types",
    "typing_extensions",
    "typing_inspection",
}

IMPORT_ALL = """
import importlib, json, pkgutil, sys
package = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def imported_by(package: str) -> set[str]:
    """The top-level packages that a process has once every module of this one is imported."""
    out = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, package],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
    ).stdout
    return set(json.loads(out))


def name(file: Path) -> str:
    return str(file.relative_to(ROOT))


def test_the_engine_runs_without_a_face_and_without_a_backend() -> None:
    found = imported_by("engine")
    assert "engine" in found
    assert not found & {"textual", "rich", "arcanum_tui", "backends", "xllamacpp", "themes"}


def test_the_contract_is_words_pydantic_and_the_standard_library() -> None:
    before = set(
        json.loads(
            subprocess.run(
                [sys.executable, "-c", IMPORT_ALL, "json"],
                check=True,
                capture_output=True,
                text=True,
            ).stdout
        )
    )
    added = imported_by("engine.contract") - before - sys.stdlib_module_names
    assert {each for each in added if not each.startswith("_sysconfig")} - PYDANTIC == {"engine"}


def test_the_import_contracts_are_kept() -> None:
    checked = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-logo", "--no-cache"],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert " kept, 0 broken" in checked.stdout


COMMANDS = (
    ["--help"],
    ["status", "--json"],
    ["jobs", "list", "--json"],
    ["approvals", "list", "--json"],
    ["audit", "verify", "--json"],
    ["quota", "check", "--json"],
    ["config", "path"],
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_shell_command_never_imports_textual(command: list[str]) -> None:
    run = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "arcanum_tui", *command],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": ""},
    )
    assert run.returncode == 0, run.stderr[-2000:]
    modules = set(re.findall(r"^import time:.*\|\s+([\w.]+)$", run.stderr, re.MULTILINE))
    assert "arcanum_tui" in {module.partition(".")[0] for module in modules}
    assert not {module for module in modules if module.partition(".")[0] == "textual"}


# --- how it is written ----------------------------------------------------------------------------


def test_every_file_can_be_held_in_ones_head() -> None:
    lines = {name(file): len(file.read_text().splitlines()) for file in SOURCES}
    assert {file: count for file, count in lines.items() if count > 400} == {}


def test_every_module_says_what_it_is() -> None:
    trees = {name(file): ast.parse(file.read_text()) for file in SOURCES}
    assert [n for n, tree in trees.items() if tree.body and not ast.get_docstring(tree)] == []


def _is_words(node: ast.ClassDef) -> bool:
    """A model, an error or an enumeration without behaviour: its fields speak."""
    return bool(node.bases) and not any(
        isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef))
        and not each.name.startswith("_")
        and not any(isinstance(d, ast.Name) and d.id == "property" for d in each.decorator_list)
        for each in node.body
    )


def test_what_other_rooms_use_is_documented() -> None:
    undocumented = [
        f"{name(file)}: {node.name}"
        for file in GROUND
        for node in ast.parse(file.read_text()).body
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
        and not (isinstance(node, ast.ClassDef) and _is_words(node))
    ]
    assert undocumented == []


@pytest.mark.parametrize("pattern", [r"class \w*(Manager|Handler|Utils|Helper)\b", r"\bTODO\b"])
def test_names_say_what_things_are_and_nothing_is_left_to_do(pattern: str) -> None:
    found = [name(file) for file in SOURCES if re.search(pattern, file.read_text())]
    assert found == []
