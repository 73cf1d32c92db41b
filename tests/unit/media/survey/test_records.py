"""What a worker says of a file is taken apart, whoever has taken over the worker."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from engine.contract.base import visible
from engine.contract.traits import Traits
from engine.media.survey.records import _COLUMNS, MOST_TEXT, columns
from engine.media.survey.showing import traits_of

PLAIN = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["image", 90.0, -180, 2**63, 10**30, "\x1b[31m" * 200, "\u202e", "☃" * 900])
)
WILD = PLAIN | st.lists(PLAIN, max_size=2) | st.dictionaries(st.text(max_size=9), PLAIN, max_size=5)


@given(st.dictionaries(st.sampled_from(_COLUMNS), WILD))
def test_whatever_is_said_can_be_stored_and_shown(said: dict[str, object]) -> None:
    row = dict(zip(_COLUMNS, columns(said), strict=True))
    shown = traits_of(row)
    assert Traits.model_validate_json(shown.model_dump_json()) == shown
    texts = [shown.type, shown.camera, shown.container, shown.codecs, shown.problem]
    for text in [*texts, *shown.details, *shown.details.values()]:
        assert len(text) <= MOST_TEXT
        assert text == visible(text)
    assert len(json.dumps(shown.details)) < 100_000
    assert (shown.latitude is None) == (shown.longitude is None)
    for number in (shown.width, shown.height, shown.duration_ms):
        assert number is None or 0 < number < 2**63


def test_of_too_many_details_the_first_are_kept() -> None:
    said = {"details": {f"{number}": "☃" * 900 for number in range(1000)}}
    (details,) = [told for told in columns(said) if isinstance(told, str) and told[:1] == "{"]
    assert list(json.loads(details)) == [f"{number}" for number in range(40)]


def test_what_is_right_stays() -> None:
    said: dict[str, object] = {
        "kind": "video",
        "type": "video/mp4",
        "taken_at": 1_714_972_089_000_000_001,
        "camera": "Pixel 8",
        "latitude": -48.5,
        "longitude": 2,
        "width": 1,
        "height": 2,
        "duration_ms": 5,
        "container": "mp4",
        "codecs": "av1",
        "details": {"title": "☃"},
        "problem": "",
    }
    row = dict(zip(_COLUMNS, columns(said), strict=True))
    assert {**row, "details": json.loads(row["details"])} == said
