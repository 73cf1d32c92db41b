"""llama.cpp's protocol for libraries that bring no server of their own. Standard library only.

HTTP on a unix socket, to whoever holds the key. Everything that touches the model happens in one
thread, one request after the other: a library's objects may belong to the thread that made them.
Health, properties and counts are answered beside it. A client that closes its connection ends what
it asked for; between two batches of a prompt at the latest.
"""

from __future__ import annotations

import hmac
import json
import sys
import traceback
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from queue import SimpleQueue
from socket import SHUT_RDWR
from socketserver import ThreadingUnixStreamServer
from threading import Event, Lock, Thread
from typing import Any, ClassVar

from backends.hosted.runner import Ask, Progress, Runner, Token
from backends.hosted.stops import HeldBack

MAX_BODY = 16 * 1024 * 1024
READ_S = 30.0
"""How long a request may take to arrive."""


def serve(task: dict[str, Any], load: Callable[[dict[str, Any]], Runner]) -> object:
    """A running server over the model that ``load`` loads. Raises what ``load`` raises."""
    jobs: SimpleQueue[_Job] = SimpleQueue()
    loaded: Future[Runner] = Future()
    Thread(target=_work, args=(partial(load, task), loaded, jobs), daemon=True).start()
    setting = _Setting(loaded.result(), jobs, task["key"], task["states"])
    server = _Server(task["socket"], _Request)
    server.setting = setting
    Thread(target=server.serve_forever, daemon=True).start()
    return server


# --- the model's thread ---


class _Refused(Exception):
    """An answer that is an error, in llama.cpp's form."""

    def __init__(self, status: int, kind: str, message: str, **more: int) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"code": status, "type": kind, "message": message, **more}}


@dataclass(slots=True)
class _Job:
    """Something that needs the model. ``left``: nobody waits for it any more."""

    run: Callable[[_Job], None]
    left: bool = False
    done: Event = field(default_factory=Event)


def _work(load: Callable[[], Runner], loaded: Future[Runner], jobs: SimpleQueue[_Job]) -> None:
    try:
        loaded.set_result(load())
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        loaded.set_exception(error)
        return
    except BaseException as error:  # noqa: BLE001 - raised again by whoever waits for the result
        # A damaged model may trip a library anywhere.
        loaded.set_exception(RuntimeError(f"{type(error).__name__}: {error}"))
        return
    while True:
        job = jobs.get()
        try:
            if not job.left:
                job.run(job)
        finally:
            job.done.set()


# --- HTTP ---


@dataclass(frozen=True, slots=True)
class _Setting:
    runner: Runner
    jobs: SimpleQueue[_Job]
    key: str
    states: str
    tokenizing: Lock = field(default_factory=Lock)


class _Server(ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = 64
    setting: _Setting
    busy = False
    """Whether the model works on something."""


class _Request(BaseHTTPRequestHandler):
    """One request, one connection."""

    server: _Server
    timeout = READ_S
    routes: ClassVar[dict[tuple[str, str], str]] = {
        ("GET", "/health"): "_health",
        ("GET", "/props"): "_props",
        ("GET", "/slots"): "_slots",
        ("POST", "/v1/chat/completions"): "_chat",
        ("POST", "/v1/chat/completions/input_tokens"): "_count",
        ("POST", "/slots/0"): "_slot",
    }

    def do_GET(self) -> None:
        self._guarded(self._route)

    def do_POST(self) -> None:
        self._guarded(self._route)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Requests are not logged: stderr is read by the parent for what went wrong."""

    def _route(self) -> None:
        path, _, self._query = self.path.partition("?")
        given = self.headers.get("Authorization", "").encode()
        if not hmac.compare_digest(given, f"Bearer {self.server.setting.key}".encode()):
            raise _Refused(401, "authentication_error", "Invalid API Key")
        name = self.routes.get((self.command, path))
        if name is None:
            raise _Refused(404, "not_found_error", "File Not Found")
        getattr(self, name)()

    def _guarded(self, work: Callable[[], None]) -> None:
        """Does it; whatever goes wrong is told to the client, and the server goes on."""
        self._begun = False
        try:
            work()
        except OSError:
            pass  # The client left.
        except _Refused as refused:
            self._tell(refused)
        except ValueError as error:
            self._tell(_Refused(400, "invalid_request_error", str(error)))
        except Exception as error:  # noqa: BLE001 - reported here and to the client
            traceback.print_exc(file=sys.stderr)
            self._tell(_Refused(500, "server_error", f"{type(error).__name__}: {error}"))

    def _tell(self, refused: _Refused) -> None:
        with suppress(OSError):  # The client left.
            if self._begun:
                self._event(refused.body)
            else:
                self._reply(refused.body, refused.status)

    def _reply(self, body: object, status: int = 200) -> None:
        data = json.dumps(body).encode()
        self._head(status, "application/json", len(data))
        self.wfile.write(data)

    def _head(self, status: int, kind: str, length: int | None = None) -> None:
        self._begun = True
        self.send_response_only(status)
        self.send_header("Content-Type", kind)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def _event(self, body: dict[str, Any]) -> None:
        self.wfile.write(b"data: " + json.dumps(body).encode() + b"\n\n")

    def _body(self) -> dict[str, Any]:
        length = int(self.headers.get("Content-Length", "0"))
        if not 0 <= length <= MAX_BODY:
            raise _Refused(413, "invalid_request_error", "the request is too large")
        body = json.loads(self.rfile.read(length))
        if not isinstance(body, dict):
            raise ValueError("the request is not an object")  # noqa: TRY004 - all of them are one
        return body

    def _in_turn(self, work: Callable[[_Job], None]) -> None:
        """Has the model's thread do ``work``; a client that leaves meanwhile ends it."""

        def run(job: _Job) -> None:
            self.server.busy = True
            self._guarded(partial(work, job))
            self.server.busy = False
            with suppress(OSError):  # The client was faster.
                self.connection.shutdown(SHUT_RDWR)  # Wakes the thread that waits below.

        job = _Job(run)
        self.server.setting.jobs.put(job)
        self.connection.settimeout(None)
        with suppress(OSError):
            while self.connection.recv(4096):
                pass  # A client says nothing more: the end of its stream is its leaving.
        job.left = True
        # The socket may only be closed when nobody writes to it any more.
        job.done.wait()

    # --- routes ---

    def _health(self) -> None:
        self._reply({"status": "ok"})

    def _props(self) -> None:
        context = self.server.setting.runner.context
        self._reply({"default_generation_settings": {"n_ctx": context}, "total_slots": 1})

    def _slots(self) -> None:
        self._reply([{"id": 0, "is_processing": self.server.busy}])

    def _count(self) -> None:
        self._reply({"input_tokens": len(self._prompt(self._body()))})

    def _slot(self) -> None:
        runner, states = self.server.setting.runner, self.server.setting.states
        action = self._query.removeprefix("action=")
        if action == "erase":
            self._in_turn(lambda _: self._reply({"id_slot": 0, "n_erased": runner.erase()}))
            return
        name = str(self._body().get("filename", ""))
        if not states:
            raise _Refused(501, "not_supported_error", "there is no folder for states")
        if name in {"", ".", ".."} or "/" in name or "\0" in name:
            raise ValueError("filename is not a plain name")
        path = Path(states, name)
        if action == "save":
            self._in_turn(lambda _: self._reply({"id_slot": 0, "n_saved": _saved(runner, path)}))
        elif action == "restore":
            self._in_turn(lambda _: self._reply({"id_slot": 0, "n_restored": runner.restore(path)}))
        else:
            raise ValueError("action is none of save, restore, erase")

    def _chat(self) -> None:
        body = self._body()
        if body.get("stream") is not True:
            raise ValueError("only streams are served: stream must be true")
        prompt = self._prompt(body)
        context = self.server.setting.runner.context
        if len(prompt) >= context:
            raise _Refused(
                400,
                "exceed_context_size_error",
                f"request ({len(prompt)} tokens) exceeds the available context size "
                f"({context} tokens), try increasing it",
                n_prompt_tokens=len(prompt),
                n_ctx=context,
            )
        room = context - len(prompt)
        wanted = int(body.get("max_tokens") or -1)
        wants = body.get("response_format") or {}
        ask = Ask(
            prompt,
            min(room, wanted) if wanted > 0 else room,
            float(body.get("temperature", 0.0)),
            wants["json_schema"]["schema"] if wants.get("type") == "json_schema" else None,
            int(body.get("top_logprobs", 0)) if body.get("logprobs") else None,
        )
        stops = [str(each) for each in body.get("stop") or ()]
        progress = bool(body.get("return_progress"))
        self._in_turn(partial(self._answer, ask, stops, progress))

    def _prompt(self, body: dict[str, Any]) -> list[int]:
        found = body.get("messages")
        if not isinstance(found, list) or not found:
            raise ValueError("messages must be a list that is not empty")
        messages = []
        for each in found:
            if not isinstance(each, dict) or not isinstance(each.get("content"), str):
                raise ValueError("a message has a role and a content")  # noqa: TRY004
            # A lone surrogate is no text: no tokenizer takes it.
            text = each["content"].encode("utf-8", "replace").decode()
            messages.append({"role": str(each.get("role")), "content": text})
        with self.server.setting.tokenizing:
            return self.server.setting.runner.prompt(messages)

    # --- an answer ---

    def _answer(self, ask: Ask, stops: list[str], progress: bool, job: _Job) -> None:
        """Writes the events of an answer. What it looks like is llama.cpp's."""
        held = HeldBack(stops)
        tokens = cached = 0
        with closing(self.server.setting.runner.generate(ask)) as steps:
            for step in steps:
                if job.left:
                    return
                if not self._begun:
                    self._head(200, "text/event-stream")
                if isinstance(step, Progress):
                    cached = step.cached
                    if progress:
                        self._progress(len(ask.prompt), step)
                    continue
                tokens += step.counts
                self._text(held.add(step), ask)
                if held.stopped:
                    break
        if not held.stopped:
            self._text(held.rest(), ask)
        ended = held.stopped or tokens < ask.max_tokens
        self._event(_chunk({}, finish="stop" if ended else "length"))
        usage = {
            "prompt_tokens": len(ask.prompt),
            "completion_tokens": tokens,
            "total_tokens": len(ask.prompt) + tokens,
            "prompt_tokens_details": {"cached_tokens": cached},
        }
        self._event({"object": _OBJECT, "choices": [], "usage": usage})
        self.wfile.write(b"data: [DONE]\n\n")

    def _progress(self, total: int, step: Progress) -> None:
        told = {"total": total, "cache": step.cached, "processed": step.read}
        self._event(_chunk({"role": "assistant", "content": None}) | {"prompt_progress": told})

    def _text(self, tokens: list[Token], ask: Ask) -> None:
        text = "".join(token.text for token in tokens)
        logprobs = None
        if ask.alternatives is not None:
            told = [_logprob(token) for token in tokens if token.counts]
            logprobs = {"content": told} if told else None
        if text or logprobs:
            self._event(_chunk({"content": text}, logprobs=logprobs))


def _saved(runner: Runner, path: Path) -> int:
    try:
        return runner.save(path)
    except OSError as error:  # Not the client's: it waits to be told.
        raise _Refused(500, "server_error", str(error)) from error


_OBJECT = "chat.completion.chunk"


def _chunk(
    delta: dict[str, Any], finish: str | None = None, logprobs: dict[str, Any] | None = None
) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    if logprobs:
        choice["logprobs"] = logprobs
    return {"object": _OBJECT, "choices": [choice]}


def _logprob(token: Token) -> dict[str, Any]:
    others = [{"token": text, "logprob": logprob} for text, logprob in token.alternatives]
    return {"token": token.text, "logprob": token.logprob, "top_logprobs": others}
