"""The worker process: ``python -m engine.media.worker``. It walks and hashes; the engine decides.

Standard library and blake3 only. Commands come as frames on stdin, answers go to stdout. It ends
when stdin closes or its parent dies, and it may be killed at any time: it writes nothing.
"""

from __future__ import annotations

import os
import sqlite3
import sys

from engine.media.integrity.comparing import Compare
from engine.media.integrity.rereading import GivenUpError, Reread
from engine.media.link import Link
from engine.media.look import Look
from engine.media.pending import Pending
from engine.media.root import RootLostError, open_root, root_of
from engine.worker.child import be_quiet
from engine.worker.frames import Frame, to_bytes, to_text


def _probe(command: Frame) -> Frame:
    """What is at a path: its absolute form without links, and whether it can be listed."""
    path = os.path.realpath(to_bytes(command["path"]))
    fd, identity, device = open_root(path)
    try:
        with os.scandir(fd) as entries:
            next(entries, None)
        return {"k": "done", "path": to_text(path), "root": root_of(fd, identity, device)}
    finally:
        os.close(fd)


def _answer(command: Frame, link: Link) -> Frame:
    try:
        match command["do"]:
            case "look":
                return Look(command, link).run()
            case "hash":
                return Pending(command, link).run()
            case "reread":
                return Reread(command, link).run()
            case "compare":
                return Compare(command, link).run()
            case "probe":
                return _probe(command)
            case "duplicates":
                from engine.media.duplicates.describing import Describe

                return Describe(command, link).run()
            case "alike":
                from engine.media.duplicates.alike import Alike

                return Alike(command, link).run()
            case "find_duplicates" | "sift" as do:
                from engine.media.duplicates.finding import Find, Sift

                return Find(command, link).run() if do != "sift" else Sift(command, link).run()
            case other:
                raise ValueError(f"no such command: {other}")
    except (RootLostError, GivenUpError) as error:
        return {"k": "failed", "code": error.code, "message": str(error)}
    except OSError as error:
        return {"k": "failed", "code": "unreadable", "message": error.strerror or str(error)}
    except sqlite3.Error as error:
        return {"k": "failed", "code": "catalogue", "message": str(error)}


def main() -> None:
    be_quiet(unasked=True)
    sys.setswitchinterval(0.0005)  # Threads that hash need the interpreter often, and briefly.
    link = Link()
    while True:
        command = link.commands.get()
        link.begin()
        try:
            answer = _answer(command, link)
        except BaseException:  # noqa: BLE001 - printed, and the end of this process
            sys.excepthook(*sys.exc_info())
            sys.stderr.flush()
            os._exit(1)  # At once: threads that still hash must not keep the process.
        link.end()
        link.send(answer)


if __name__ == "__main__":
    main()
