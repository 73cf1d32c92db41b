"""Which copy is proposed to be kept: always one, always the same, for reasons that hold."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.media.duplicates.keeper import Candidate, judge, looks_passing, rank

KEEP = {"photos": 0, "archive": 1}
times = st.integers(0, 3).map(lambda day: day * 86_400 * 10**9)
candidates = st.builds(
    Candidate,
    library=st.sampled_from([None, "photos", "archive", "films"]),
    path=st.sampled_from([b"a", b"b/a", b"a (1).jpg", b"tmp/a", b"\xff\n", b"x/copy of a"]),
    inode=st.tuples(st.just(1), st.integers(0, 10**6)),
    mtime_ns=times,
    first_seen_at=st.none() | times,
    checked_at=st.none() | times,
    damage=st.sampled_from(["", "", "rotten", "unreadable"]),
    problem=st.sampled_from(["", "", "its disk is away"]),
    seeding=st.booleans(),
    known=st.integers(0, 3),
    whole=st.booleans(),
)
groups = st.lists(candidates, min_size=2, max_size=8, unique_by=lambda one: one.inode)


@given(groups, st.randoms())
def test_one_is_kept_a_sound_one_where_there_is_one_in_whatever_order(
    copies: list[Candidate], chance: object
) -> None:
    judged = judge(copies, KEEP)
    assert sorted(one.inode for one, _role, _why in judged) == sorted(c.inode for c in copies)
    assert [role for _one, role, _why in judged].count("keep") == 1
    best = judged[0][0]
    assert judged[0][1] == "keep"
    reachable = [one for one in copies if not one.problem]
    if reachable:
        assert not best.problem
        if any(not one.damage for one in reachable):
            assert not best.damage
    chance.shuffle(copies)  # type: ignore[attr-defined]
    assert judge(copies, KEEP) == judged


@given(groups)
def test_what_is_seeded_damaged_away_or_has_other_names_is_never_to_go(
    copies: list[Candidate],
) -> None:
    for one, role, why in judge(copies, KEEP):
        assert all(why)
        if role == "spare":
            assert (one.seeding, one.damage, one.problem, one.whole) == (False, "", "", True)


def copy(path: bytes, number: int = 0, **values: object) -> Candidate:
    return Candidate("films", path, (1, number), 0, **values)  # type: ignore[arg-type]


def why(*copies: Candidate) -> tuple[bytes, list[str], str]:
    """The path that is kept, why, and why the other is not."""
    (best, _keep, reasons), (_other, _role, less) = judge(copies, KEEP)
    return best.path, reasons, less[0]


def test_the_reasons_are_told_in_words() -> None:
    plain, other = copy(b"b", 1), copy(b"a", 2)
    assert why(plain._replace(library="photos"), other) == (
        b"b",
        ["it is in photos, which goes before other libraries"],
        "it is in films",
    )
    assert why(plain, other._replace(damage="rotten"))[:2] == (b"b", ["it is intact"])
    assert why(plain, other._replace(damage="rotten"))[2].startswith("its bytes are not")
    assert why(plain._replace(seeding=True), other)[1:] == (
        ["a torrent client holds it"],
        "no torrent client holds it",
    )
    assert why(plain._replace(first_seen_at=0), other)[2] == "it is in no library"
    assert why(plain, other._replace(path=b"a (1)"))[1] == ["its name is the plainer one"]
    assert why(plain._replace(known=1), other)[1] == ["more is known of it"]
    assert why(plain, other._replace(mtime_ns=10**18))[2].startswith("it is newer, of 2001")
    moment = why(plain, other._replace(mtime_ns=plain.mtime_ns + 1))
    assert moment[2] == "it is newer, by less than a second"
    assert why(plain, other)[1] == ["nothing tells them apart but their paths"]


@given(groups)
def test_who_loses_is_told_by_what(copies: list[Candidate]) -> None:
    best, *others = judge(copies, KEEP)
    for one, role, (less, *_more) in others:
        same = rank(one, KEEP)[:-4] == rank(best[0], KEEP)[:-4]
        assert role == "stay" or (less == "nothing tells it apart but its path") == same


def test_all_that_decided_is_told_of_the_one_to_keep() -> None:
    best, older = copy(b"b", 1, known=1), copy(b"a", 2, known=1)._replace(mtime_ns=5)
    judged = judge([best, older, copy(b"Downloads/a", 3)], {})
    assert judged[0][2][0] == "its name is the plainer one"
    assert judged[0][2][1].startswith("it is the oldest")


def test_names_of_copies_are_told_from_names_that_only_look_so() -> None:
    copies = (
        *(b"img (1).jpg", b"img(12).jpg", b"img - Copy.jpg", b"img copy 2.jpg", b"img_copy.jpg"),
        *(
            b"Copy of img.jpg",
            b"Kopie von img.jpg",
            b"img.jpg.bak",
            b"img.jpg~",
            b"img (Kopie).jpg",
        ),
        *(b"Downloads/img.jpg", b"a/tmp/img.jpg", b"$RECYCLE.BIN/img.jpg"),
    )
    for path in copies:
        assert looks_passing(path), path
    plain = (b"img.jpg", b"Copyright.txt", b"photocopy.jpg", b"img (2019).jpg", b"temple/img.jpg")
    for path in plain:
        assert not looks_passing(path), path
    assert looks_passing(b"tmp/img (1).jpg") == 2
