"""What a repository on a hub holds, and which of its files are the model that is meant."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backends.shape import amount
from engine.contract.backend import Download
from engine.contract.base import visible
from engine.contract.errors import Invalid, NotFound

MOST_FILES = 2_000
_MOST_SHOWN = 30
_LARGEST = 1 << 42
_PART = re.compile(r"-(\d{5})-of-(\d{5})(?=\.gguf$)", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_BESIDE = (".json", ".jinja", ".model", ".tiktoken", ".txt")
"""What stands beside the weights of an MLX model: configuration, tokenizer and chat template."""


@dataclass(frozen=True, slots=True)
class Source:
    """``hf:owner/repository``, with ``/file`` or ``:pick`` (``Q4_K_M``) after it."""

    repository: str
    file: str = ""
    pick: str = ""

    @classmethod
    def parse(cls, text: str) -> Source:
        """Raises Invalid."""
        owner, _, rest = text.removeprefix("hf:").strip("/").partition("/")
        name, slash, file = rest.partition("/")
        pick = ""
        if not slash:
            name, _, pick = name.partition(":")
        if not (_NAME.fullmatch(owner) and _NAME.fullmatch(name)) or (file and not is_safe(file)):
            raise Invalid(
                f"{visible(text)[:200]!r} names no repository of a hub.",
                "Expected hf:owner/repository, hf:owner/repository:Q4_K_M "
                "or hf:owner/repository/file.gguf",
            )
        return cls(f"{owner}/{name}", file, pick)


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a repository. ``digest``: SHA-256 in hex, "" where none is told."""

    name: str
    size: int
    digest: str


def is_safe(name: str) -> bool:
    """Whether this can be a file below a folder of ours: no way out, nothing that deceives."""
    parts = name.split("/")
    return (
        name == visible(name)
        and len(name) <= 500
        and "\\" not in name
        and all(part and part[0] not in ".~" and len(part.encode()) <= 200 for part in parts)
    )


def entries(listed: Sequence[Any]) -> list[Entry]:
    """The files of a listing; what has no usable name or size is none."""
    found = []
    for each in listed:
        if not isinstance(each, Mapping) or each.get("type") != "file":
            continue
        name, size, lfs = each.get("path"), _size(each.get("size")), each.get("lfs")
        told = lfs.get("oid") if isinstance(lfs, Mapping) else ""
        digest = told if isinstance(told, str) and _DIGEST.fullmatch(told) else ""
        if isinstance(name, str) and is_safe(name) and size is not None:
            found.append(Entry(name, size, digest))
    return found


def _size(told: Any) -> int | None:
    return told if type(told) is int and 0 <= told <= _LARGEST else None


def choose(source: Source, revision: str, files: Sequence[Entry]) -> Download:
    """The files that are meant. Raises NotFound, or Invalid naming those to pick from."""
    models = _gguf_models(files)
    if source.file:
        parts = models.get(_whole(source.file))
        if parts is None:
            raise NotFound(
                f"{source.repository} holds no GGUF file {visible(source.file)}.", _offer(models)
            )
        return _download(source, revision, parts)
    if source.pick:
        models = {n: p for n, p in models.items() if _is_pick(source.pick, n)}
        if not models:
            raise NotFound(
                f"{source.repository} holds no file for {visible(source.pick)[:50]}.",
                _offer(_gguf_models(files)),
            )
    if len(models) == 1:
        return _download(source, revision, next(iter(models.values())))
    if models:
        raise Invalid(f"{source.repository} holds {len(models)} models: pick one.", _offer(models))
    if folder := _mlx_folder(files):
        return _download(source, revision, folder, "mlx")
    raise Invalid(
        f"{source.repository} holds no model that can be run here.",
        "Needed: a GGUF file, or config.json and safetensors (MLX).",
    )


def _download(
    source: Source, revision: str, files: Sequence[Entry], kind: str = "gguf"
) -> Download:
    return Download(
        repository=source.repository,
        revision=revision,
        names=tuple(each.name for each in files),
        sizes=tuple(each.size for each in files),
        digests=tuple(each.digest for each in files),
        kind=kind,
    )


def _gguf_models(files: Sequence[Entry]) -> dict[str, list[Entry]]:
    """Each model with its parts, by the name without the part's number. Projectors are none."""
    found: dict[str, list[Entry]] = {}
    for each in sorted(files, key=lambda entry: entry.name):
        if each.name.lower().endswith(".gguf") and "mmproj" not in each.name.lower():
            found.setdefault(_whole(each.name), []).append(each)
    return {name: parts for name, parts in found.items() if _complete(parts)}


def _complete(parts: Sequence[Entry]) -> bool:
    told = _PART.search(parts[0].name)
    return len(parts) == (int(told[2]) if told else 1)


def _whole(name: str) -> str:
    return _PART.sub("", name)


def _is_pick(pick: str, name: str) -> bool:
    return (
        re.search(rf"(?<![a-z0-9]){re.escape(pick.lower())}(?![a-z0-9_])", name.lower()) is not None
    )


def _mlx_folder(files: Sequence[Entry]) -> list[Entry]:
    top = [each for each in files if "/" not in each.name]
    weights = [each for each in top if each.name.endswith(".safetensors")]
    if not weights or not any(each.name == "config.json" for each in top):
        return []
    return weights + [each for each in top if each.name.lower().endswith(_BESIDE)]


def _offer(models: Mapping[str, Sequence[Entry]]) -> str:
    if not models:
        return "It holds no GGUF file at all."
    sized = sorted((sum(each.size for each in parts), name) for name, parts in models.items())
    shown = ", ".join(f"{name} ({amount(size)})" for size, name in sized[:_MOST_SHOWN])
    more = f", and {len(sized) - _MOST_SHOWN} more" if len(sized) > _MOST_SHOWN else ""
    return f"It holds: {shown}{more}."
