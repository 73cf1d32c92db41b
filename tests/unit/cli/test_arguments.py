from __future__ import annotations

import base64
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arcanum_tui.cli.arguments import parser_for, request_of
from engine.contract import approvals, assets, audit, media, quota
from engine.contract.errors import EXIT_USAGE, Invalid
from engine.contract.operation import Operation, every


def parsed(operation: Operation, *arguments: str) -> Any:
    parser = parser_for("x y", operation.summary, operation)
    return request_of(operation.request, parser.parse_args(arguments))


def test_positional_fields_stand_alone_and_others_are_flags() -> None:
    request = parsed(media.LIST, "films", "--sort", "size", "--limit", "7")
    assert request == assets.ListAssets(library="films", sort="size", limit=7)


@pytest.mark.parametrize(
    ("text", "size"), [("20MB", 20_000_000), ("20MiB", 20 * 2**20), ("0", 0), ("123", 123)]
)
def test_sizes_are_written_as_people_write_them(text: str, size: int) -> None:
    assert parsed(quota.SET, "films", "--max-bytes", text).max_bytes == size


def test_a_path_keeps_its_bytes_and_becomes_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    request = parsed(media.ADD, os.fsdecode(b"fi\xfflms\n/../x"))
    assert request.path.data == os.fsencode(tmp_path) + b"/fi\xfflms\n/../x"
    assert request.path.display.endswith("/fi\\xfflms\\n/../x")
    assert base64.b64decode(request.path.raw) == request.path.data


def test_tuples_take_several_words() -> None:
    assert parsed(approvals.KEEP, "4", "a", "b").keep == ("a", "b")
    assert parsed(quota.PRUNE, "films", "--keep", "a", "b").keep == ("a", "b")


def test_what_is_not_given_keeps_its_default() -> None:
    request = parsed(audit.SHOW)
    assert request == audit.ShowAudit()
    assert not request.model_fields_set


@pytest.mark.parametrize(
    ("operation", "arguments", "told"),
    [
        (quota.SET, ["films", "--max-bytes", "huge"], "max-bytes 'huge'"),
        (quota.SET, ["films"], "--max-bytes"),
        (quota.SET, ["--films", "--max-bytes", "1"], "LIBRARY"),
        (media.LIST, ["films", "--sort", "colour"], "'path', 'size', 'modified'"),
        (media.LIST, ["films", "--limit", "0"], "limit '0': it should be from 1 to 5000"),
        (media.LIST, ["a/b"], "library 'a/b'"),
        (media.ADD, [""], "must not be empty"),
        (approvals.SHOW, ["four"], "id 'four'"),
        (approvals.SHOW, ["1", "2"], "2"),
        (audit.VERIFY, ["--head", "x"], "head 'x'"),
        (audit.VERIFY, ["--hea", "x"], "--hea"),
    ],
)
def test_a_wrong_argument_is_named(operation: Operation, arguments: list[str], told: str) -> None:
    with pytest.raises(Invalid) as caught:
        parsed(operation, *arguments)
    assert told in caught.value.message
    assert caught.value.exit_code == EXIT_USAGE
    assert "--help" in caught.value.hint


def test_a_wrong_argument_cannot_play_with_the_terminal() -> None:
    with pytest.raises(Invalid) as caught:
        parsed(quota.SET, "films", "--max-bytes", "\x1b[2J")
    assert "\\x1b[2J" in caught.value.message


@pytest.mark.parametrize("operation", every(), ids=lambda operation: operation.name)
def test_every_field_of_every_operation_says_what_it_means(operation: Operation) -> None:
    text = " ".join(parser_for("x", operation.summary, operation).format_help().split())
    for name, field in operation.request.model_fields.items():
        assert field.description, f"{operation.name}: {name} has no description"
        assert " ".join(field.description.split()) in text


@given(st.sampled_from(every()), st.lists(st.text(max_size=12), max_size=5))
def test_no_argument_fails_in_another_way(operation: Operation, arguments: list[str]) -> None:
    with suppress(Invalid):
        assert isinstance(parsed(operation, *arguments), operation.request)
