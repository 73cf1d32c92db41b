"""What is asked here and what the engine holds, as one conversation: nothing doubled, or lost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from arcanum_tui.state import chat
from arcanum_tui.state.chat import Chat, Exchange, Status, Wish
from arcanum_tui.state.pace import Pace, Took, context_use, live
from arcanum_tui.state.turn import TurnLayout
from engine.contract.agent0 import AnswerFinished, AnswerStarted
from engine.contract.memory import Turn
from tests.fakes.fake_world import NOW


def turn(number: int, question: str, answer: str = "yes", **fields: object) -> Turn:
    known: dict[str, object] = {
        "id": number, "session": "main", "question": question, "answer": answer,
        "status": "done", "asked_at": NOW, "parent_id": number - 1 or None,
    }  # fmt: skip
    return Turn.model_validate(known | fields)


def started(number: int) -> AnswerStarted:
    return AnswerStarted(
        turn_id=number, session="main", backend="b", model="m", simulated=False, prompt_tokens=100,
        context=200,
    )  # fmt: skip


def shown(held: Chat) -> list[tuple[str, int | None, str]]:
    return [(e.question, e.turn_id, e.status) for e in held.exchanges]


def sent(held: Chat, question: str, wish: Wish | None = None) -> Chat:
    held = chat.ask(held, question, wish)
    last = len(held.exchanges) - 1
    return chat.change(held, last, chat.asked(held.exchanges[last], 0.0))


PAST = chat.past(Chat(), [turn(1, "a"), turn(2, "b")])


# --- the engine comes back ------------------------------------------------------------------------


def test_a_question_whose_number_was_never_heard_is_there_once() -> None:
    held = sent(PAST, "c")
    lost = chat.change(held, 2, chat.ended(held.exchanges[2], "failed", "The engine went away."))
    back = chat.past(lost, [turn(1, "a"), turn(2, "b"), turn(3, "c", "", status="interrupted")])
    assert shown(back) == [("a", 1, "done"), ("b", 2, "done"), ("c", 3, "interrupted")]


def test_a_question_that_never_arrived_is_not_lost() -> None:
    held = sent(PAST, "c")
    lost = chat.change(held, 2, chat.ended(held.exchanges[2], "failed", "The engine went away."))
    back = chat.past(lost, [turn(1, "a"), turn(2, "b")])
    assert shown(back)[-1] == ("c", None, "failed")
    assert back.exchanges[-1].note == "The engine went away."


def test_an_earlier_question_of_the_same_words_is_not_taken_for_it() -> None:
    held = sent(PAST, "b")
    lost = chat.change(held, 2, chat.ended(held.exchanges[2], "failed", "gone"))
    back = chat.past(lost, [turn(1, "a"), turn(2, "b")])
    assert shown(back) == [("a", 1, "done"), ("b", 2, "done"), ("b", None, "failed")]


def test_an_answer_that_is_being_written_stays_as_it_is() -> None:
    held = sent(PAST, "c")
    held = chat.change(held, 2, chat.started(held.exchanges[2], started(3), 0.0))
    held = chat.change(held, 2, chat.came(held.exchanges[2], "so far", 2, 1.0))
    back = chat.past(held, [turn(1, "a"), turn(2, "b"), turn(3, "c", "", status="open")])
    assert shown(back)[-1] == ("c", 3, "writing")
    assert back.exchanges[-1].answer == "so far"


def test_what_somebody_else_is_being_answered_says_so() -> None:
    (only,) = chat.past(Chat(), [turn(1, "a", "", status="open")]).exchanges
    assert only.status == "elsewhere"


def test_figures_of_an_answer_survive_that_it_is_read_again() -> None:
    held = sent(Chat(loaded=True), "a")
    held = chat.change(held, 0, chat.started(held.exchanges[0], started(1), 0.0))
    item = AnswerFinished(
        turn=turn(1, "a"), finish="stop", tokens=5, first_token_s=0.1, seconds=0.5
    )
    held = chat.change(held, 0, chat.finished(held.exchanges[0], item))
    back = chat.past(held, [turn(1, "a")])
    assert back.exchanges == held.exchanges
    assert back.exchanges[0].took is not None


def test_older_turns_come_before_and_none_twice() -> None:
    held = chat.past(Chat(), [turn(8, "h"), turn(9, "i")], more=True)
    grown = chat.before(held, [turn(6, "f"), turn(7, "g"), turn(8, "h")], more=True)
    assert [e.turn_id for e in grown.exchanges] == [6, 7, 8, 9]
    assert grown.more
    assert not chat.before(grown, [], more=True).more


# --- branches -------------------------------------------------------------------------------------


def test_a_branch_leaves_out_what_followed_and_counts_its_siblings() -> None:
    held = chat.ask(PAST, "b, otherwise", Wish(after=1))
    assert [e.question for e in held.exchanges] == ["a", "b, otherwise"]
    new = held.exchanges[-1]
    assert (new.siblings, new.place) == ((2,), (2, 2))
    begun = chat.started(new, started(3), 0.0)
    assert (begun.siblings, begun.place) == ((2, 3), (2, 2))


def test_a_question_can_take_the_place_of_the_first() -> None:
    held = chat.ask(PAST, "z", Wish(after=0))
    assert [e.question for e in held.exchanges] == ["z"]
    assert held.exchanges[0].siblings == (1,)


def test_what_is_asked_again_goes_where_it_stood() -> None:
    first, second = PAST.exchanges
    assert (first.again, second.again) == (0, 1)
    never = Exchange("x", wish=Wish(after=7))
    assert never.again == 7
    assert Exchange("x", wish=Wish()).again is None


@pytest.mark.parametrize(("state", "status"), [("denied", "unasked"), ("pending", "needs")])
def test_a_question_that_waits_for_an_approval_follows_it(state: str, status: str) -> None:
    held = sent(PAST, "c")
    needs = replace(chat.ended(held.exchanges[2], "needs"), approval_id=5)
    held = chat.answered(chat.change(held, 2, needs), {5: state})
    assert held.exchanges[-1].status == status
    done = chat.past(held, [turn(1, "a"), turn(2, "b"), turn(3, "c")])
    assert shown(done)[-1] == ("c", 3, "done")


# --- figures --------------------------------------------------------------------------------------


def test_tokens_a_second_are_those_of_late() -> None:
    pace = Pace(10.0).started(started(1), 10.2)
    assert live(pace, 10.3) == ["0.3 s"]
    for at in range(1, 40):
        pace = pace.came(4, 10.2 + at / 10)
    assert live(pace, 14.1) == ["40 tok/s", "first 0.30 s", "156 tok", "4.1 s"]
    # Slower: the rate of the last two seconds, not of all.
    for at in range(1, 30):
        pace = pace.came(1, 14.1 + at / 10)
    assert live(pace, 17.0)[0] == "10 tok/s"
    assert "tok/s" not in live(pace, 20.0)[0]


def test_figures_of_a_whole_answer() -> None:
    took = Took(129, 0.12, 3.24, prompt_tokens=100, cached_tokens=96)
    assert took.words() == ["129 tok", "41 tok/s", "first 0.12 s", "cached 96 %"]
    assert Took(0, None, 0.1).words() == ["0 tok"]


@pytest.mark.parametrize(
    ("used", "tone", "sign"), [(20, "muted", ""), (170, "warn", "! "), (196, "bad", "! ")]
)
def test_a_context_that_is_nearly_full_warns(used: int, tone: str, sign: str) -> None:
    *_, said = context_use(used, 200, 60)
    assert (said.tone, said.text.startswith(f"{sign}{used} of 200")) == (tone, True)
    assert context_use(used, 0, 60) == []
    assert len(context_use(used, 200, 30)) < len(context_use(used, 200, 60))


# --- layouts --------------------------------------------------------------------------------------


def text_of(layout: TurnLayout) -> list[str]:
    lines = [layout.line(index) for index in range(len(layout))]
    return ["".join(p.text for p in line.pieces).rstrip() for line in lines]


@pytest.mark.parametrize("status", ["done", "stopped", "failed", "interrupted"])
def test_a_layout_that_grew_is_the_layout_of_the_whole(status: Status) -> None:
    answer = "# H\n\n1. a\n2. **b\n   c** d\n```py\nx\n```\nend of it"
    writing = Exchange("q", status="writing", turn_id=1)
    layout = TurnLayout(writing, 60)
    for end in range(len(answer) + 1):
        before = text_of(layout)
        first = layout.update(replace(writing, answer=answer[:end]))
        assert text_of(layout)[:first] == before[:first]
    whole = replace(writing, answer=answer, status=status)
    layout.update(whole)
    assert text_of(layout) == text_of(TurnLayout(whole, 60))


def test_an_answer_that_turned_out_otherwise_is_laid_out_anew() -> None:
    done = Exchange("q", "old\n\ntext", "done", turn_id=1)
    layout = TurnLayout(done, 60)
    layout.update(replace(done, answer="old\n\ntext and more"))
    assert text_of(layout) == text_of(TurnLayout(layout.exchange, 60))
    assert layout.update(layout.exchange) == len(layout)


def test_a_very_long_answer_is_laid_out_in_steps() -> None:
    layout = TurnLayout(Exchange("q", "word\n\n" * 4_000, "done"), 80)
    sizes = [len(layout)]
    for _ in range(20):
        layout.step()
        sizes.append(len(layout))
    assert sizes[0] < sizes[1] < sizes[2] < sizes[-1] == 8_002
    assert text_of(layout).count("        word") == 4_000
