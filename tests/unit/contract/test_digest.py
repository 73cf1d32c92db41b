from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.contract.digest import canonical, digest, parsed

_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(_values)
def test_canonical_is_json_that_reads_back(value: object) -> None:
    assert json.loads(canonical(value)) == value


@given(_values)
def test_canonical_is_parsed_piece_by_piece(value: object) -> None:
    assert parsed(canonical(value).decode()) == value


@given(st.text(alphabet='[]{}:,"1a\\ ', max_size=12))
def test_what_is_parsed_is_what_the_standard_decoder_reads(text: str) -> None:
    try:
        found = parsed(text)
    except ValueError:
        return
    assert found == json.loads(text)


@pytest.mark.parametrize(
    "text", ["", "[", "[1", "[1,]", "[1 2]", '{"a"}', '{"a":1,}', "[]]", "{,}"]
)
def test_what_is_no_canonical_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - json's own, or ours
        parsed(text)


@given(_values)
def test_canonical_is_what_the_standard_encoder_writes_with_sorted_keys(value: object) -> None:
    assert canonical(value) == json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def test_the_order_of_keys_does_not_matter_and_every_value_does() -> None:
    one = digest({"a": 1, "b": 2}, {}, ({"x": "\udcff"},))
    assert one == digest({"b": 2, "a": 1}, {}, ({"x": "\udcff"},))
    assert one != digest({"a": 1, "b": 3}, {}, ({"x": "\udcff"},))
    assert one != digest({"a": 1, "b": 2}, {"c": 0}, ({"x": "\udcff"},))
    assert one != digest({"a": 1, "b": 2}, {}, ({"x": "\\xff"},))


@pytest.mark.parametrize("value", [1.5, {1: 2}, b"bytes", {"a": [{"b": 0.1}]}])
def test_what_has_no_canonical_form_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="no canonical form"):
        canonical(value)


async def test_the_loop_goes_on_while_a_large_plan_is_parsed() -> None:
    plan = {"items": [{"path": f"Films/{n}.mkv", "size": n} for n in range(200_000)]}
    parsing = asyncio.create_task(asyncio.to_thread(parsed, canonical(plan).decode()))
    beats = 0
    while not parsing.done():
        await asyncio.sleep(0.001)
        beats += 1
    assert await parsing == plan
    assert beats > 10  # One call of the standard decoder would not let it beat at all.
