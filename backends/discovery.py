"""Model servers that already run on this machine: using one beats loading a second copy."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import Any

from backends.address import Address
from backends.connect import Trouble, connect
from engine.contract.backend import ModelChoice
from engine.contract.base import visible
from engine.contract.errors import Failed, Invalid, Unavailable

LLAMA_SERVER = "http://127.0.0.1:8080"
MAX_MODELS = 200
MAX_NAME = 200
# Families that embed and cannot answer.
_EMBEDDING = {"bert", "nomic-bert"}


def ollama_url(environ: Mapping[str, str] = os.environ) -> str | None:
    """Where Ollama is on this machine; None where OLLAMA_HOST points to another."""
    host = environ.get("OLLAMA_HOST", "").strip().rstrip("/")
    scheme, separator, rest = host.partition("://")
    if not separator:
        scheme, rest = "http", host
    name, colon, port = rest.rpartition(":") if not rest.endswith("]") else (rest, "", "")
    if not colon:
        name, port = rest, "11434"
    # Servers are told to listen on every interface by these; a client then means this machine.
    if name in {"", "0.0.0.0", "[::]"}:  # noqa: S104 - nothing is bound here
        name = "127.0.0.1"
    try:
        address = Address.parse(f"{scheme}://{name}:{port}")
    except Invalid:
        return None
    return address.root if address.local else None


async def discover(
    environ: Mapping[str, str] = os.environ,
    llama_server: str = LLAMA_SERVER,
    timeout_s: float = 1.0,
) -> tuple[ModelChoice, ...]:
    """Every model of the servers that answer within ``timeout_s``."""
    ollama = ollama_url(environ)
    looks = [_ask(llama_server, "/v1/models", timeout_s)]
    if ollama is not None:
        looks.append(_ask(ollama, "/api/tags", timeout_s))
    replies = await asyncio.gather(*looks)
    found = _of_llama_server(replies[0], llama_server)
    if ollama is not None:
        found += _of_ollama(replies[1], ollama)
    return tuple(found)


async def _ask(url: str, path: str, timeout_s: float) -> Any:
    """The parsed reply, or None: nobody there is the usual case, and no error."""

    async def explain(trouble: Trouble, detail: str) -> Failed:
        return Unavailable(f"{url}: {trouble.value} {detail}")

    server = await connect(url, Address.parse(url), explain)
    try:
        async with asyncio.timeout(timeout_s):
            return await server.fetch("GET", url + path)
    except (Failed, TimeoutError):
        return None
    finally:
        await server.close()


def _of_ollama(reply: Any, url: str) -> list[ModelChoice]:
    choices = []
    for model in _entries(reply, "models"):
        details = model.get("details")
        details = details if isinstance(details, dict) else {}
        if model.get("remote_host") or details.get("family") in _EMBEDDING:
            continue
        if name := _name(model.get("name")):
            about = [details.get("parameter_size"), details.get("quantization_level")]
            shown = ", ".join(
                visible(each)[:20] for each in about if isinstance(each, str) and each
            )
            text = f"{name} in the Ollama that runs here" + (f" ({shown})" if shown else "")
            size = _size(model.get("size"))
            choices.append(ModelChoice(f"ollama:{name}", "ollama", text, url, size))
    return choices


def _of_llama_server(reply: Any, url: str) -> list[ModelChoice]:
    choices = []
    for model in _entries(reply, "data"):
        # Many programs listen on this port.
        if model.get("owned_by") == "llamacpp" and (name := _name(model.get("id"))):
            meta = model.get("meta")
            size = _size(meta.get("size")) if isinstance(meta, dict) else 0
            text = f"{name.rsplit('/', 1)[-1]} in the llama-server that runs here"
            choices.append(ModelChoice(f"llama-server:{name}", "openai_http", text, url, size))
    return choices


def _entries(reply: Any, key: str) -> list[dict[str, Any]]:
    found = reply.get(key) if isinstance(reply, dict) else None
    entries = found[:MAX_MODELS] if isinstance(found, list) else []
    return [each for each in entries if isinstance(each, dict)]


def _name(value: Any) -> str:
    """A model's name that can be typed and shown as it is; empty for any other."""
    plain = isinstance(value, str) and len(value) <= MAX_NAME and value == visible(value).strip()
    return value if plain else ""


def _size(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0
