"""``config.toml``: the user's own file. It is read and never written by us.

A wrong key or value is one clear line: file, line, key, what was expected.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.contract.base import Name, visible
from engine.contract.errors import ConfigInvalid

_MAX_BYTES = 1024 * 1024


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MachineConfig(_Section):
    name: Name | None = Field(None, description="How this machine is called on every screen")


class EndpointConfig(_Section):
    """An OpenAI-compatible server. ``key_env`` names an environment variable, never the key."""

    name: Name
    url: Annotated[str, Field(pattern=r"^(https?://|unix:/)", max_length=500)]
    model: Annotated[str, Field(max_length=200)] = ""
    key_env: Annotated[str, Field(pattern=r"^[A-Z_][A-Z0-9_]*$", max_length=100)] | None = None


class ModelConfig(_Section):
    gguf: Path | None = Field(None, description="A GGUF file to use instead of the bundled model")
    use: Annotated[str, Field(max_length=300)] | None = Field(
        None, description="The model to start with, as `arcanum model list` names it"
    )
    max_new_tokens: Annotated[int, Field(ge=1, le=32_768)] = Field(
        160, description="The hard limit of an answer, in tokens"
    )
    context: Annotated[int, Field(ge=512, le=1_048_576)] = Field(
        4096, description="Context per conversation, in tokens"
    )
    parallel: Annotated[int, Field(ge=1, le=64)] = Field(
        2, description="Answers that one model gives at the same time"
    )
    threads: Annotated[int, Field(ge=1, le=512)] | None = Field(
        None, description="Threads of the model; by default all cores but one"
    )
    endpoints: tuple[EndpointConfig, ...] = Field((), description="OpenAI-compatible servers")


class MediaConfig(_Section):
    rescan_minutes: Annotated[int, Field(ge=1, le=10_080)] = Field(
        30, description="How often a library is read again, whatever the watcher said"
    )
    hash_threads: Annotated[int, Field(ge=1, le=64)] | None = Field(
        None, description="Threads that hash; by default one for each core, at most four"
    )


class ApprovalsConfig(_Section):
    expires_hours: Annotated[float, Field(gt=0, le=720)] = Field(
        24, description="How long an approval waits for an answer"
    )


class ScreenConfig(_Section):
    theme: Annotated[str, Field(max_length=40)] = Field("dark", description="A theme's name")
    animations: Literal["none", "basic"] = Field("none", description="Motion on the screen")


class Config(_Section):
    machine: MachineConfig = MachineConfig()
    model: ModelConfig = ModelConfig()
    media: MediaConfig = MediaConfig()
    approvals: ApprovalsConfig = ApprovalsConfig()
    screen: ScreenConfig = ScreenConfig()


def load(path: Path) -> Config:
    """The configuration; the defaults where there is no file. Raises ConfigInvalid."""
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        return Config()
    except OSError as error:
        raise ConfigInvalid(
            f"{path}: {error.strerror or error}.", "Make the file readable, or move it away."
        ) from error
    if len(raw) > _MAX_BYTES:
        raise ConfigInvalid(f"{path} is larger than 1 MiB.", "Is this the right file?")
    try:
        text = raw.decode("utf-8")
        data = tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ConfigInvalid(
            f"{path}, line {line}: not UTF-8.", "Save the file as UTF-8."
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigInvalid(f"{path}: {visible(str(error))}.", "Correct that line.") from error
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        raise ConfigInvalid(*_explain(path, text, error)) from error


def _explain(path: Path, text: str, error: ValidationError) -> tuple[str, str]:
    """The first problem, with its line and what was expected."""
    problem = error.errors(include_url=False, include_input=True)[0]
    keys = [key for key in problem["loc"] if isinstance(key, str)]
    dotted = ".".join(map(str, problem["loc"]))
    where = f"{path}, line {_line_of(text, keys)}: {dotted}"
    if problem["type"] == "extra_forbidden":
        return (
            f"{where}: there is no such key.",
            f"Known here: {', '.join(_known(keys[:-1]))}.",
        )
    value = visible(repr(problem["input"]))[:80]
    return f"{where} = {value}: {problem['msg']}.", "Correct the value, or delete the line."


def _known(keys: list[str]) -> list[str]:
    section: Any = Config
    for key in keys:
        annotation = section.model_fields[key].annotation
        section = annotation if hasattr(annotation, "model_fields") else EndpointConfig
    return list(section.model_fields)


def _line_of(text: str, keys: list[str]) -> int:
    """The line on which the last of ``keys`` stands, within its table; best effort, from 1."""
    table: list[str] = []
    best = 1
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[\[?\s*([^\]]+?)\s*\]", line):
            table = [part.strip().strip("\"'") for part in header[1].split(".")]
            if table == keys[: len(table)]:
                best = number
        elif entry := re.match(r"\s*([\w\"'.-]+)\s*=", line):
            full = table + [part.strip("\"'") for part in entry[1].split(".")]
            if full == keys:
                return number
    return best
