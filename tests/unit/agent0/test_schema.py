"""JSON schemas: what is taken, how it is bounded, and what fits."""

from __future__ import annotations

import json
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, ValidationError

from engine.agent0.schema import bounded, problems
from engine.contract.errors import Invalid


def of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Person(BaseModel):
    name: Annotated[str, Field(min_length=1, max_length=20)]
    age: Annotated[int, Field(ge=0, le=150)] | None = None


class Party(BaseModel):
    """What a model of ours looks like."""

    title: str
    kind: Literal["dinner", "dance"]
    colour: Colour = Colour.RED
    price: Annotated[float, Field(ge=0, lt=1000)]
    open: bool
    guests: Annotated[list[Person], Field(max_length=5)]
    votes: dict[str, int] = {}
    after: Person | Literal["nobody"] = "nobody"


SCHEMA = bounded(Party.model_json_schema())

people = st.builds(
    Person,
    name=st.text(st.characters(codec="utf-8"), min_size=1, max_size=20),
    age=st.none() | st.integers(0, 150),
)
parties = st.builds(
    Party,
    title=st.text(st.characters(codec="utf-8"), max_size=100),
    kind=st.sampled_from(["dinner", "dance"]),
    price=st.floats(0, 999),
    guests=st.lists(people, max_size=5),
    votes=st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=10), st.integers()),
    after=people | st.just("nobody"),
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=7) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(parties)
def test_what_a_model_writes_fits_its_schema(party: Party) -> None:
    assert list(problems(json.loads(party.model_dump_json()), SCHEMA)) == []


@given(parties, st.sampled_from(sorted(Party.model_fields)), values)
def test_what_fits_is_what_the_model_reads(party: Party, field: str, value: Any) -> None:
    """One field is replaced by anything: where nothing is wrong, pydantic takes it too."""
    data = json.loads(party.model_dump_json()) | {field: value}
    if not list(problems(data, SCHEMA)):
        Party.model_validate_json(json.dumps(data))


@given(values)
def test_anything_at_all_can_be_checked(value: Any) -> None:
    found = list(problems(value, SCHEMA))
    try:
        Party.model_validate(value, strict=True)
    except ValidationError:
        assert found


def test_a_bounded_schema_stands_alone_and_bounds_everything() -> None:
    assert "$" not in json.dumps(SCHEMA)
    assert SCHEMA["properties"]["title"]["maxLength"] == 500
    assert SCHEMA["properties"]["guests"]["maxItems"] == 5
    assert SCHEMA["properties"]["guests"]["items"]["additionalProperties"] is False
    assert bounded(of(a={"type": "string", "maxLength": 10**9}))["properties"]["a"] == {
        "type": "string",
        "maxLength": 2000,
    }
    lists = bounded(of(a={"type": "array", "items": {"type": "null"}}))["properties"]["a"]
    assert lists["maxItems"] == 32
    either = bounded(of(a={"type": ["string", "null"], "minLength": 2}))["properties"]["a"]
    text = {"type": "string", "minLength": 2, "maxLength": 500}
    assert either == {"anyOf": [text, {"type": "null"}]}


def nested(depth: int) -> dict[str, Any]:
    return of(a=nested(depth - 1)) if depth else of()


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "array", "items": {"type": "null"}}, "must have the type object"),
        ({}, "needs a type"),
        (of(a={}), "the root: a needs a type"),
        (of(a=True), "the root: a is no JSON schema"),
        (of(a={"type": "string", "pattern": "^x"}), "'pattern'"),
        (of(a={"type": "string", "format": "date\x1b"}), "'format'"),
        (of(a={"type": "integer", "maxLength": 3}), "'maxLength'"),
        (of(a={"type": "integer", "minimum": "0"}), "no number"),
        (of(a={"type": "string", "minLength": 5, "maxLength": 4}), "above its maxLength"),
        (of(a={"type": "array"}), "items is no JSON schema"),
        (of(a={"type": "object", "additionalProperties": True}), "takes any property"),
        (of(a={"enum": []}), "1 to 200 values"),
        (of(a={"enum": [{}]}), "no short text"),
        (of(a={"type": "integer", "enum": ["x"]}), "not of the type"),
        (of(a={"$ref": "#/$defs/Gone"}), "not under $defs"),
        (of(a={"$ref": "http://example.org/"}), "not under $defs"),
        ({**of(a={"type": "null"}), "required": ["b"]}, "requires what is not"),
        (of(**{str(n): {"type": "null"} for n in range(600)}), "too much"),
        (of(a={"const": "x" * 70_000}), "longer than 64 KiB"),
        (nested(20), "too much"),
    ],
)
def test_what_cannot_be_checked_is_refused_by_name(schema: dict[str, Any], reason: str) -> None:
    with pytest.raises(Invalid) as caught:
        bounded(schema)
    assert reason in caught.value.message
    assert "\x1b" not in caught.value.message


def test_a_schema_without_end_is_refused() -> None:
    tree = {"type": "object", "properties": {"left": {"$ref": "#/$defs/Tree"}}}
    with pytest.raises(Invalid, match="has no end"):
        bounded({**of(a={"$ref": "#/$defs/Tree"}), "$defs": {"Tree": tree}})
    doubling: dict[str, Any] = {"L0": {"type": "null"}}
    for n in range(12):
        both = {"$ref": f"#/$defs/L{n}"}
        doubling[f"L{n + 1}"] = of(a=both, b=both)
    with pytest.raises(Invalid, match="too much"):
        bounded({**of(a={"$ref": "#/$defs/L12"}), "$defs": doubling})


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([], "it must be of the type object"),
        ({}, "it lacks 'n'"),
        ({"n": 1, "s": "ab", "x": 1}, "it.x is not among"),
        ({"n": True, "s": "ab"}, "it.n must be of the type integer"),
        ({"n": 1.0, "s": "ab"}, "it.n must be of the type integer"),
        ({"n": 4, "s": "ab"}, "it.n must be at most 3"),
        ({"n": 10**400, "s": "ab"}, "it.n must be at most 3"),
        ({"n": 0, "s": "ab"}, "it.n must be more than 0"),
        ({"n": 1, "s": "a"}, "at least 2 characters"),
        ({"n": 1, "s": "abcd"}, "at most 3 characters"),
        ({"n": 1, "s": "a\ud800"}, "half a character"),
    ],
)
def test_what_does_not_fit_is_said_in_words(value: Any, reason: str) -> None:
    schema = bounded(
        of(
            n={"type": "integer", "exclusiveMinimum": 0, "maximum": 3},
            s={"type": "string", "minLength": 2, "maxLength": 3},
        )
    )
    assert any(reason in problem for problem in problems(value, schema))
    assert list(problems({"n": 1, "s": "ab"}, schema)) == []
