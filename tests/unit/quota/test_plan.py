"""What a plan takes: the oldest, until the target is met, hardlinks counted as what they are."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.contract.errors import NotFound, Refused
from engine.contract.quota import Plan
from engine.quota.disk import Root
from tests.unit.quota.house import House, opened, put


async def test_oldest_first_until_the_target_is_met(house: House) -> None:
    plan = await house.plan("films")
    assert [item.path.display for item in plan.items] == ["a.mkv", "b/b.mkv", "c.mkv"]
    assert [item.reason for item in plan.items[:1]] == ["oldest: not modified since 1970-01-02"]
    assert (plan.used, plan.limit, plan.target) == (500, 250, 250)
    assert (plan.moves, plan.shortfall, plan.frees_now, plan.frees_on_purge) == (300, 0, 0, 300)
    assert plan.state == "open"


async def test_the_same_world_is_the_same_plan(house: House) -> None:
    first = await house.plan("films")
    house.catalogue.scan("films")
    assert await house.plan("films") == first
    assert (await house.kinds()).count("quota.planned") == 1


async def test_another_name_outside_the_library_frees_nothing(
    house: House, films: Path, tmp_path: Path
) -> None:
    os.link(films / "a.mkv", tmp_path / "seeding.mkv")
    house.catalogue.scan("films")
    plan = await house.plan("films")
    assert (plan.moves, plan.frees_on_purge) == (300, 200)
    assert [item.frees for item in plan.items] == [0, 100, 100]
    assert "another name" in plan.items[0].reason


async def test_names_of_one_file_are_counted_once_and_taken_together(
    house: House, films: Path
) -> None:
    os.link(films / "a.mkv", films / "z.mkv")
    house.catalogue.scan("films")
    assert (await house.gauge("films")).used == 500
    plan = await house.plan("films")
    names = [item.path.display for item in plan.items]
    assert names == ["a.mkv", "z.mkv", "b/b.mkv", "c.mkv"]
    assert (plan.moves, plan.frees_on_purge) == (300, 300)
    done = await house.approve(await house.prune("films"))
    assert done.state == "done"
    assert (await house.gauge("films")).used == 200


async def test_keeping_one_name_keeps_the_file(house: House, films: Path) -> None:
    os.link(films / "a.mkv", films / "z.mkv")
    house.catalogue.scan("films")
    plan = await house.plan("films")
    number = await house.prune("films", plan_id=plan.id, keep=(plan.items[1].key,))
    card = (await house.shown(number)).card
    assert [item.text for item in card.items] == ["b/b.mkv", "c.mkv"]


async def test_what_changed_since_the_scan_is_looked_at_again(house: House, films: Path) -> None:
    os.utime(films / "a.mkv", (10**9, 10**9))
    (films / "b" / "b.mkv").unlink()
    plan = await house.plan("films")
    assert [item.path.display for item in plan.items] == ["c.mkv", "d.mkv"]
    assert plan.used == 400
    assert set(house.catalogue.refreshed) == {b"a.mkv", b"b/b.mkv"}


async def test_a_shortfall_is_told(house: House, films: Path, tmp_path: Path) -> None:
    """What cannot be reached is not planned, and the rest of the excess is named."""
    await house.limit("films", 1)
    mounted = [file for file in house.catalogue.files["films"].values() if file.path != b"a.mkv"]
    for file in mounted:
        house.catalogue.files["films"][file.path] = type(file)(
            file.id, file.path, file.dev + 1, file.ino, file.size,
            file.mtime_ns, file.ctime_ns, file.nlink, None,
        )  # fmt: skip
    plan = await house.plan("films")
    assert [item.path.display for item in plan.items] == ["a.mkv"]
    assert (plan.target, plan.moves, plan.shortfall) == (499, 100, 399)


async def test_what_may_not_be_looked_at_is_left_alone(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = Root.look

    def forbidden(root: Root, path: bytes) -> os.stat_result:
        if path == b"b/b.mkv":
            raise PermissionError(13, "Permission denied")
        return look(root, path)

    monkeypatch.setattr(Root, "look", forbidden)
    plan = await house.plan("films")
    assert [item.path.display for item in plan.items] == ["a.mkv", "c.mkv", "d.mkv"]
    assert house.catalogue.refreshed == []


async def test_what_cannot_be_planned_says_why(house: House, films: Path) -> None:
    with pytest.raises(NotFound, match="shows"):
        await house.plan("shows")
    await house.limit("films", 500)
    with pytest.raises(Refused, match="films is within its limit: 500 B of 500 B"):
        await house.prune("films")
    await house.limit("films", 0)
    with pytest.raises(Refused, match="films has no limit"):
        await house.prune("films")
    await house.limit("films", 1)
    del house.catalogue.files["films"]
    with pytest.raises(Refused, match="never scanned"):
        await house.prune("films")
    gauge = await house.gauge("films")
    assert (gauge.state, gauge.over) == ("unknown", 0)


async def test_plan_ids_and_keys_are_checked(house: House) -> None:
    plan = await house.plan("films")
    with pytest.raises(NotFound, match="no plan p99"):
        await house.prune("films", plan_id="p99")
    with pytest.raises(Exception, match="no item '77'"):
        await house.prune("films", plan_id=plan.id, keep=("77",))
    with pytest.raises(Refused, match="nothing is left"):
        await house.prune("films", plan_id=plan.id, keep=tuple(item.key for item in plan.items))
    with pytest.raises(Exception, match="no plan_id"):
        await house.prune("films", keep=("1",))


# --- against a model ----------------------------------------------------------------------------


@dataclass
class Spec:
    """One inode: its size, its day, how many names in the library and how many elsewhere."""

    size: int
    day: int
    names: int
    outside: int
    paths: list[str] = field(default_factory=list)


_specs = st.lists(
    st.builds(
        Spec,
        size=st.integers(0, 50),
        day=st.integers(1, 4),
        names=st.integers(1, 3),
        outside=st.integers(0, 1),
    ),
    min_size=1,
    max_size=9,
)


def _expected(specs: list[Spec], limit: int) -> tuple[set[str], int, int, int]:
    """The model: (paths, used, moves, frees_on_purge)."""
    used = sum(spec.size for spec in specs)
    paths: set[str] = set()
    moves = frees = 0
    for spec in sorted(specs, key=lambda spec: (spec.day, min(spec.paths))):
        if moves >= used - limit:
            break
        paths |= set(spec.paths)
        moves += spec.size
        frees += 0 if spec.outside else spec.size
    return paths, used, moves, frees


def _build(base: Path, specs: list[Spec], shuffle: st.DataObject) -> None:
    order = list(range(sum(spec.names for spec in specs)))
    order = shuffle.draw(st.permutations(order))
    for number, spec in enumerate(specs):
        spec.paths = [f"{order.pop():02}" for _ in range(spec.names)]
        first = put(base / "films", spec.paths[0], spec.size, spec.day)
        for path in spec.paths[1:]:
            os.link(first, base / "films" / path)
        if spec.outside:
            os.link(first, base / f"outside{number}")


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(specs=_specs, share=st.floats(0, 1), shuffle=st.data())
async def test_plans_equal_a_brute_force_model(
    specs: list[Spec], share: float, shuffle: st.DataObject
) -> None:
    base = Path(tempfile.mkdtemp()).resolve()
    try:
        (base / "films").mkdir()
        _build(base, specs, shuffle)
        used = sum(spec.size for spec in specs)
        limit = max(1, int(used * share))
        paths, used, moves, frees = _expected(specs, limit)
        async with opened(base / "home", films=base / "films") as house:
            gauge = await house.limit("films", limit)
            assert gauge.over == max(0, used - limit)
            if used <= limit:
                with pytest.raises(Refused, match="within its limit"):
                    await house.plan("films")
                return
            plan: Plan = await house.plan("films")
            assert {item.path.display for item in plan.items} == paths
            assert (plan.used, plan.moves, plan.frees_on_purge) == (used, moves, frees)
            assert sum(item.frees for item in plan.items) == frees
            await house.approve(await house.prune("films"))
            assert (await house.gauge("films")).used == used - moves
            assert (await house.trash()).frees_on_purge == frees
    finally:
        shutil.rmtree(base)
