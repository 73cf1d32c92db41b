"""JSON schemas that an answer is held to: a subset that is checked whole, and bounded everywhere.

What is not in the subset is refused by its name: a keyword that nobody checks must not look as if
it held. A bounded schema stands alone (references are put in), names every object's properties,
and gives every string and every list a most.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from engine.contract.base import Json, visible
from engine.contract.errors import Invalid

MOST_CHARACTERS = 2_000
MOST_ITEMS = 200
_USUAL_CHARACTERS = 500
_USUAL_ITEMS = 32
_MOST_BYTES = 64 * 1024
_MOST_PARTS = 500
_MOST_DEPTH = 16
_MOST_CHOICES = 200
_MOST_NAME = 200

_SAID = frozenset({"title", "description"})
"""For the model's eyes."""
_UNHEARD = frozenset({"default", "examples", "deprecated", "$schema", "$id", "$comment"})
"""Changes nothing about what fits."""
_DEFINITIONS = frozenset({"$defs", "definitions"})
_RANGE = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"})
_OF_TYPE: dict[str, frozenset[str]] = {
    "object": frozenset({"properties", "required", "additionalProperties"}),
    "array": frozenset({"items", "minItems", "maxItems"}),
    "string": frozenset({"minLength", "maxLength"}),
    "integer": _RANGE,
    "number": _RANGE,
    "boolean": frozenset(),
    "null": frozenset(),
}
_KNOWN = frozenset({"type", "enum", "const", "anyOf", "$ref"}).union(*_OF_TYPE.values())


def bounded(schema: Json) -> Json:
    """The schema as it is asked for and checked. Raises Invalid, naming what and where."""
    if len(json.dumps(schema)) > _MOST_BYTES:
        raise _wrong("it", f"is longer than {_MOST_BYTES // 1024} KiB")
    found = _Bounding(schema).part(
        {name: value for name, value in schema.items() if name not in _DEFINITIONS}, "the root"
    )
    if found.get("type") != "object":
        raise _wrong("the root", "must have the type object")
    return found


def _wrong(where: str, what: str) -> Invalid:
    return Invalid(
        f"The JSON schema cannot be used: {visible(where)} {visible(what)}.",
        f"Known keywords: {', '.join(sorted(_KNOWN | _SAID))}.",
    )


class _Bounding:
    """One schema on its way. ``part`` raises Invalid."""

    def __init__(self, root: Json) -> None:
        self._root = root
        self._parts = 0

    def part(self, schema: Any, where: str, depth: int = 0, inside: tuple[str, ...] = ()) -> Json:
        """``inside``: the definitions that this is part of."""
        self._parts += 1
        if self._parts > _MOST_PARTS or depth > _MOST_DEPTH:
            raise _wrong(where, f"is too much: {_MOST_PARTS} parts, {_MOST_DEPTH} deep are taken")
        if not isinstance(schema, dict):
            raise _wrong(where, "is no JSON schema")
        if strange := sorted(schema.keys() - _KNOWN - _SAID - _UNHEARD):
            raise _wrong(where, f"has the keyword {strange[0][:80]!r}, which is not checked here")
        said = {name: schema[name] for name in _SAID if isinstance(schema.get(name), str)}
        schema = {n: v for n, v in schema.items() if n not in _SAID | _UNHEARD}
        if "$ref" in schema:
            name, found = self._definition(schema, where)
            if name in inside:
                raise _wrong(where, f"leads back into {name[:80]!r}: it has no end")
            return self.part(found, where, depth + 1, (*inside, name)) | said
        if "anyOf" in schema:
            return self._any_of(schema, where, depth, inside) | said
        if "enum" in schema or "const" in schema:
            return _choices(schema, where) | said
        return self._typed(schema, where, depth, inside) | said

    def _typed(self, schema: Json, where: str, depth: int, inside: tuple[str, ...]) -> Json:
        kind = schema.get("type")
        if isinstance(kind, list):
            each = [_of_one_type(schema, one) for one in kind]
            return self._any_of({"anyOf": each}, where, depth, inside)
        if not isinstance(kind, str) or kind not in _OF_TYPE:
            raise _wrong(where, f"needs a type: {', '.join(_OF_TYPE)}")
        if unfit := sorted(schema.keys() - _OF_TYPE[kind] - {"type"}):
            raise _wrong(where, f"has {unfit[0]!r}, which means nothing for the type {kind}")
        if kind == "object":
            return self._object(schema, where, depth, inside)
        if kind == "array":
            items = self.part(schema.get("items"), f"{where}: items", depth + 1, inside)
            span = _span(schema, where, "Items", _USUAL_ITEMS, MOST_ITEMS)
            return {"type": kind, "items": items} | span
        if kind == "string":
            return {"type": kind} | _span(
                schema, where, "Length", _USUAL_CHARACTERS, MOST_CHARACTERS
            )
        if any(not _is_number(schema[name]) for name in _RANGE & schema.keys()):
            raise _wrong(where, "has a bound that is no number")
        return schema

    def _definition(self, schema: Json, where: str) -> tuple[str, Any]:
        reference = schema["$ref"]
        _, of, name = (*str(reference).split("/", 2), "", "")[:3]
        known = self._root.get(of) if of in _DEFINITIONS else None
        if len(schema) > 1 or not isinstance(known, dict) or name not in known:
            raise _wrong(where, f"refers to {str(reference)[:80]!r}, which is not under $defs")
        return name, known[name]

    def _any_of(self, schema: Json, where: str, depth: int, inside: tuple[str, ...]) -> Json:
        each = schema["anyOf"]
        if len(schema) > 1 or not isinstance(each, list) or not each:
            raise _wrong(where, "needs a list as anyOf, and nothing beside it")
        return {"anyOf": [self.part(one, f"{where}: anyOf", depth + 1, inside) for one in each]}

    def _object(self, schema: Json, where: str, depth: int, inside: tuple[str, ...]) -> Json:
        properties = schema.get("properties", {})
        required = schema.get("required", [])
        if not isinstance(properties, dict) or any(len(name) > _MOST_NAME for name in properties):
            raise _wrong(where, f"needs properties by name, of {_MOST_NAME} characters at most")
        if not isinstance(required, list) or any(name not in properties for name in required):
            raise _wrong(where, "requires what is not among its properties")
        more = schema.get("additionalProperties", False)
        if more is True:
            raise _wrong(where, "takes any property: name them, or say of which schema they are")
        return {
            "type": "object",
            "properties": {
                name: self.part(value, f"{where}: {name}", depth + 1, inside)
                for name, value in properties.items()
            },
            "required": required,
            "additionalProperties": more and self.part(more, f"{where}: any", depth + 1, inside),
        }


def _of_one_type(schema: Json, kind: Any) -> Json:
    others = frozenset().union(*_OF_TYPE.values()) - _OF_TYPE.get(str(kind), frozenset())
    return {name: value for name, value in schema.items() if name not in others} | {"type": kind}


def _choices(schema: Json, where: str) -> Json:
    """``enum`` or ``const``: a few plain values. A type beside them must be theirs."""
    each = schema["enum"] if "enum" in schema else [schema["const"]]
    if not isinstance(each, list) or not 0 < len(each) <= _MOST_CHOICES:
        raise _wrong(where, f"needs 1 to {_MOST_CHOICES} values to choose from")
    kind = schema.get("type")
    for value in each:
        if isinstance(value, dict | list) or (
            isinstance(value, str) and len(value) > MOST_CHARACTERS
        ):
            raise _wrong(where, "offers a value that is no short text, number, true, false or null")
        if kind is not None and list(problems(value, {"type": kind})):
            raise _wrong(where, f"offers a value that is not of the type {kind!r}")
    if unfit := sorted(schema.keys() - {"enum", "const", "type"}):
        raise _wrong(where, f"has {unfit[0]!r} beside its choices")
    return {"enum": each}


def _span(schema: Json, where: str, of: str, usual: int, bound: int) -> Json:
    least, most = schema.get(f"min{of}", 0), schema.get(f"max{of}", usual)
    if not all(type(each) is int and each >= 0 for each in (least, most)):
        raise _wrong(where, f"needs whole numbers as min{of} and max{of}")
    most = min(max(most, least) if f"max{of}" not in schema else most, bound)
    if least > most:
        raise _wrong(where, f"has a min{of} above its max{of} (at most {bound})")
    return ({f"min{of}": least} if least else {}) | {f"max{of}": most}


def _is_number(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)


# --- checking an answer -------------------------------------------------------------------------

_IS_OF_TYPE: dict[str, Any] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": _is_number,
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
}


def problems(value: Any, schema: Json, where: str = "it") -> Iterator[str]:
    """What of ``value`` does not fit a bounded schema, in words; nothing where it fits."""
    if "anyOf" in schema:
        if all(any(problems(value, one, where)) for one in schema["anyOf"]):
            yield f"{where} fits none of its {len(schema['anyOf'])} forms"
        return
    if "enum" in schema:
        if not any(type(one) is type(value) and one == value for one in schema["enum"]):
            yield f"{where} must be one of {json.dumps(schema['enum'], ensure_ascii=False)}"
        return
    kind = schema["type"]
    if not _IS_OF_TYPE[kind](value):
        yield f"{where} must be of the type {kind}"
    elif kind == "object":
        yield from _in_object(value, schema, where)
    elif kind == "array":
        yield from _length(len(value), schema, where, "Items", "entries")
        for number, one in enumerate(value[:MOST_ITEMS]):
            yield from problems(one, schema["items"], f"{where}[{number}]")
    elif kind == "string":
        yield from _length(len(value), schema, where, "Length", "characters")
        if any("\ud800" <= char <= "\udfff" for char in value):
            yield f"{where} holds half a character"
    elif kind in {"integer", "number"}:
        yield from _in_range(value, schema, where)


def _in_object(value: Json, schema: Json, where: str) -> Iterator[str]:
    known, more = schema["properties"], schema["additionalProperties"]
    for name in schema["required"]:
        if name not in value:
            yield f"{where} lacks {name!r}"
    if len(value) > len(known) + MOST_ITEMS:
        yield f"{where} has too many properties"
        return
    for name, one in value.items():
        inner = f"{where}.{name[:_MOST_NAME]}"
        if name in known:
            yield from problems(one, known[name], inner)
        elif more is False:
            yield f"{inner} is not among the properties"
        else:
            yield from problems(name, {"type": "string", "maxLength": _MOST_NAME}, "a name")
            yield from problems(one, more, inner)


def _length(length: int, schema: Json, where: str, of: str, what: str) -> Iterator[str]:
    if length < schema.get(f"min{of}", 0):
        yield f"{where} must have at least {schema[f'min{of}']} {what}"
    if length > schema.get(f"max{of}", length):
        yield f"{where} must have at most {schema[f'max{of}']} {what}"


def _in_range(value: float, schema: Json, where: str) -> Iterator[str]:
    for name, fits, words in (
        ("minimum", value >= schema.get("minimum", value), "at least"),
        ("maximum", value <= schema.get("maximum", value), "at most"),
        ("exclusiveMinimum", value > schema.get("exclusiveMinimum", -math.inf), "more than"),
        ("exclusiveMaximum", value < schema.get("exclusiveMaximum", math.inf), "less than"),
    ):
        if not fits:
            yield f"{where} must be {words} {schema[name]}"
