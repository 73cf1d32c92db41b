"""What servers say of themselves and of a model. Each kind does it in its own way.

llama-server, Ollama, vLLM, LM Studio and mlx_lm.server are told apart by who they say owns their
models. What any other says of a model's context is taken from where most say it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from backends.wire import field, objects, whole_number
from engine.contract.backend import Feature
from engine.contract.base import visible
from engine.contract.errors import Unavailable

if TYPE_CHECKING:
    from backends.chat import ChatServer

EVERYTHING = frozenset({Feature.SCHEMA, Feature.LOGPROBS, Feature.EMBEDDINGS})
SEVERAL = 4
"""Answers at a time, of a server that does not tell how many it can give."""

_CONTEXTS = (
    "max_model_len",
    "loaded_context_length",
    "context_length",
    "context_window",
    "max_context_length",
)
# What they give a model to which nobody gave a context.
_OLLAMA_CONTEXT = 2048
_LM_STUDIO_CONTEXT = 4096
_OLLAMA_LOGPROBS = (0, 12, 11)


@dataclass(frozen=True, slots=True)
class Served:
    """A model as its server describes it. ``context`` in tokens, 0 where unknown.

    ``cuts``: a prompt over the context is cut, or answered with nothing, without a word.
    ``settled`` is False where the server will know better once it has loaded the model.
    ``progress``: where it is asked to, it tells how far it has read a prompt, and so notices who
    leaves.
    """

    model: str
    library: str = ""
    context: int = 0
    parallel: int = SEVERAL
    features: frozenset[Feature] = EVERYTHING
    cuts: bool = False
    settled: bool = True
    progress: bool = False


async def describe(server: ChatServer, name: str, model: str, environ: Mapping[str, str]) -> Served:
    """Asks the server about ``model``, or about the first that it lists where that is "".

    Loads it where that is the only way to know its context. ``name`` is how errors call the
    server. Raises Unavailable, and what ``server`` raises.
    """
    listed = await server.offered("GET", f"{server.address.api}/models")
    models = [each for each in objects(listed, "data") if isinstance(each.get("id"), str)]
    owners = {each.get("owned_by") for each in models}
    if "organization_owner" in owners and (told := await _lm_studio(server, model)) is not None:
        return told
    if not model:
        if not models:
            raise Unavailable(f"{name} lists no models", "Name one as model in config.toml.")
        model = models[0]["id"]
    mine = next((each for each in models if each["id"] == model), {})
    if "llamacpp" in owners:
        return await _llama_server(server, model)
    if "library" in owners:
        return await ollama(server, model, environ, local=server.address.local)
    context = next((mine[key] for key in _CONTEXTS if whole_number(mine.get(key))), 0)
    if "vllm" in owners:
        version = await server.offered("GET", f"{server.address.root}/version")
        return Served(model, _called("vLLM", field(version, "version")), context)
    if models and owners == {None}:
        # It takes a schema and log-probabilities, and ignores both where it streams.
        return Served(model, "mlx_lm.server", context, features=frozenset())
    return Served(model, context=context)


async def _llama_server(server: ChatServer, model: str) -> Served:
    props = await server.offered("GET", f"{server.address.root}/props")
    return Served(
        model,
        _called("llama.cpp", field(props, "build_info")),
        whole_number(field(field(props, "default_generation_settings"), "n_ctx")) or 0,
        whole_number(field(props, "total_slots")) or 1,
        progress=True,
    )


async def _lm_studio(server: ChatServer, model: str) -> Served | None:
    """By its own API; None where it has none, or not this model.

    It answers a prompt that is too long with nothing, or with nonsense, and knows no
    log-probabilities.
    """
    listed = await server.offered("GET", f"{server.address.root}/api/v0/models")
    models = [each for each in objects(listed, "data") if isinstance(each.get("id"), str)]
    talkers = [each for each in models if each.get("type") != "embeddings"]
    loaded = [each for each in talkers if each.get("state") == "loaded"]
    wanted = [each for each in models if each["id"] == model] if model else [*loaded, *talkers]
    if not wanted:
        return None
    mine = wanted[0]
    known = whole_number(mine.get("loaded_context_length"))
    most = whole_number(mine.get("max_context_length")) or _LM_STUDIO_CONTEXT
    embeds = mine.get("type") == "embeddings"
    return Served(
        mine["id"],
        "LM Studio",
        known or min(_LM_STUDIO_CONTEXT, most),
        parallel=1,
        features=frozenset({Feature.EMBEDDINGS if embeds else Feature.SCHEMA}),
        cuts=True,
        settled=bool(known),
    )


def is_ollama_cloud(model: str) -> bool:
    """Whether Ollama runs a model of this name on somebody else's machines."""
    return model.endswith(("-cloud", ":cloud"))


async def ollama(
    server: ChatServer, model: str, environ: Mapping[str, str], *, local: bool
) -> Served:
    """Ollama cuts the beginning off a prompt over its context without a word.

    So the model is loaded, for only then is its context known. It answers one at a time unless it
    was told otherwise, and who waits there waits behind anybody. Raises Unavailable where the
    model is taken for ``local`` and is not.
    """
    root = server.address.root
    shown = await server.fetch("POST", f"{root}/api/show", {"model": model})
    elsewhere = field(shown, "remote_host") or ("its cloud" if is_ollama_cloud(model) else "")
    if elsewhere and local:
        raise Unavailable(
            f"{visible(model)} does not run on this machine: Ollama would send each prompt to "
            f"{visible(str(elsewhere))[:200]}",
            "Use another model: arcanum model list",
        )
    version = field(await server.offered("GET", f"{root}/api/version"), "version")
    library, features = _called("Ollama", version), {Feature.SCHEMA}
    if _numbers(version) >= _OLLAMA_LOGPROBS:
        features.add(Feature.LOGPROBS)
    able = field(shown, "capabilities")
    if not isinstance(able, list) or "embedding" in able:
        features.add(Feature.EMBEDDINGS)
    if elsewhere:
        return Served(model, library, features=frozenset(features))
    await server.fetch("POST", f"{root}/api/generate", {"model": model, "stream": False})
    running = objects(await server.fetch("GET", f"{root}/api/ps"), "models")
    mine = next((each for each in running if model in {each.get("name"), each.get("model")}), {})
    told = environ.get("OLLAMA_NUM_PARALLEL", "")
    return Served(
        model,
        library,
        # Versions that do not tell it have this one unless somebody changed it.
        whole_number(mine.get("context_length")) or _OLLAMA_CONTEXT,
        min(max(int(told), 1), 64) if re.fullmatch(r"[0-9]{1,3}", told) else 1,
        frozenset(features),
        cuts=True,
    )


def _called(name: str, version: Any) -> str:
    plain = version if isinstance(version, str) else ""
    return f"{name} {visible(plain)[:40]}".strip()


def _numbers(version: Any) -> tuple[int, ...]:
    """A version as numbers, to be compared; empty where it is none."""
    found = re.match(r"[0-9]{1,4}(\.[0-9]{1,4}){0,3}", version if isinstance(version, str) else "")
    return tuple(int(each) for each in found[0].split(".")) if found else ()
