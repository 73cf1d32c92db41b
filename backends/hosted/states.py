"""States of models on disk: what one has read, so that it need not be read again after a restart.

A state is a file that the model's process has written, and a record beside it that tells its size
and digest: ``<conversation>-<key>.json``. A state counts once its record does, which is put in
place whole, and only as long as it is what the record says. States hold what was talked about: the
folder and its files are for their owner alone. Everything here blocks.
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import shutil
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from blake3 import blake3

from backends.hosted.fingerprint import digest_of, fingerprint, identity
from backends.hosted.folder import is_running
from engine.contract.backend import Message

DEFAULT_BYTES = 1024**3
MIN_FREE = 1024**3
_FORMAT = 1
_MODELS = "models.json"
_MAX_MODELS = 64
_MAX_RECORD = 64 * 1024
_FILE = re.compile(r"[0-9a-f]{32}-[0-9a-f]{32}-(\d+)-[0-9a-f]{16}\.kv")
_NEW = re.compile(r".+\.(\d+)\.new")


def session_name(session: str) -> str:
    """What the state of a conversation goes by; "" of none."""
    return _short(f"session {session}") if session else ""


def prefix_name(messages: Sequence[Message]) -> str:
    """What the state of a beginning of prompts goes by."""
    return _short("prefix " + json.dumps([(each.role, each.content) for each in messages]))


def _short(text: str) -> str:
    return blake3(text.encode("utf-8", "surrogatepass")).hexdigest(length=16)


@dataclass(frozen=True, slots=True)
class State:
    """A state on disk: the name of its file in the folder, and how many tokens it holds."""

    file: str
    size: int
    blake3: str
    tokens: int


class StateStore:
    """The states of all models in ``folder``: at most ``max_bytes``, the least used leave first.

    Names are those of ``session_name`` and ``prefix_name``; a key is from ``key``. Safe to use from
    several threads, and beside other processes. Raises OSError where a disk refuses; what cannot be
    used is removed and is None.
    """

    def __init__(self, folder: Path, max_bytes: int = DEFAULT_BYTES) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self._lock = threading.Lock()
        self._forgotten: Counter[str] = Counter()

    def prepare(self) -> None:
        """Makes the folder private, and removes what processes that were killed left in it."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        with self._lock:
            used = {state.file for _, state in self._records()}
            for path in self.folder.iterdir():
                match = _FILE.fullmatch(path.name) or _NEW.fullmatch(path.name)
                if match and path.name not in used and not is_running(int(match[1])):
                    path.unlink(missing_ok=True)

    # --- what a state is of ---

    def known(self, identified: str) -> str | None:
        """The digest of the model of this ``identity``, if it was computed before."""
        return self._models().get(identified)

    def learn(self, identified: str, model: Path) -> str | None:
        """Computes that digest and remembers it; None if it is another model by now."""
        digest = fingerprint(model)
        if identity(model) != identified:
            return None
        with self._lock:
            models = {**self._models(), identified: digest}
            self._write(self.folder / _MODELS, dict(list(models.items())[-_MAX_MODELS:]))
        return digest

    @staticmethod
    def key(*parts: object) -> str:
        """The key of a model, a library and the parameters that a state depends on."""
        return _short(json.dumps([_FORMAT, *parts]))

    # --- states ---

    def name_file(self, name: str, key: str) -> str:
        """A new file in the folder, for the model's process to write a state to.

        A state is not worth the room that anything else may lack. Raises OSError where there is
        little left.
        """
        if shutil.disk_usage(self.folder).free < MIN_FREE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fspath(self.folder))
        return f"{name}-{key}-{os.getpid()}-{secrets.token_hex(8)}.kv"

    def size_of(self, file: str) -> int:
        """Bytes of a file that was written."""
        return (self.folder / file).stat().st_size

    def keep(self, file: str, name: str, key: str, tokens: int, forgotten: int = 0) -> int:
        """Makes the file that was written the state of ``name``, and bounds the whole.

        ``forgotten``: how often that was forgotten when what is in the file was asked; where it
        was once more since, the file is removed. Returns its size in bytes.
        """
        path = self.folder / file
        try:
            path.chmod(0o600)
            size, digest = digest_of(path)
            _sync(path)
            with self._lock:
                if self._forgotten[name] != forgotten:
                    path.unlink()
                    return size
                record = self._record(name, key)
                last = self._read(record)
                self._write(record, asdict(State(file, size, digest, tokens)))
                if last is not None:
                    self._remove(last.file)
                self._bound()
        except BaseException:
            self._remove(file)
            raise
        return size

    def discard(self, file: str) -> None:
        """Removes a file that is not to be a state."""
        with suppress(OSError):  # Where there is no folder any more, there is no file.
            self._remove(file)

    def find(self, name: str, key: str) -> State | None:
        """The state, if there is one and it is whole."""
        record = self._record(name, key)
        state = self._read(record)
        if state is None:
            return None
        with suppress(OSError):
            if digest_of(self.folder / state.file) == (state.size, state.blake3):
                os.utime(record)
                return state
        self.drop(name, key)
        return None

    def drop(self, name: str, key: str) -> None:
        """Removes a state."""
        with self._lock:
            self._drop(self._record(name, key))

    def forget(self, session: str) -> None:
        """Removes every state of a conversation; none of what was asked so far is kept any more."""
        name = session_name(session)
        with self._lock:
            self._forgotten[name] += 1
            for path in self.folder.glob(f"{name}-*"):
                path.unlink(missing_ok=True)

    def times_forgotten(self, name: str) -> int:
        """How often it was forgotten since this process began."""
        return self._forgotten[name]

    # --- below ---

    def _record(self, name: str, key: str) -> Path:
        return self.folder / f"{name}-{key}.json"

    def _records(self) -> Iterator[tuple[Path, State]]:
        for path in list(self.folder.glob("*-*.json")):
            if (state := self._read(path)) is not None:
                yield path, state

    def _read(self, record: Path) -> State | None:
        try:
            found = _load(record)
            state = State(
                str(found["file"]), int(found["size"]), str(found["blake3"]), int(found["tokens"])
            )
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        # A record names a file of its own, and no other.
        stem = record.name.removesuffix(".json")
        own = _FILE.fullmatch(state.file) and state.file.startswith(f"{stem}-")
        return state if own else None

    def _write(self, path: Path, content: dict[str, Any]) -> None:
        new = path.with_name(f"{path.name}.{os.getpid()}.new")
        try:
            with new.open("w", encoding="ascii") as file:
                os.fchmod(file.fileno(), 0o600)
                json.dump(content, file)
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
        except BaseException:
            new.unlink(missing_ok=True)
            raise

    def _drop(self, record: Path) -> None:
        state = self._read(record)
        record.unlink(missing_ok=True)
        if state is not None:
            self._remove(state.file)

    def _remove(self, file: str) -> None:
        (self.folder / file).unlink(missing_ok=True)

    def _bound(self) -> None:
        """Removes the least used states until the rest fits."""
        found = [(path.stat().st_mtime_ns, path, state) for path, state in self._records()]
        total = sum(state.size for _, _, state in found)
        for _, path, state in sorted(found, key=lambda each: each[0]):
            if total <= self.max_bytes:
                return
            self._drop(path)
            total -= state.size

    def _models(self) -> dict[str, str]:
        try:
            found = _load(self.folder / _MODELS)
        except (OSError, ValueError, RecursionError):
            return {}
        return {key: value for key, value in found.items() if isinstance(value, str)}


def _load(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        found = json.loads(file.read(_MAX_RECORD))
    return found if isinstance(found, dict) else {}


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
