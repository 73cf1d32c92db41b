"""``config.toml``: the user's own file. It is read and never written by us.

A wrong key or value is one clear line: file, line, key, what was expected.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ByteSize, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from engine.contract.base import Name, visible
from engine.contract.errors import ConfigInvalid

_MAX_BYTES = 1024 * 1024
_EXPECTED = {
    "dict_type": "Input should be a table",
    "model_type": "Input should be a table",
    "path_type": "Input should be a path, in quotes",
    "tuple_type": "Input should be an array",
}
"""Where pydantic would name a thing of Python, by its types of errors."""


SMALL_MODEL = 1024**3
"""Bytes of a model below which it soon repeats itself, and is asked accordingly."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


Context = Annotated[int, Field(strict=True, ge=512, le=1_048_576)]
Parallel = Annotated[int, Field(strict=True, ge=1, le=64)]
Threads = Annotated[int, Field(strict=True, ge=1, le=512)]
Layers = Annotated[int, Field(strict=True, ge=0, le=10_000)]
Mebibytes = Annotated[int, Field(strict=True, ge=64, le=16_777_216)]
Variable = Annotated[str, Field(pattern=r"^[A-Z_][A-Z0-9_]*$", max_length=100)]


class MachineConfig(_Section):
    name: Name | None = Field(None, description="How this machine is called on every screen")


class EndpointConfig(_Section):
    """An OpenAI-compatible server. ``key_env`` names an environment variable, never the key."""

    name: Name
    url: Annotated[str, Field(pattern=r"^(https?://|unix:/)", max_length=500)]
    model: Annotated[str, Field(max_length=200)] = ""
    key_env: Variable | None = None
    parallel: Parallel | None = None


class ProfileConfig(_Section):
    """Settings for one kind of machine. What it sets goes before the same key of the model."""

    context: Context | None = None
    parallel: Parallel | None = None
    threads: Threads | None = None
    gpu_layers: Layers | None = None
    memory_mib: Mebibytes | None = None


class ModelConfig(_Section):
    """Which models there are, what runs them, and what they may take."""

    gguf: Path | None = Field(None, description="A GGUF file to use instead of the bundled model")
    use: Annotated[str, Field(max_length=300)] | None = Field(
        None, description="The model to start with, as `arcanum model list` names it"
    )
    library: Literal["auto", "xllamacpp", "llama-cpp-python", "mlx"] = Field(
        "auto", description="What runs models here; by default what is fastest of what is installed"
    )
    profile: Name | None = Field(None, description="Which of the profiles holds on this machine")
    profiles: dict[Name, ProfileConfig] = Field({}, description="Settings by name")
    max_new_tokens: Annotated[int, Field(strict=True, ge=1, le=32_768)] | None = Field(
        None,
        description="The hard limit of an answer, in tokens; by default 1024, and 160 for a model"
        " below 1 GiB",
    )
    context: Context = Field(4096, description="Context per conversation, in tokens")
    parallel: Parallel = Field(2, description="Answers that one model gives at the same time")
    threads: Threads | None = Field(
        None, description="Threads of the model; by default all cores but one"
    )
    gpu_layers: Layers | None = Field(
        None, description="Layers that the GPU takes; by default as many as fit"
    )
    memory_mib: Mebibytes | None = Field(
        None, description="Memory for all loaded models, in MiB; by default what is free"
    )
    keep_alive_minutes: Annotated[float, Field(strict=True, ge=-1, le=10_080)] = Field(
        30, description="How long an idle model stays loaded; 0: not at all, -1: for ever"
    )
    state_mib: Annotated[int, Field(strict=True, ge=0, le=1_048_576)] = Field(
        1024, description="Disk for what models have read, in MiB, so that they start at once"
    )
    hub: Annotated[str, Field(pattern=r"^https?://[^\s]+$", max_length=500)] = Field(
        "https://huggingface.co", description="Where models are downloaded from"
    )
    hub_token_env: Variable = Field(
        "HF_TOKEN", description="The environment variable that holds the hub's token"
    )
    endpoints: tuple[EndpointConfig, ...] = Field((), description="OpenAI-compatible servers")

    def in_force(self) -> ModelConfig:
        """With what the profile sets. Raises KeyError where there is none of that name."""
        if self.profile is None:
            return self
        found = self.profiles[self.profile].model_dump(exclude_none=True)
        return self.model_copy(update=found)

    def most_new_tokens(self, size: int) -> int:
        """The limit of an answer by a model of ``size`` bytes, 0 where unknown."""
        return self.max_new_tokens or (160 if 0 < size < SMALL_MODEL else 1024)


class ClientConfig(_Section):
    """A torrent client. Its password is never here: ``password_env`` names an environment variable,
    ``password_file`` a file. ``paths``: its folders as it says them, and as they are here."""

    name: Name
    kind: Literal["qbittorrent", "transmission"]
    url: Annotated[str, Field(pattern=r"^https?://[^\s/@?#]+(/[^\s@?#]*)?$", max_length=500)]
    username: Annotated[str, Field(max_length=200)] = ""
    password_env: Variable | None = None
    password_file: Path | None = None
    paths: dict[str, str] = Field({}, description="Its folders, and where they are here")
    anywhere: Annotated[bool, Field(strict=True)] = Field(
        False, description="It may be asked although it is not in the local network"
    )


class MediaConfig(_Section):
    rescan_minutes: Annotated[int, Field(strict=True, ge=1, le=10_080)] = Field(
        30, description="How often a library is read again, whatever the watcher said"
    )
    hash_threads: Annotated[int, Field(strict=True, ge=1, le=64)] | None = Field(
        None, description="Threads that hash; by default one for each core, at most four"
    )
    hashes: tuple[Literal["md5", "sha1", "sha256"], ...] = Field(
        (), description="Hashes that are made besides BLAKE3, in the same reading"
    )
    scrub_days: Annotated[int, Field(strict=True, ge=0, le=36_500)] = Field(
        30, description="Every file is read again once in so many days, to find damage; 0: never"
    )
    scrub_mib_s: Annotated[int, Field(strict=True, ge=0, le=1_000_000)] = Field(
        50, description="What the scrub may read in a second, in MiB; 0: no limit"
    )
    keep: tuple[Name, ...] = Field(
        (), description="Libraries whose files are kept where others have the same, the first first"
    )
    clients: tuple[ClientConfig, ...] = Field((), description="Torrent clients that are asked")
    client_minutes: Annotated[int, Field(strict=True, ge=1, le=10_080)] = Field(
        5, description="How often torrent clients are asked"
    )

    @field_validator("clients")
    @classmethod
    def _names_differ(cls, clients: tuple[ClientConfig, ...]) -> tuple[ClientConfig, ...]:
        if len({client.name for client in clients}) < len(clients):
            raise PydanticCustomError("names", "Each client should have a name of its own")
        return clients


class MemoryConfig(_Section):
    """What is remembered, and how it is found."""

    embedding: Annotated[str, Field(min_length=1, max_length=500)] = Field(
        "bundled",
        description="What finds memories by their meaning: bundled, none, a GGUF file, or a model"
        " that makes embeddings, as `arcanum model list` names it",
    )
    index_mib: Mebibytes = Field(
        2048, description="Memory that the index may take, in MiB; what is used least is let go"
    )
    archive_days: Annotated[int, Field(strict=True, ge=0, le=36_500)] = Field(
        30, description="Unused for so many days, what matters little is archived; 0: never"
    )
    most: Annotated[int, Field(strict=True, ge=1_000, le=100_000_000)] = Field(
        1_000_000, description="Beyond so many memories the least useful are archived"
    )
    folder_seconds: Annotated[float, Field(strict=True, ge=1, le=86_400)] = Field(
        15, description="How often the folders that are remembered are looked at"
    )


class RemotesConfig(_Section):
    """How remotes are reached. What they are, and their keys, is rclone's own configuration."""

    rclone: Annotated[str, Field(min_length=1, max_length=4096)] = Field(
        "bundled", description="The rclone that is used: bundled, a path, or a name on the PATH"
    )
    config: Path | None = Field(
        None, description="rclone's configuration; by default where rclone looks for it itself"
    )
    password_command: Annotated[str, Field(min_length=1, max_length=4096)] | None = Field(
        None, description="The command that prints the password of an encrypted configuration"
    )
    bandwidth: Annotated[ByteSize, Field(ge=0, le=2**50)] = Field(
        ByteSize(0), description="Send at most so much a second, such as 4MB; 0: no limit"
    )
    transfers: Annotated[int, Field(strict=True, ge=1, le=64)] = Field(
        4, description="Files that are sent at the same time"
    )
    idle_minutes: Annotated[float, Field(strict=True, gt=0, le=1_440)] = Field(
        5, description="rclone ends when nothing was asked of it for so long"
    )


class ApprovalsConfig(_Section):
    expires_hours: Annotated[float, Field(strict=True, gt=0, le=720)] = Field(
        24, description="How long an approval waits for an answer"
    )


class ScreenConfig(_Section):
    theme: Annotated[str, Field(max_length=40)] = Field(
        "dark",
        description="A theme: dark, light, high-contrast, colour-blind-safe; the last two also end"
        " with -light",
    )
    animations: Literal["none", "basic"] = Field("none", description="Motion on the screen")
    pictures: Literal["auto", "blocks", "off"] = Field(
        "auto",
        description="Small pictures: of pixels where the terminal draws them, of blocks, or none",
    )


class Config(_Section):
    machine: MachineConfig = MachineConfig()
    model: ModelConfig = ModelConfig()
    media: MediaConfig = MediaConfig()
    memory: MemoryConfig = MemoryConfig()
    remotes: RemotesConfig = RemotesConfig()
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
    except (ValueError, RecursionError) as error:
        # Besides TOML's own errors: numbers of 5,000 digits, brackets nested without end.
        raise ConfigInvalid(f"{path}: {visible(str(error))}.", "Correct that line.") from error
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        raise ConfigInvalid(*_explain(path, text, error)) from error
    try:
        return config.model_copy(update={"model": config.model.in_force()})
    except KeyError as error:
        line = _line_of(text, ("model", "profile"))
        known = ", ".join(config.model.profiles) or "none"
        raise ConfigInvalid(
            f"{path}, line {line}: model.profile = {config.model.profile!r}: there is no such"
            " profile.",
            f"Profiles here: {known}. One is a table [model.profiles.NAME].",
        ) from error


def _explain(path: Path, text: str, error: ValidationError) -> tuple[str, str]:
    """The first problem, with its line and what was expected."""
    problem = error.errors(include_url=False, include_input=True)[0]
    place = problem["loc"]
    dotted = visible(".".join(map(str, place)))
    where = f"{path}, line {_line_of(text, place)}: {dotted}"
    if problem["type"] == "extra_forbidden":
        return f"{where}: there is no such key.", f"Known here: {', '.join(_known(place[:-1]))}."
    if problem["type"] == "missing":
        return f"{where} is missing.", "Add it."
    value = visible(repr(problem["input"]))[:80]
    if "://" in value and "@" in value:
        value = "an address with a user"  # And perhaps a password: it is not repeated.
    expected = _EXPECTED.get(problem["type"], problem["msg"])
    return f"{where} = {value}: {expected}.", "Correct the value, or delete the line."


def _known(place: tuple[int | str, ...]) -> list[str]:
    section: Any = Config
    for key in place:
        if key in section.model_fields:  # Else a place in a list, or a name in a table.
            annotation = section.model_fields[key].annotation
            parts = (annotation, *get_args(annotation))
            section = next(part for part in parts if hasattr(part, "model_fields"))
    return list(section.model_fields)


def _line_of(text: str, place: tuple[int | str, ...]) -> int:
    """The line of the longest beginning of ``place`` that stands in the text; from 1."""
    table: tuple[int | str, ...] = ()
    seen: Counter[tuple[int | str, ...]] = Counter()
    best, length = 1, 0
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*(\[\[?)\s*([^\]]+?)\s*\]", line):
            table = full = _parts(header[2])
            if header[1] == "[[":
                table = full = (*table, seen[table])
                seen[table[:-1]] += 1
        elif entry := re.match(r"\s*([\w\"'.\s-]+?)\s*=", line):
            full = table + _parts(entry[1])
        else:
            continue
        if len(full) > length and full == place[: len(full)]:
            best, length = number, len(full)
    return best


def _parts(key: str) -> tuple[int | str, ...]:
    return tuple(part.strip().strip("\"'") for part in key.split("."))
