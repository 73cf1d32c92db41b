"""The words on the wire: what is shown is safe, what is sent comes back, errors keep their kind."""

from __future__ import annotations

import json
import os
import sys
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from engine.contract import errors
from engine.contract.base import ErrorInfo, Name, PathRef, Wire, machine_name, visible
from engine.contract.call import Actor, ActorKind, Call
from engine.contract.errors import ArcanumError, NeedsApproval, from_wire
from engine.contract.events import Event, parse
from engine.contract.operation import Kind, Operation, Risk, every, find
from tests.fakes.stores import job_event

OPERATIONS = every()

# --- text -----------------------------------------------------------------------------------------


@given(st.text() | st.text(alphabet=st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp"])))
def test_visible_text_steers_no_terminal(text: str) -> None:
    shown = visible(text)
    shown.encode("utf-8")
    assert not any(ord(char) < 32 or 0x7F <= ord(char) < 0xA0 for char in shown)
    assert not set(shown) & set("\u202e\u2066\u2028\u2029\u061c\u200f")
    assert visible(shown) == shown


def test_visible_text_says_what_was_there() -> None:
    assert visible("a\x1b[31mb\nc\td\re") == r"a\x1b[31mb\nc\td\re"
    assert visible("line\nline", keep="\n") == "line\nline"
    assert visible("gpj.\u202eexe") == r"gpj.\u202eexe"
    assert visible(os.fsdecode(b"caf\xe9")) == r"caf\xe9"
    assert visible("türkis 🚲 [bold]") == "türkis 🚲 [bold]"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("zero\u200bwidth\ufeff.txt", r"zero\u200bwidth\ufeff.txt"),
        ("soft\u00adhyphen\u2060", r"soft\xadhyphen\u2060"),
        ("a\u200db\u200cc", r"a\u200db\u200cc"),
        ("\u3164\u115f\u034f", r"\u3164\u115f\u034f"),
        ("a\ufe0f\u2800\ufe0f", r"a\ufe0f" + "\u2800" + r"\ufe0f"),
        ("tag\U000e0041", r"tag\U000e0041"),
        ("\u200dx\u200d", r"\u200dx\u200d"),
        ("\u0645\u200d\u200d\u06cc", "\u0645" + r"\u200d\u200d" + "\u06cc"),
    ],
)
def test_what_has_no_look_of_its_own_can_be_seen(text: str, shown: str) -> None:
    assert visible(text) == shown
    assert PathRef.of(text).display == shown


@pytest.mark.parametrize(
    "text",
    [
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian: I want
        "\u0915\u094d\u200d\u0937",  # Hindi, with the half form of a letter
        "\U0001f468\u200d\U0001f469\u200d\U0001f467 \u2764\ufe0f\u200d\U0001f525 1\ufe0f\u20e3",
        "\u0600 caf\u00e9 \ud55c\uad6d",
    ],
)
def test_what_is_part_of_a_look_stays(text: str) -> None:
    assert visible(text) == text


def test_every_format_character_can_be_seen() -> None:
    seen = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}
    hidden = [
        chr(code)
        for code in range(sys.maxunicode + 1)
        if unicodedata.category(chr(code)) in {"Cc", "Cf", "Zl", "Zp"} and code not in seen
    ]
    assert [char for char in hidden if char in visible(f"a{char}b")] == []
    assert all(visible(chr(code)) == chr(code) for code in seen)


@given(st.binary().filter(lambda data: b"\0" not in data))
def test_a_path_of_any_bytes_comes_back_from_the_wire(data: bytes) -> None:
    ref = PathRef.model_validate_json(PathRef.of(data).model_dump_json())
    assert ref.data == data
    assert visible(ref.display) == ref.display


@pytest.mark.parametrize(
    ("path", "display"),
    [
        (" ", r"\x20"),
        ("a/  ", r"a/\x20\x20"),
        (" /b", r"\x20/b"),
        ("a/\u3000/b", r"a/\u3000/b"),
        ("a/ b /c d", r"a/\x20b\x20/c d"),
        ("trailing ", r"trailing\x20"),
        ("\u3000a\u2800", r"\u3000a\u2800"),
        ("/", "/"),
    ],
)
def test_blanks_at_the_ends_of_a_name_can_be_seen(path: str, display: str) -> None:
    assert PathRef.of(path).display == display
    assert PathRef.of(path).data == path.encode()


@pytest.mark.parametrize("name", ["", " ", "a/b", "-rf", "a\nb", "a\x1b[0m", "\u202ea", "x" * 65])
def test_a_name_that_could_mislead_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Name).validate_python(name)


@pytest.mark.parametrize("name", ["films", "Müllers Filme (alt)", "映画", "a-b.c", "x" * 64])
def test_a_name_that_people_use_is_taken(name: str) -> None:
    assert TypeAdapter(Name).validate_python(name) == name


def test_a_machine_has_a_visible_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine_name()
    monkeypatch.setenv("ARCANUM_MACHINE", "bü\x1bro" + "x" * 100)
    assert machine_name().startswith(r"bü\x1bro")
    assert len(machine_name()) == 64


# --- errors ---------------------------------------------------------------------------------------


def kinds(root: type[ArcanumError] = ArcanumError) -> list[type[ArcanumError]]:
    """The tree of the contract; a room's own refinements travel as what they refine."""
    ours = [child for child in root.__subclasses__() if child.__module__ == errors.__name__]
    return [root, *(kind for child in ours for kind in kinds(child))]


@pytest.mark.parametrize("kind", kinds())
def test_an_error_keeps_its_kind_and_its_words_over_the_wire(kind: type[ArcanumError]) -> None:
    error = kind("what happened", "what to do")
    back = from_wire(json.loads(json.dumps(error.to_wire())))
    assert type(back) is kind
    assert (back.message, back.hint) == ("what happened", "what to do")
    info = ErrorInfo.of(error)
    assert (info.code, info.title, info.retryable) == (kind.code, kind.title, kind.retryable)


def test_every_error_has_a_code_of_its_own_a_title_and_an_exit_code() -> None:
    found = kinds()
    assert len({kind.code for kind in found}) == len(found)
    for kind in found:
        assert kind.title
        assert kind.exit_code in {errors.EXIT_FAILED, errors.EXIT_USAGE}
        assert errors.__doc__ is not None
        assert kind.__name__ in errors.__doc__


def test_a_rooms_own_refinement_arrives_as_what_it_refines() -> None:
    class Melted(errors.Failed):
        def __init__(self, degrees: int) -> None:
            super().__init__(f"It melted at {degrees} °C.", "Let it cool.")

    back = from_wire(Melted(1535).to_wire())
    assert type(back) is errors.Failed
    assert back.message == "It melted at 1535 °C."


def test_an_error_of_a_later_version_is_internal() -> None:
    assert isinstance(from_wire({"code": "later", "message": "x"}), errors.Internal)
    approval = from_wire(NeedsApproval("m", "h", 7).to_wire())
    assert isinstance(approval, NeedsApproval)
    assert approval.approval_id == 7


# --- operations and events ------------------------------------------------------------------------


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_an_operation_is_declared_completely(operation: Operation[Any, Any]) -> None:
    assert find(operation.name) is operation
    assert operation.summary
    assert not operation.summary.endswith(".")
    fields = operation.request.model_fields
    assert set(operation.audit) <= set(fields)
    assert set(operation.positional) <= set(fields)
    assert (operation.item is not None) == (operation.kind is Kind.STREAM)
    assert operation.limits.max_bytes <= 32 * 1024 * 1024
    if operation.kind is Kind.STREAM:
        assert operation.limits.timeout_s is None, "it would end in the middle"
    for name, field in fields.items():
        assert field.description, f"{operation.name}: {name} says nothing"
    if operation.risk is not Risk.READ and operation.kind is not Kind.STREAM:
        assert operation.audit or not fields, "the log could not say what was changed"


def test_what_is_audited_is_never_content() -> None:
    content = {"text", "question", "prompt", "reason", "content", "messages"}
    for operation in OPERATIONS:
        assert not set(operation.audit) & content, operation.name


def every_event(root: type[Event] = Event) -> list[type[Event]]:
    return [kind for child in root.__subclasses__() for kind in (child, *every_event(child))]


@pytest.mark.parametrize("kind", every_event(), ids=lambda kind: kind.__name__)
def test_an_event_is_named_by_its_room_and_frozen(kind: type[Event]) -> None:
    name = kind.model_fields["kind"].default
    room, _, fact = name.partition(".")
    assert fact
    assert kind.__module__.endswith((f"contract.{room}", "contract.events"))
    assert kind.model_config["frozen"]
    assert kind.model_config["extra"] == "forbid"


def test_an_event_comes_back_from_the_wire_and_an_unknown_one_is_skipped() -> None:
    event = job_event(3)
    assert parse(json.loads(event.model_dump_json())) == event
    assert parse({"kind": "later.fact", "x": 1}) is None
    assert parse({"kind": "os.system"}) is None
    assert parse({}) is None


def test_a_typo_in_a_request_is_no_option() -> None:
    class Asked(Wire):
        limit: int = 3

    with pytest.raises(ValidationError):
        Asked.model_validate({"limti": 5})


def test_a_child_call_knows_on_whose_behalf_and_inherits_the_deadline() -> None:
    parent = Call().within(10)
    child = parent.child(Actor(ActorKind.MODEL, "agent-0"))
    grandchild = child.child(Actor(ActorKind.AGENT, "scanner"))
    assert grandchild.on_behalf_of == parent.actor
    assert (child.parent, grandchild.parent) == (parent.id, child.id)
    assert child.deadline == grandchild.deadline == parent.deadline
    assert child.within(60).deadline == parent.deadline  # More time is not given.
