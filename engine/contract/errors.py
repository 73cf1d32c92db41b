"""Every error that a user can meet. Standard library only: a failing command must stay cheap.

ArcanumError
├── Invalid            the request, a setting or a file is not of the form asked for   exit 64
│   └── ConfigInvalid  config.toml: file, line, key, what was expected                 exit 64
├── NotFound           no such library, session, approval, job                         exit 3
├── Refused            allowed in form, refused in substance                           exit 3
│   ├── Forbidden          this actor may not do this
│   ├── WorldMoved         what the plan relied on is no longer so
│   ├── AlreadyAnswered    somebody answered first, or it expired
│   ├── NeedsApproval      nothing was touched: a person must answer first
│   └── Busy               a limit is reached: try again later (retryable)
├── Failed             it was tried and did not work                                   exit 3
│   ├── DeadlineExceeded   (retryable)
│   ├── Cancelled
│   ├── Unavailable        a service, server or model is not there (retryable)
│   ├── Disconnected       the engine's process went away (retryable)
│   ├── ModelFailed        the model crashed, hung, or could not be loaded (retryable)
│   ├── PromptTooLong      with the numbers
│   └── StoreFailed        the disk is full, read-only, or the database damaged or newer
└── Internal           a defect of ours, with a reference to look for in the log       exit 3
"""

from __future__ import annotations

from typing import Any, ClassVar

EXIT_OK = 0
EXIT_NO = 1
EXIT_DEGRADED = 2
EXIT_FAILED = 3
EXIT_USAGE = 64


class ArcanumError(Exception):
    """The root. ``message`` says what happened and to what, ``hint`` what to do next.

    ``code`` is stable and goes over the wire; ``retryable`` says that the same request may
    succeed later without anything being changed.
    """

    code: ClassVar[str] = "error"
    title: ClassVar[str] = "Something went wrong"
    exit_code: ClassVar[int] = EXIT_FAILED
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def to_wire(self) -> dict[str, Any]:
        """The JSON form: title, message, hint, code, retryable."""
        return {
            "title": self.title,
            "message": self.message,
            "hint": self.hint,
            "code": self.code,
            "retryable": self.retryable,
        }


class Invalid(ArcanumError):
    code = "invalid"
    title = "Not a valid request"
    exit_code = EXIT_USAGE


class ConfigInvalid(Invalid):
    code = "config_invalid"
    title = "The configuration is not valid"


class NotFound(ArcanumError):
    code = "not_found"
    title = "Not found"


class Refused(ArcanumError):
    code = "refused"
    title = "Refused"


class Forbidden(Refused):
    code = "forbidden"
    title = "Not allowed"


class WorldMoved(Refused):
    code = "world_moved"
    title = "Things changed since the plan was made"


class AlreadyAnswered(Refused):
    code = "already_answered"
    title = "Already answered"


class NeedsApproval(Refused):
    """Raised where a call can return no ``Pending`` (streams). Answer ``approval_id``."""

    code = "needs_approval"
    title = "Needs your approval"

    def __init__(self, message: str, hint: str = "", approval_id: int = 0) -> None:
        super().__init__(message, hint)
        self.approval_id = approval_id

    def to_wire(self) -> dict[str, Any]:
        return super().to_wire() | {"approval_id": self.approval_id}


class Busy(Refused):
    code = "busy"
    title = "Busy"
    retryable = True


class Failed(ArcanumError):
    code = "failed"
    title = "It did not work"


class DeadlineExceeded(Failed):
    code = "deadline"
    title = "It took too long"
    retryable = True


class Cancelled(Failed):
    code = "cancelled"
    title = "Cancelled"


class Unavailable(Failed):
    code = "unavailable"
    title = "Not available"
    retryable = True


class Disconnected(Failed):
    code = "disconnected"
    title = "The engine went away"
    retryable = True


class ModelFailed(Failed):
    code = "model_failed"
    title = "The model failed"
    retryable = True


class PromptTooLong(Failed):
    code = "prompt_too_long"
    title = "The prompt does not fit"


class StoreFailed(Failed):
    code = "store_failed"
    title = "The database cannot be used"


class Internal(ArcanumError):
    code = "internal"
    title = "A defect in Arcanum"


def _tree(root: type[ArcanumError]) -> dict[str, type[ArcanumError]]:
    found = {root.code: root}
    for child in root.__subclasses__():
        for code, kind in _tree(child).items():
            found.setdefault(code, kind)  # A room's own refinement travels as what it refines.
    return found


def from_wire(data: dict[str, Any]) -> ArcanumError:
    """The error that ``to_wire`` described; an unknown code becomes ``Internal``."""
    kind = _tree(ArcanumError).get(str(data.get("code")), Internal)
    error = kind(str(data.get("message", "")), str(data.get("hint", "")))
    if isinstance(error, NeedsApproval):
        error.approval_id = int(data.get("approval_id", 0))
    return error
