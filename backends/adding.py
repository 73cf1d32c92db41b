"""What a person wants to add, looked at: a GGUF file, a folder with an MLX model, a server."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Collection, Mapping
from itertools import islice
from pathlib import Path

from backends.address import Address
from backends.connect import Trouble, connect
from backends.llama_cpp.gguf import read_gguf
from backends.mlx.folder import read_mlx
from backends.wire import field, objects, whole
from engine.contract.backend import AddedModel
from engine.contract.base import visible
from engine.contract.errors import Failed, Invalid, NotFound, Unavailable

_MAX_NAME = 64
_MAX_LISTED = 10
_MAX_MODELS = 200
_MAX_MODEL = 200
_WITHIN_S = 15.0
_MAX_ENTRIES = 10_000
_GGUF_PARTS = re.compile(r"-(\d{5})-of-\d{5}$")
_FORMS = "Expected a .gguf file, a folder with an MLX model, or http://host:port of a server."


async def examine(
    source: str,
    name: str,
    model: str,
    key_env: str,
    *,
    taken: Collection[str],
    environ: Mapping[str, str],
) -> AddedModel:
    """``name`` "" is made from the source, other than those ``taken``. Raises Invalid, NotFound,
    ModelFailed, and Unavailable for a server that does not answer."""
    if source.startswith(("http://", "https://", "unix:")):
        found, suggested = await _server(source, model, key_env, environ)
    elif "://" in source or source.startswith("hf:"):
        hint = "From a hub: arcanum model add hf:owner/repository. " + _FORMS
        raise Invalid(f"{visible(source)[:200]!r} cannot be added", hint)
    elif model or key_env:
        raise Invalid("Only a server has several models, or a key", _FORMS)
    else:
        found, suggested = await asyncio.to_thread(_on_disk, source)
    return AddedModel(
        name or _free(suggested, taken), found.kind, found.place, found.model, found.key_env
    )


def _free(suggested: str, taken: Collection[str]) -> str:
    """A name that can be typed, and is nobody's yet."""
    base = re.sub(r"[^\w.+-]+", "-", suggested).strip("-._")[: _MAX_NAME - 4] or "model"
    names = (base if number == 1 else f"{base}-{number}" for number in range(1, len(taken) + 2))
    return next(each for each in names if each not in taken)


# --- servers ------------------------------------------------------------------------------------


async def _server(
    url: str, model: str, key_env: str, environ: Mapping[str, str]
) -> tuple[AddedModel, str]:
    """Asks the server which models it has; one of them must be meant."""
    address = Address.parse(url)
    key = environ.get(key_env, "").strip() if key_env else ""
    if key_env and not (key and key.isascii() and key.isprintable()):
        raise Invalid(
            f"The environment variable {key_env} holds no key where the engine runs",
            f"Set it there and start the engine again: export {key_env}=…",
        )
    names = await _models(address, key)
    listed = ", ".join(names[:_MAX_LISTED]) + (" …" if len(names) > _MAX_LISTED else "")
    if not model and len(names) == 1:
        model = names[0]
    if not model:
        what = f"has several models: {listed}" if names else "tells of no models"
        raise Invalid(f"{address.label} {what}", "Name one: --model NAME")
    if names and model not in names:
        raise Invalid(f"{address.label} has no model {visible(model)!r}. It has: {listed}")
    return AddedModel("", "endpoint", url, model, key_env), model.rsplit("/", 1)[-1]


async def _models(address: Address, key: str) -> list[str]:
    """The names of the server's models, as they can be shown. Raises Unavailable."""
    label = address.label

    async def explain(trouble: Trouble, detail: str) -> Failed:
        if trouble is Trouble.FOREIGN:
            what = f"{label} does not speak HTTP: {detail}"
            return Unavailable(what, "Check its address and port.")
        return Unavailable(f"{label} does not answer: {detail}", "Start that server, then add it.")

    server = await connect(label, address, explain, key=key, silence_s=_WITHIN_S)
    try:
        async with asyncio.timeout(_WITHIN_S):
            listed = await server.offered("GET", f"{address.api}/models")
    except TimeoutError as error:
        late = f"{label} did not answer within {_WITHIN_S:g} s"
        raise Unavailable(late, "Try again.") from error
    finally:
        await server.close()
    if listed is None:
        raise Unavailable(
            f"{label} is no OpenAI-compatible server: it lists no models under {address.api}",
            "Give the address of its API, such as http://host:port/v1.",
        )
    names = (field(each, "id") for each in objects(listed, "data")[:_MAX_MODELS])
    return [
        visible(each) for each in names if isinstance(each, str) and 0 < len(each) <= _MAX_MODEL
    ]


# --- files and folders --------------------------------------------------------------------------


def _on_disk(source: str) -> tuple[AddedModel, str]:
    shown = visible(source)[:200]
    if source != whole(source):
        raise Invalid(f"The name {shown} is not UTF-8", "Rename it, or link to it by another name.")
    try:
        path = Path(source).expanduser()
        if not path.is_absolute():
            raise Invalid(f"{shown} is not a whole path", "Give it from the root: /…, or ~/…")
        path = Path(os.path.normpath(path))
        if not path.exists():
            raise NotFound(f"There is no {shown} on this machine", _FORMS)
        if path.is_dir():
            return _in_folder(path, shown)
    except (OSError, ValueError, RuntimeError) as error:  # No such name can be; no home is known.
        reason = error.strerror if isinstance(error, OSError) else "that is no name of a file"
        raise Invalid(f"{shown} cannot be looked at: {reason}", _FORMS) from error
    return _gguf(path)


def _in_folder(path: Path, shown: str) -> tuple[AddedModel, str]:
    if (path / "config.json").is_file():
        read_mlx(path)
        return AddedModel("", "mlx", os.fspath(path)), path.name
    with os.scandir(path) as entries:
        names = sorted(entry.name for entry in islice(entries, _MAX_ENTRIES))
    files = [each for each in names if each.endswith(".gguf") and _is_first(each)]
    if len(files) == 1:
        return _gguf(path / files[0])
    if files:
        listed = ", ".join(visible(each) for each in files[:_MAX_LISTED])
        raise Invalid(
            f"The folder {shown} holds {len(files)} models: {listed}", "Name one of them."
        )
    raise Invalid(f"The folder {shown} holds no model: no config.json, and no .gguf file", _FORMS)


def _is_first(name: str) -> bool:
    """Not a later part of a model in parts, nor the eyes or ears of another model."""
    part = _GGUF_PARTS.search(name.removesuffix(".gguf"))
    return (part is None or int(part[1]) == 1) and not name.startswith("mmproj")


def _gguf(path: Path) -> tuple[AddedModel, str]:
    read_gguf(path)
    return AddedModel("", "gguf", os.fspath(path)), _GGUF_PARTS.sub("", path.stem)
