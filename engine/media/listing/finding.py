"""The first rows of a list, or all of it, by the columns of all files. Blocking; imports NumPy."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from engine.media.listing.aside import Reading
from engine.media.listing.columns import Columns, Lead
from engine.media.listing.matching import Mark, Match, Phase
from engine.media.listing.texts import Array, Texts

_SPARE = 4
"""So many times the rows that are wanted are kept between two sortings."""


def first(
    reading: Reading, found: Match, phases: Sequence[Phase], after: Mark | None, limit: int
) -> list[Mark] | None:
    """The first rows behind a row, or from the beginning on. None: too few files are in blocks."""
    columns = Columns.of(reading, found)
    if columns is None:
        return None
    marks: list[Mark] = []
    begin = after.phase if after else 0
    beyond = (after.key, after.id) if after else ()
    every = columns.leads(phases[begin:], beyond)
    for number, (phase, leads) in enumerate(zip(phases[begin:], every, strict=True), begin):
        of_phase = _by_path if phase.column == "path" else _by_number
        pairs = of_phase(columns, leads, phase, beyond, limit - len(marks))
        marks += [Mark(number, key, id_) for key, id_ in pairs]
        if len(marks) >= limit:
            break
    return marks


def matching(reading: Reading, found: Match, most: int) -> list[int] | None:
    """The ids of all that matches. None: these are more than ``most``, or too few files are in
    blocks."""
    columns = Columns.of(reading, found)
    if columns is None:
        return None
    ids: list[int] = []
    [leads] = columns.leads([None])
    for lead, texts in _told(columns, leads):
        ids += lead.ids[_named(columns, lead, texts)].tolist()
        if len(ids) > most:
            return None
    return ids


def ordered(reading: Reading, found: Match, phases: Sequence[Phase]) -> array[int] | None:
    """The ids of all that matches, in an order of numbers. None: too few files are in blocks."""
    columns = Columns.of(reading, found)
    if columns is None:
        return None
    ids = array("q")
    for phase, leads in zip(phases, columns.leads(phases), strict=True):
        keys: list[Array] = [np.empty(0, np.int64)]
        of: list[Array] = [np.empty(0, np.int64)]
        for lead, texts in _told(columns, leads):
            places = _named(columns, lead, texts)
            keys.append(_turned(lead.keys[places], phase))
            of.append(_turned(lead.ids[places], phase))
        [_keys], [numbers] = _least(keys, of)
        ids.frombytes(_turned(numbers, phase).tobytes())
    return ids


def _told(columns: Columns, leads: Sequence[Lead]) -> Iterable[tuple[Lead, Texts | None]]:
    """With the texts, if a name is looked for."""
    if not columns.found.needle:
        return ((lead, None) for lead in leads)
    return columns.texts([lead for lead in leads if lead.block not in columns.barren])


def _named(columns: Columns, lead: Lead, texts: Texts | None, places: Array = None) -> Array:
    """Of the places among a lead's rows, or of all, those whose path contains what is wanted."""
    needle = columns.found.needle.encode()
    if places is None:
        places = np.arange(len(lead.rows))
    if texts is None or not needle:
        return places
    if texts.lacks(needle):
        columns.barren.add(lead.block)
        return places[:0]
    return places[texts.hold(lead.rows[places], needle)]


def _by_number(
    columns: Columns,
    leads: list[Lead],
    phase: Phase,
    _beyond: tuple[Any, ...],  # Where it is a number, the first look has seen to it.
    limit: int,
) -> list[tuple[Any, int]]:
    keys: list[Array] = []
    ids: list[Array] = []
    kept, worst = 0, None
    leads = sorted(leads, key=lambda lead: _turned(lead.best, phase))
    for lead, texts in _told(columns, leads):
        places = None
        if worst is not None:
            if _turned(lead.best, phase) > worst:
                break
            places = np.flatnonzero(_turned(lead.keys, phase) <= worst)
        places = _named(columns, lead, texts, places)
        keys.append(_turned(lead.keys[places], phase))
        ids.append(_turned(lead.ids[places], phase))
        kept += len(places)
        if kept >= limit and (worst is None or kept > _SPARE * limit):
            keys, ids = _least(keys, ids, limit)
            kept, worst = limit, int(keys[0][-1])
    if not keys:
        return []
    [of], [id_] = _least(keys, ids, limit)
    return [*zip(_turned(of, phase).tolist(), _turned(id_, phase).tolist(), strict=True)]


def _turned(numbers: Any, phase: Phase) -> Any:
    """So that the first of the order is the least. The complement does with every number what a
    minus does with all but the least one."""
    return ~numbers if phase.descending else numbers


def _least(
    keys: Sequence[Array], ids: Sequence[Array], limit: int | None = None
) -> tuple[list[Array], list[Array]]:
    every, of = np.concatenate(keys), np.concatenate(ids)
    order = np.lexsort((of, every))[:limit]
    return [every[order]], [of[order]]


def _by_path(
    columns: Columns,
    leads: list[Lead],
    phase: Phase,
    beyond: tuple[Any, ...],
    limit: int,
) -> list[tuple[Any, int]]:
    back = phase.descending
    pairs: list[tuple[Any, int]] = []
    worst: bytes | None = None
    leads = sorted(leads, key=lambda lead: lead.best, reverse=back)
    for lead, texts in columns.texts(leads):
        places = None
        if worst is not None:
            if lead.best < worst if back else lead.best > worst:
                break
            bounds = texts.bounds(descending=back)
            near = np.array([best >= worst if back else best <= worst for best in bounds])
            places = np.flatnonzero(near[texts.places()[lead.rows]])
        places = _named(columns, lead, texts, places)
        if not len(places):
            continue
        paths = texts.paths(lead.rows[places])
        some = zip(paths, lead.ids[places].tolist(), strict=True)
        pairs += (p for p in some if not beyond or (p < beyond if back else p > beyond))
        if len(pairs) >= limit and (worst is None or len(pairs) > _SPARE * limit):
            pairs = sorted(pairs, reverse=back)[:limit]
            worst = pairs[-1][0]
    return sorted(pairs, reverse=back)[:limit]
