"""The documentation says what the program does: every command, argument, field and setting."""

from __future__ import annotations

import argparse
import re
import shlex
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, cast, get_args

import pytest
from pydantic import BaseModel

from arcanum_tui.cli.command import Command
from arcanum_tui.cli.main import GROUPS
from engine.config import Config, load
from engine.contract.base import PathRef
from engine.contract.jobs import JobStarted
from engine.contract.operation import Kind, every

ROOT = Path(__file__).parents[2]
COMMANDS = (ROOT / "docs" / "commands.md").read_text("utf-8")
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text("utf-8")
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def named() -> dict[str, tuple[str, Command]]:
    """Every command by its words."""
    found = {}
    for group in GROUPS:
        for command in import_module(f"arcanum_tui.cli.{group}").GROUP.commands:
            found[f"{group} {command.word}".strip()] = (group, command)
    return found


@cache
def sections(text: str) -> dict[str, str]:
    """What stands below each heading, up to the next one."""
    parts = re.split(r"(?m)^#{2,3} (.+)\n", text)
    return {
        title: " ".join(body.split()) for title, body in zip(parts[1::2], parts[2::2], strict=True)
    }


def section(words: str) -> str:
    found = sections(COMMANDS)
    return found.get(f"arcanum {words}") or found[words]


def anchors(text: str) -> set[str]:
    """The anchors of a page, as GitHub makes them."""
    found: set[str] = set()
    for title in re.findall(r"(?m)^#{1,6} (.+)$", text):
        base = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        count = 0
        while (anchor := f"{base}-{count}" if count else base) in found:
            count += 1
        found.add(anchor)
    return found


def fields(model: Any) -> set[str]:
    """The names of all fields in ``model`` and in what it holds; paths are explained once."""
    if isinstance(model, type) and issubclass(model, BaseModel):
        if model is PathRef:
            return set()
        inner = (fields(field.annotation) for field in model.model_fields.values())
        return set(model.model_fields).union(*inner)
    return set().union(*(fields(part) for part in get_args(model)))


def with_shapes(words: str) -> str:
    """A command's section and all shapes that it links to, however far."""
    titles = {
        title.lower().replace(" ", "-"): title for title in sections(COMMANDS) if title[0].isupper()
    }
    text = section(words)
    seen: set[str] = set()
    while links := set(re.findall(r"\]\(#([\w-]+)\)", text)) - seen:
        for link in links:
            seen.add(link)
            text += sections(COMMANDS)[titles.get(link.removesuffix("-1")) or link]
    return text


@pytest.mark.parametrize("words", named())
def test_every_command_is_documented_as_its_help_says(words: str) -> None:
    group, command = named()[words]
    text = section(words)
    assert command.about() in text
    for action in command.parser(group)._actions:
        if action.dest in {"json", "quiet", "help"}:
            continue
        name = action.option_strings[0] if action.option_strings else str(action.metavar)
        assert f"`{name}`" in text
        assert " ".join((action.help or "").replace("%%", "%").split()) in text
    for example in command.examples:
        assert example in text


@pytest.mark.parametrize("words", named())
def test_every_field_of_every_result_is_documented(words: str) -> None:
    operation = named()[words][1].operation
    if operation is None or words in {"quota prune", "quota purge"}:
        return  # Written by hand, and checked there; or answered by an approval.
    shown = operation.item if operation.kind is Kind.STREAM else operation.result
    text = with_shapes(words)
    for name in fields(shown) | (fields(JobStarted) if operation.kind is Kind.JOB else set()):
        assert f"`{name}`" in text, f"{words}: {name}"


def test_every_operation_is_documented_with_its_risk() -> None:
    for operation in every():
        assert f"(`{operation.name}`, {operation.risk})" in COMMANDS


def test_nothing_is_documented_that_does_not_exist() -> None:
    documented = {
        t.removeprefix("arcanum ") for t in sections(COMMANDS) if t.startswith("arcanum ")
    }
    assert documented <= set(named())
    for flag in re.findall(r"(?m)^\| `(--[\w-]+)` \|", COMMANDS):
        known = [a for group, c in named().values() for a in c.parser(group)._option_string_actions]
        assert flag in known


def examples() -> list[str]:
    blocks = re.findall(
        r"(?ms)^```(?:sh)?\n(.*?)^```", "\n".join(p.read_text("utf-8") for p in PAGES)
    )
    lines = (line.strip() for block in blocks for line in block.splitlines())
    return sorted({line for line in lines if line.startswith("arcanum ")})


@pytest.mark.parametrize("line", examples())
def test_every_example_is_a_valid_command_line(line: str) -> None:
    words = shlex.split(line, comments=True)
    cut = next(
        (i for i, word in enumerate(words) if word in {"|", "||", "&&", "&", "<", ">"}), None
    )
    group, *rest = words[1:cut]
    assert group in GROUPS
    found = import_module(f"arcanum_tui.cli.{group}").GROUP
    command = found.find(rest[0]) if rest else None
    rest = rest[1:] if command else rest
    command = command or found.find(found.default or "")
    assert isinstance(command.parser(group).parse_args(rest), argparse.Namespace)


def settings() -> list[tuple[str, Any]]:
    found = []
    for section_name, part in Config.model_fields.items():
        for key, field in cast(type[BaseModel], part.annotation).model_fields.items():
            found.append((f"{section_name}.{key}", field))
            for inner in get_args(field.annotation):
                if isinstance(inner, type) and issubclass(inner, BaseModel):
                    found += [
                        (f"{section_name}.{key}.{k}", f) for k, f in inner.model_fields.items()
                    ]
    return found


ROWS = {
    row[0]: row[1:]
    for row in re.findall(r"(?m)^\| `([\w.]+)` \| (.+?) \| (.+) \|$", CONFIGURATION)
    if "." in row[0]
}


@pytest.mark.parametrize(("key", "field"), settings(), ids=lambda value: str(value)[:30])
def test_every_setting_is_documented_with_its_default(key: str, field: Any) -> None:
    default, about = ROWS[key]
    if field.is_required():
        assert default == "required"
    elif field.default is None:
        assert not default.startswith("`")
    elif field.default == ():
        assert default == "`[]`"
    else:
        shown = f'"{field.default}"' if isinstance(field.default, str) else f"{field.default}"
        assert default == f"`{shown}`"
    assert field.description is None or field.description in about


def test_no_setting_is_documented_that_does_not_exist() -> None:
    assert set(ROWS) == {key for key, _ in settings()}


def test_the_example_is_valid_and_shows_every_key(tmp_path: Path) -> None:
    example = re.findall(r"(?ms)^```toml\n(.*?)^```", CONFIGURATION)[0]
    (tmp_path / "config.toml").write_text(example, "utf-8")
    config = load(tmp_path / "config.toml")
    assert config.machine.name == "nas"
    for key, _ in settings():
        assert re.search(
            rf"(?m)^(\[\[.*)?{re.escape(key.rpartition('.')[2])}\b|\.{key.rpartition('.')[2]}\]",
            example,
        )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    text = page.read_text("utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target or target.startswith("mailto:"):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name}: {target}"
        if anchor and file.suffix == ".md":
            assert anchor in anchors(file.read_text("utf-8")), f"{page.name}: {target}"
