"""``arcanum config``: where the configuration is, and what it says. No engine is needed."""

from __future__ import annotations

from arcanum_tui.cli.command import Command, Group, Invocation
from arcanum_tui.cli.terminal import Terminal
from engine.contract.base import Json, PathRef, Wire
from engine.home import Home, locate


class Places(Wire):
    """Where things are. ``exists``: the configuration file is there."""

    config_file: PathRef
    exists: bool
    data: PathRef
    runtime: PathRef
    log_file: PathRef


class Verdict(Wire):
    ok: bool
    config_file: PathRef
    exists: bool


class InForce(Wire):
    """``config``: every section with every key, defaults included; null where nothing is set."""

    config_file: PathRef
    config: Json


def _places(home: Home) -> Places:
    return Places(
        config_file=PathRef.of(home.config_file),
        exists=home.config_file.exists(),
        data=PathRef.of(home.data),
        runtime=PathRef.of(home.runtime),
        log_file=PathRef.of(home.log_file),
    )


def show_places(found: Places, terminal: Terminal) -> None:
    absent = "" if found.exists else "  (not there: the defaults hold)"
    terminal.fields(
        (
            ("config", found.config_file.display + absent),
            ("data", found.data.display),
            ("runtime", found.runtime.display),
            ("log", found.log_file.display),
        )
    )


def show_verdict(found: Verdict, terminal: Terminal) -> None:
    what = "is valid" if found.exists else "is not there: the defaults hold"
    terminal.line(f"✓ {found.config_file.display} {what}", "ok")


async def path(run: Invocation) -> int:
    return run.tell(_places(locate()))


async def validate(run: Invocation) -> int:
    """Raises ConfigInvalid, which names the file, the line and the key."""
    from engine.config import load

    places = _places(locate())
    load(locate().config_file)
    return run.tell(Verdict(ok=True, config_file=places.config_file, exists=places.exists))


async def show(run: Invocation) -> int:
    from engine.config import load

    home = locate()
    config = load(home.config_file).model_dump(mode="json")
    return run.tell(InForce(config_file=PathRef.of(home.config_file), config=config))


def show_config(found: InForce, terminal: Terminal) -> None:
    for section, settings in found.config.items():
        terminal.line(f"[{section}]", "title")
        for key, value in settings.items():
            if value is None:
                terminal.line(f"# {key} is not set", "muted")
            else:
                terminal.line(f"{key} = {_toml(value)}")


def _toml(value: object) -> str:
    """A TOML value: for what a configuration holds, JSON is TOML, inline tables apart."""
    import json

    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, dict):
        pairs = (f"{_key(k)} = {_toml(v)}" for k, v in value.items() if v is not None)
        return f"{{ {', '.join(pairs)} }}" if value else "{}"
    return json.dumps(value, ensure_ascii=False)


def _key(name: str) -> str:
    """As TOML has it: bare where it can be."""
    plain = name.replace("-", "").replace("_", "")
    return name if plain.isascii() and plain.isalnum() else _toml(name)


GROUP = Group(
    "config",
    (
        Command(
            "show",
            None,
            show_config,
            run=show,
            summary="The configuration in force, defaults included",
            examples=("arcanum config show",),
        ),
        Command(
            "path",
            None,
            show_places,
            run=path,
            summary="Where configuration, data and log are",
            examples=("arcanum config path",),
        ),
        Command(
            "validate",
            None,
            show_verdict,
            run=validate,
            summary="Is the configuration valid? A wrong key or value is named with its line",
            examples=("arcanum config validate",),
        ),
    ),
)
