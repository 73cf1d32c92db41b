"""An operation's declaration as a command line: arguments in, a checked request out."""

from __future__ import annotations

import argparse
import os
import types
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeVar, Union, get_args, get_origin

from pydantic import ValidationError

from engine.contract.base import PathRef, Wire, visible
from engine.contract.errors import Invalid

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from engine.contract.operation import Operation

Req = TypeVar("Req", bound=Wire)


class Parser(argparse.ArgumentParser):
    """Raises Invalid instead of leaving the process."""

    def __init__(self, command: str, summary: str, examples: Sequence[str] = ()) -> None:
        shown = "".join(f"\n  {example}" for example in examples)
        super().__init__(
            prog=f"arcanum {command}",
            description=f"{summary}.",
            epilog=f"examples:{shown}" if shown else None,
            formatter_class=_Help,
            allow_abbrev=False,
            add_help=False,
        )

    def error(self, message: str) -> NoReturn:
        raise Invalid(
            f"{visible(message[:1].upper() + message[1:])}.", f"{self.prog} --help tells how."
        )


class _Help(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=28)


def parser_for(
    command: str,
    summary: str,
    operation: Operation[Any, Any] | None,
    examples: Sequence[str] = (),
    *,
    skip: Sequence[str] = (),
) -> Parser:
    """The parser of one command: the request's fields, less ``skip``, and what all commands have.

    A field in ``operation.positional`` stands without a flag; any other is ``--its-name``.
    """
    parser = Parser(command, summary, examples)
    fields = operation.request.model_fields if operation else {}
    positional = operation.positional if operation else ()
    for name in (*positional, *(n for n in fields if n not in positional)):
        if name not in skip:
            _add(parser, name, fields[name], flag=name not in positional)
    common = parser.add_argument_group("every command")
    common.add_argument("--json", action="store_true", help="results as JSON on stdout")
    common.add_argument("-q", "--quiet", action="store_true", help="no progress, no remarks")
    common.add_argument("-h", "--help", action="help", help="this text")
    return parser


def request_of(model: type[Req], options: argparse.Namespace, **more: Any) -> Req:
    """The checked request. What was not given keeps its default. Raises Invalid."""
    given = {n: getattr(options, n) for n in model.model_fields if hasattr(options, n)} | more
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise _invalid(error, model) from error


def _invalid(error: ValidationError, model: type[Wire]) -> Invalid:
    problem = error.errors(include_url=False)[0]
    name = str(problem["loc"][0]).replace("_", "-") if problem["loc"] else "The request"
    value = visible(str(problem["input"]))[:80]
    reason = problem["msg"].removeprefix("Value error, ")
    for subject in ("Input should", "String should"):
        reason = reason.replace(subject, "it should")
    if problem["type"] in {"greater_than_equal", "less_than_equal"}:
        reason = _range(model.model_fields[str(problem["loc"][0])]) or reason
    return Invalid(f"{name} {value!r}: {reason}.", "--help after the command tells what it takes.")


def _range(field: FieldInfo) -> str:
    """What a number may be, where both ends are said."""
    low = [bound.ge for bound in field.metadata if hasattr(bound, "ge")]
    high = [bound.le for bound in field.metadata if hasattr(bound, "le")]
    return f"it should be from {low[0]} to {high[0]}" if low and high else ""


def _add(parser: Parser, name: str, field: FieldInfo, *, flag: bool) -> None:
    kind, many = _unwrap(field.annotation)
    options: dict[str, Any] = {"help": _help(field), "default": argparse.SUPPRESS}
    if kind is bool:
        options["action"] = "store_true"
    else:
        options["metavar"] = name.upper() if not flag else name.rpartition("_")[2].upper()
        if get_origin(kind) is Literal:
            options["choices"] = choices = [str(choice) for choice in get_args(kind)]
            if flag:
                options["metavar"] = "|".join(choices)
            else:
                options["help"] += f": {' or '.join(choices)}"
        elif kind is PathRef:
            options["type"] = path
        if many:
            options["nargs"] = "+" if flag or field.is_required() else "*"
        elif not flag and not field.is_required():
            options["nargs"] = "?"
    if flag:
        parser.add_argument(
            f"--{name.replace('_', '-')}", dest=name, required=field.is_required(), **options
        )
    else:
        parser.add_argument(name, **options)


def _help(field: FieldInfo) -> str:
    text = (field.description or "").replace("%", "%%")
    default = "" if field.is_required() else field.get_default()
    shown = isinstance(default, (int, str)) and not isinstance(default, bool) and default != ""
    return f"{text} ({default})" if shown else text


def _unwrap(annotation: Any) -> tuple[Any, bool]:
    """The plain type behind ``| None``, Annotated and ``tuple[..., ...]``; True for a tuple."""
    origin = get_origin(annotation)
    if origin in {Union, types.UnionType}:
        return _unwrap(next(a for a in get_args(annotation) if a is not type(None)))
    if origin is tuple:
        return _unwrap(get_args(annotation)[0])[0], True
    if hasattr(annotation, "__metadata__"):
        return _unwrap(annotation.__origin__)
    return annotation, False


def path(text: str) -> PathRef:
    """The bytes of the argument, made absolute; ``..`` stays, as links may stand before it."""
    if not text:
        raise argparse.ArgumentTypeError("a path must not be empty")
    return PathRef.of(os.fsencode(Path(text).absolute()))
