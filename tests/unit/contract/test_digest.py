from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.contract.digest import canonical, digest

_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(_values)
def test_canonical_is_json_that_reads_back(value: object) -> None:
    assert json.loads(canonical(value)) == value


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
