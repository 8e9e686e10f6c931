"""A run as values: what its edits add up to, in whatever order they come; nested names made flat."""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack.codec import event
from gittrack.model import RECORDED, Code, Column, Edit, History, Metric, Run, State, adders_of, flatten, fold
from gittrack.refname import Oid, RunId
from tests.strategies import changes, edit_lists, mappings, states, tags

BASE = State("calm-heron-42", "finished", ("recorded",), "g", ("first",))
METRIC = Metric(last=3.0, step=9, min=1.0, min_step=1, max=5.0, max_step=2, mean=2.0, count=3)


def edit(clock: int, random: int = 0, **said: Any) -> Edit:
    return Edit(event.edit_file(clock, random), clock, "Ada <ada@example.org>", "t", said)


# Edits --------------------------------------------------------------------------------------------------------------


@given(states, edit_lists, st.randoms())
def test_the_order_in_which_edits_come_does_not_matter(base: State, edits: list[Edit], random: Any) -> None:
    shuffled = list(edits)
    random.shuffle(shuffled)
    assert fold(base, shuffled) == fold(base, edits)


@given(states, edit_lists, edit_lists, edit_lists)
def test_a_join_is_a_union_so_nobody_loses_and_everybody_agrees(
    base: State, one: list[Edit], two: list[Edit], three: list[Edit]
) -> None:
    def join(*sides: list[Edit]) -> State:
        files = {made.file: made for side in sides for made in side}
        return fold(base, files.values())

    # One file is one edit: where two draws chose one name, the first is the edit.
    known: dict[str, Edit] = {}
    one, two, three = ([known.setdefault(made.file, made) for made in side] for side in (one, two, three))
    states_of = {join(*sides) for sides in itertools.permutations((one, two, three))}
    assert len(states_of) == 1
    assert join(one, one) == join(one)
    assert join(one, two, two, one) == join(one, two)


@given(states, edit_lists, tags)
def test_an_untag_takes_back_what_it_saw_and_nothing_that_came_meanwhile(
    base: State, edits: list[Edit], tag: str
) -> None:
    seen = adders_of(tag, base, edits)
    taking_back = edit(100, untag={tag: seen})
    assert tag not in fold(base, [*edits, taking_back]).tags
    meanwhile = edit(2, 9, tag=[tag])  # older by its clock, and not seen
    assert tag in fold(base, [*edits, taking_back, meanwhile]).tags


@given(states, edit_lists, tags)
def test_a_tag_is_there_while_one_edit_that_adds_it_is(base: State, edits: list[Edit], tag: str) -> None:
    if tag in fold(base, edits).tags:
        assert adders_of(tag, base, edits)
        for number, file in enumerate(adders_of(tag, base, edits)):
            left = [name for name in adders_of(tag, base, edits) if name != file]
            after = fold(base, [*edits, edit(100 + number, untag={tag: [file]})]).tags
            assert tag not in after or left


def test_the_tags_a_run_was_recorded_with_are_taken_back_by_the_name_of_its_file() -> None:
    assert adders_of("recorded", BASE, []) == [RECORDED]
    assert fold(BASE, [edit(1, untag={"recorded": [RECORDED]})]).tags == ()
    assert fold(BASE, [edit(1, untag={"recorded": ["another file"]})]).tags == ("recorded",)


@pytest.mark.parametrize(
    ("key", "values", "field"),
    [
        ("name", ("b", "a"), "name"),
        ("group", ("b", "a"), "group"),
        ("status", ("failed", "crashed"), "status"),
        ("star", (True, False), "starred"),
    ],
)
def test_of_single_values_the_one_with_the_greatest_clock_then_file_holds(
    key: str, values: tuple[Any, Any], field: str
) -> None:
    first, second = values
    assert getattr(fold(BASE, [edit(2, **{key: second}), edit(1, **{key: first})]), field) == second
    assert getattr(fold(BASE, [edit(1, 1, **{key: second}), edit(1, 0, **{key: first})]), field) == second


def test_an_empty_group_is_none() -> None:
    assert fold(BASE, [edit(1, group="")]).group is None


def test_notes_are_a_list_in_the_order_of_their_clocks() -> None:
    edits = [edit(3, note="third"), edit(2, 1, note="second b"), edit(2, 0, note="second a")]
    assert fold(BASE, edits).notes == ("first", "second a", "second b", "third")


def test_a_run_is_deleted_until_it_is_restored() -> None:
    deleted, restored = edit(1, delete=True), edit(2, restore=True)
    assert fold(BASE, [deleted]).deleted
    assert not fold(BASE, [deleted, restored]).deleted
    assert fold(BASE, [deleted, restored, edit(3, delete=True)]).deleted
    assert fold(replace(BASE, deleted=True), []).deleted


@given(states, st.lists(changes))
def test_an_edit_of_a_kind_that_is_not_known_changes_nothing(base: State, said: list[dict[str, Any]]) -> None:
    known = [edit(clock, **one) for clock, one in enumerate(said)]
    unknown = [edit(clock, 7, colour="red", weight=clock) for clock in range(9)]
    assert fold(base, [*known, *unknown]) == fold(base, known)


# Metrics, code, history ---------------------------------------------------------------------------------------------


def test_the_best_is_what_the_goal_says_and_none_without_one() -> None:
    assert (METRIC.best, METRIC.best_step) == (None, None)
    low, high = METRIC._replace(goal="min"), METRIC._replace(goal="max")
    assert [(one.best, one.best_step) for one in (low, high)] == [(1.0, 1), (5.0, 2)]


def test_the_exact_code_is_the_snapshot_where_there_is_one() -> None:
    commit, snapshot = Oid("a" * 40), Oid("b" * 40)
    assert Code().exact is None
    assert Code(commit).exact == commit
    assert Code(commit, snapshot=snapshot).exact == snapshot


def test_a_series_has_the_points_of_one_metric() -> None:
    table = History(
        steps=array("q", [1, 2, 3]),
        times=array("q", [1000, 1500, 2001]),
        columns={"a": Column(array("d", [0.1, 0.2, 0.3])), "b": Column(array("d", [9.0]), array("q", [1]))},
    )
    assert table.points == 4
    assert table.series("a") == [(1, 1.0, 0.1), (2, 1.5, 0.2), (3, 2.001, 0.3)]
    assert table.series("b") == [(2, 1.5, 9.0)]
    with pytest.raises(KeyError):
        table.series("c")


# Flat names ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("nested", "flat"),
    [
        ({}, {}),
        ({"a": 1, "b": {"c": 2, "d": {"e": 3}}}, {"a": 1, "b.c": 2, "b.d.e": 3}),
        ({"a": {}, "b": []}, {"a": {}, "b": []}),
        ({"a": {"b": 2}, "a.b": 1}, {"a.b": 2, "a\\.b": 1}),
        ({"a.b": 1, "a": {"b": 2}}, {"a\\.b": 1, "a.b": 2}),
        ({"x": {"a.b": 1, "a": {"b": 2}}}, {"x.a\\.b": 1, "x.a.b": 2}),
    ],
)
def test_nested_names_are_joined_by_dots(nested: Mapping[str, Any], flat: Mapping[str, Any]) -> None:
    assert flatten(nested) == flat
    run = Run(id=RunId("r0123456789ab"), name="n", status="finished", created="c", params=nested)
    assert run.flat_params == flat


NAMES = st.sampled_from(["a", "b", "a.b", "b.a", "a.b.a", "\\", "a\\.b", "."])


@given(st.recursive(st.integers(), lambda inner: st.dictionaries(NAMES, inner, min_size=1, max_size=4)))
def test_no_value_is_lost_when_names_are_made_flat(nested: Any) -> None:
    def leaves(value: Any) -> list[Any]:
        return [leaf for item in value.values() for leaf in leaves(item)] if isinstance(value, dict) else [value]

    if isinstance(nested, dict):
        assert sorted(map(repr, flatten(nested).values())) == sorted(map(repr, leaves(nested)))


@given(mappings())
def test_flat_params_hold_no_mappings_but_empty_ones(nested: dict[str, Any]) -> None:
    assert all(value == {} for value in flatten(nested).values() if isinstance(value, dict))
