"""The documentation says what the program does: every command, argument, field and setting."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import tomllib
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, cast, get_args

import pytest
from pydantic import BaseModel

from arcanum_tui.actions import ACTIONS, key_name
from arcanum_tui.cli import converse
from arcanum_tui.cli.command import Command
from arcanum_tui.cli.main import GROUPS
from backends.hosted.keeping import WORTH
from backends.wrappers.fair import MOST_OF_A_SESSION, MOST_WAITING
from engine.agent0.schema import bounded
from engine.config import Config, load
from engine.contract.agent0 import MAX_ATTACHED
from engine.contract.base import PathRef
from engine.contract.jobs import JobStarted
from engine.contract.memory import MAX_QUESTION
from engine.contract.operation import Kind, every
from engine.home import Home

ROOT = Path(__file__).parents[2]
COMMANDS = (ROOT / "docs" / "commands.md").read_text("utf-8")
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text("utf-8")
AGENT0 = (ROOT / "docs" / "agent0.md").read_text("utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
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


# --- make, locks, marks -------------------------------------------------------------------------


def targets() -> set[str]:
    """What ``make help`` lists."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    lines = re.findall(r"(?m)^([a-z ]+):.*## ", makefile)
    return {target for line in lines for target in line.split()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_make_target_exists(page: Path) -> None:
    named = re.findall(r"(?m)(?:^|`)make ([a-z]+)", page.read_text("utf-8"))
    assert set(named) <= targets()


def test_contributing_tells_every_target_lock_and_mark() -> None:
    for target in targets() - {"help"}:
        assert f"make {target}" in CONTRIBUTING
    for lock in ROOT.glob("requirements*.lock"):
        assert f"`{lock.name}`" in CONTRIBUTING
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    for mark in project["tool"]["pytest"]["ini_options"]["markers"]:
        name = re.split(r"[(:]", mark, maxsplit=1)[0]
        assert f"@pytest.mark.{name}" in CONTRIBUTING


# --- Agent-0 ------------------------------------------------------------------------------------


@cache
def source() -> str:
    """All that can say something to a person, with texts that are several literals made one."""
    python = [f for part in ("arcanum_tui", "backends", "engine") for f in (ROOT / part).rglob("*")]
    files = [f for f in python if f.suffix == ".py"] + [ROOT / "tools" / "llama"]
    text = "\n".join(file.read_text("utf-8") for file in files)
    return re.sub(r"\"\s*\n\s*f?\"", "", text)


def rows(heading: str, page: str = AGENT0) -> list[list[str]]:
    """The cells of the tables below a heading, up to the next one; without their first lines."""
    body = re.split(r"(?m)^#{2,3} ", page.partition(f" {heading}\n")[2])[0]
    tables = re.findall(r"(?m)^\|[-|]+\|\n((?:\|.+\|\n)+)", body)
    return [line[2:-2].split(" | ") for table in tables for line in table.splitlines()]


def blocks(language: str) -> list[str]:
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```", AGENT0)


def test_its_configuration_is_valid(tmp_path: Path) -> None:
    for number, block in enumerate(blocks("toml")):
        (tmp_path / f"{number}.toml").write_text(block, "utf-8")
        load(tmp_path / f"{number}.toml")


def test_its_settings_exist() -> None:
    known = {key for key, _ in settings()}
    assert set(re.findall(r"`(model\.[\w.]+)(?: = [^`]+)?`", AGENT0)) <= known


def test_its_keys_do_what_it_says() -> None:
    said = rows("On the screen")
    assert len(said) > 10
    for key, about in said:
        assert any(
            key.strip("`") in map(key_name, action.keys) and action.help == about
            for action in ACTIONS
        ), key


def test_the_page_on_media_names_every_key_of_its_screen() -> None:
    page = (ROOT / "docs" / "media.md").read_text("utf-8")
    said = {tuple(cells) for cells in rows("The screen", page)}
    own = [action for action in ACTIONS if action.where == "media" and action.keys]
    assert {(f"`{key_name(action.keys[0])}`", action.help) for action in own} <= said
    assert ("`Enter`", "Open what the cursor is on") in said


def test_its_words_of_a_conversation_are_those_of_the_help() -> None:
    said = dict(rows("In a shell"))
    told = re.findall(r"(?m)^(/.+?)  +(.+)$", converse.HELP)
    assert {f"`{word}`": about for word, about in told} == said


def test_its_schema_can_be_used() -> None:
    (schema,) = map(json.loads, blocks("json"))
    assert bounded(schema)["properties"].keys() == {"colours"}


def test_what_model_info_shows_is_shown() -> None:
    shown = next(block for block in blocks("text") if block.startswith("name "))
    for line in shown.splitlines():
        assert f'"{re.split("  +", line)[0].strip()[:9].strip()}' in source(), line


def test_its_files_are_where_it_says() -> None:
    home = Home(Path("config.toml"), Path("data"), Path("run"))
    named = {cells[0] for cells in rows("What is kept on disk")}
    kept = {home.state_file.name, f"{home.states.name}/", home.log_file.name, "models/"}
    assert named == {f"`{name}`" for name in kept}
    assert "/arcanum/wheels" in (ROOT / "tools" / "wheels").read_text("utf-8")


def test_its_limits_are_those_of_the_program() -> None:
    for number, what in (
        (MAX_QUESTION, "characters"),
        (MAX_ATTACHED, "characters in all"),
        (MOST_WAITING, "requests may wait"),
        (MOST_OF_A_SESSION, "of one conversation"),
        (WORTH, "tokens are new"),
    ):
        assert f"{number:,} {what}" in " ".join(AGENT0.split())


def test_its_messages_are_those_of_the_program() -> None:
    messages = rows("When something goes wrong")
    assert len(messages) > 15
    for message in re.findall("`(.+?)`", "".join(cells[0] for cells in messages)):
        for part in message.split("…"):
            assert part.strip() in source(), message


def test_its_variables_are_read() -> None:
    tools = "".join((ROOT / "tools" / name).read_text("utf-8") for name in ("llama", "wheels"))
    for name in re.findall(r"`([A-Z]+_[A-Z_]+|CUDACXX)`", AGENT0):
        assert name in source() + tools or name in CONFIGURATION
