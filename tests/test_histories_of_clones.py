"""Whatever three clones do, and whatever way it travels: they end at the same runs, and nothing is lost.

`make faults` runs a thousand histories; `pytest tests/test_histories_of_clones.py -m faults -k seed-7` runs one part of
them again, and each failure is printed as the shortest history that fails."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from gittrack.lineage import Choice, Lineage
from gittrack.refname import RunId
from tests.clones import DAY, REMOTES, Clone, World, world

PARTS, HISTORIES_OF_A_PART = 20, 50
MAX_RUNS = 3

people = st.integers(0, 2)
which = st.integers(0, MAX_RUNS - 1)
remotes = st.sampled_from(REMOTES)
letters = st.sampled_from("abc")
changes = st.one_of(
    st.builds(lambda tag: {"tag": [tag]}, letters),
    st.builds(lambda tag: {"untag": [tag]}, st.sampled_from(["a", "b", "recorded"])),
    st.builds(lambda name: {"name": name}, letters),
    st.builds(lambda note: {"note": note}, letters),
    st.builds(lambda group: {"group": group}, letters),
    st.builds(lambda star: {"star": star}, st.booleans()),
    st.builds(lambda status: {"status": status}, st.sampled_from(["failed", "finished"])),
    st.just({"delete": True}),
    st.just({"restore": True}),
)


class History(RuleBasedStateMachine):
    """What people do, in any order; when it ends, everybody syncs with everybody."""

    def __init__(self) -> None:
        super().__init__()
        self.closing = ExitStack()
        self.world: World | None = None

    @initialize()
    def begin(self) -> None:
        self.world = self.closing.enter_context(world())

    def at(self, person: int) -> tuple[World, Clone]:
        assert self.world
        return self.world, self.world.clones[person]

    @rule(person=people)
    def record(self, person: int) -> None:
        world, clone = self.at(person)
        if len(world.commits) < MAX_RUNS:
            world.begin(clone)

    @rule(person=people, run=which, change=changes)
    def edit(self, person: int, run: int, change: dict[str, Any]) -> None:
        world, clone = self.at(person)
        if (found := self.chosen(clone, run)) is not None:
            world.edit(clone, found, change)

    @rule(person=people, run=which, tag=letters)
    def tag(self, person: int, run: int, tag: str) -> None:  # which is most of what people do
        self.edit(person, run, {"tag": [tag]})

    @rule(first=people, second=people, run=which, change=changes)
    def both_edit(self, first: int, second: int, run: int, change: dict[str, Any]) -> None:
        self.edit(first, run, change)
        self.edit(second, run, change)

    @rule(person=people, run=which)
    def go_on(self, person: int, run: int) -> None:
        world, clone = self.at(person)
        if (found := self.chosen(clone, run)) is not None:
            world.go_on(clone, found)

    @rule(person=people, remote=remotes)
    def pull(self, person: int, remote: str) -> None:
        world, clone = self.at(person)
        world.pull(clone, remote)

    @rule(person=people, remote=remotes)
    def push(self, person: int, remote: str) -> None:
        world, clone = self.at(person)
        world.push(clone, remote)

    @rule(person=people)
    def save(self, person: int) -> None:
        world, clone = self.at(person)
        world.save(clone)

    @rule(person=people)
    def load(self, person: int) -> None:
        world, clone = self.at(person)
        world.load(clone)

    @rule(person=people, remote=remotes)
    def fetch(self, person: int, remote: str) -> None:
        world, clone = self.at(person)
        world.fetch_only(clone, remote)

    @rule(person=people)
    def look(self, person: int) -> None:
        world, clone = self.at(person)
        world.look(clone)

    @rule(person=people)
    def tidy(self, person: int) -> None:
        world, clone = self.at(person)
        world.tidy(clone)

    @rule(person=people, run=which)
    def archive(self, person: int, run: int) -> None:
        world, clone = self.at(person)
        if (found := self.chosen(clone, run)) is not None:
            world.archive(clone, found)

    @rule(person=people, run=st.integers(1, MAX_RUNS - 1))
    def bury(self, person: int, run: int) -> None:
        world, clone = self.at(person)
        if (found := self.chosen(clone, run)) is not None and found != world.first:
            world.bury(clone, found)

    @rule(person=people, remote=remotes)
    def free(self, person: int, remote: str) -> None:
        world, clone = self.at(person)
        world.free(clone, remote)

    @rule(days=st.sampled_from([-1, 1]))
    def jump(self, days: int) -> None:
        if self.world:
            self.world.now += days * DAY

    @staticmethod
    def chosen(clone: Clone, number: int) -> RunId | None:
        """Returns one of the runs that are in a clone."""
        runs = sorted(clone.runs())
        return runs[number % len(runs)] if runs else None

    def teardown(self) -> None:
        with self.closing:
            if self.world:
                self.world.finish()


def histories(count: int, *, steps: int = 24, shrink: bool = True) -> settings:
    """Returns the settings for so many histories."""
    phases = [Phase.generate, Phase.shrink] if shrink else [Phase.generate]
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(max_examples=count, stateful_step_count=steps, phases=phases, suppress_health_check=checks)


@pytest.mark.slow
def test_three_clones_end_at_the_same_runs_whatever_they_did() -> None:
    run_state_machine_as_test(History, settings=histories(10, steps=12))


@pytest.mark.faults
@pytest.mark.parametrize("number", range(PARTS), ids=lambda number: f"seed-{number}")
def test_a_thousand_histories_end_at_the_same_runs(number: int) -> None:
    machine = seed(number)(type(f"History{number}", (History,), {}))
    run_state_machine_as_test(machine, settings=histories(HISTORIES_OF_A_PART, steps=40))


def always_joining(ours: str, theirs: str) -> Choice:
    return "keep" if ours == theirs else "join"


def taking_one(ours: str, theirs: str) -> Choice:
    return "forward" if theirs < ours else "keep"


@pytest.mark.parametrize(("rule", "said"), [(always_joining, "it goes on"), (taking_one, "commits of")])
def test_this_machine_sees_what_other_rules_lose_or_never_end(
    monkeypatch: pytest.MonkeyPatch, rule: Callable[[str, str], Choice], said: str
) -> None:
    with world() as ours:
        [run] = ours.commits
        for clone, remote in zip(ours.clones, REMOTES, strict=False):
            ours.edit(clone, run, {"tag": [clone.name]})
            ours.push(clone, remote)
        monkeypatch.setattr(Lineage, "decide", lambda self, run, ours, theirs: rule(ours, theirs))
        monkeypatch.setattr(Lineage, "has_more", lambda self, run, tip, there: False)
        with pytest.raises(AssertionError, match=said):
            ours.finish()
