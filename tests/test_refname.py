"""Names of runs and refs: safe everywhere, never mistaken for a commit."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack import refname
from gittrack.refname import RunId
from tests.gitcmd import GitRepo, run
from tests.strategies import run_ids, texts


@given(st.integers(0, 2**60 - 1))
def test_an_id_holds_sixty_bits_most_significant_first(random: int) -> None:
    made = refname.new_run_id(random)
    assert refname.is_run_id(made)
    digits = "0123456789abcdefghjkmnpqrstvwxyz"
    assert sum(digits.index(char) << 5 * place for place, char in enumerate(reversed(made[1:]))) == random


@given(st.integers(0, 2**200))
def test_bits_above_sixty_do_not_count(random: int) -> None:
    assert refname.new_run_id(random) == refname.new_run_id(random % 2**60)


def test_the_first_and_the_last_id() -> None:
    assert refname.new_run_id(0) == "r000000000000"
    assert refname.new_run_id(2**60 - 1) == "rzzzzzzzzzzzz"


@given(run_ids)
def test_an_id_is_no_object_id_and_its_ref_is_its_own(id: RunId) -> None:
    assert not refname.is_oid(id)
    assert not re.fullmatch("[0-9a-f]+", id)
    assert refname.run_of(refname.run_ref(id)) == id
    assert refname.run_of(id) is None


@pytest.mark.parametrize(
    "text",
    [
        *("", "r", "r0123456789a", "r0123456789abc", "R0123456789ab", "r0123456789aB", "s0123456789ab"),
        *("r0123456789ai", "r0123456789al", "r0123456789ao", "r0123456789au", "r0123456789ab\n", " r0123456789ab"),
        *("r0123456789a\u0661", "r0123456789a/", "r0123456789a.", "../../../../x"),
    ],
)
def test_what_is_no_id_is_told(text: str) -> None:
    assert not refname.is_run_id(text)
    assert refname.run_of(refname.RUNS + text) is None


@pytest.mark.parametrize("oid", ["0" * 40, "f" * 64, "0123456789abcdef" * 4])
def test_whole_object_ids_are_known(oid: str) -> None:
    assert refname.is_oid(oid)


@pytest.mark.parametrize(
    "text", ["", "0" * 39, "0" * 41, "0" * 63, "A" * 40, "g" * 40, "0" * 40 + "\n", "HEAD", "-" * 40]
)
def test_what_is_no_object_id_is_told(text: str) -> None:
    assert not refname.is_oid(text)


@given(texts, texts)
def test_the_id_of_another_tracker_always_becomes_the_same_run(one: str, two: str) -> None:
    assert refname.is_run_id(refname.run_id_for(one))
    assert refname.run_id_for(one) == refname.run_id_for(one)
    halves = re.compile("[\ud800-\udfff]")
    assert (refname.run_id_for(one) == refname.run_id_for(two)) == (halves.sub("?", one) == halves.sub("?", two))


@given(st.integers(0, 2**80))
def test_a_name_can_be_said_and_typed(random: int) -> None:
    assert re.fullmatch("[a-z]+-[a-z]+-[0-9]{1,2}", refname.new_run_name(random))


def test_names_are_spread_over_all_their_words() -> None:
    assert len({refname.new_run_name(random) for random in range(100_000)}) == 100_000


REMOTES = (
    *("origin", "live", "remote-live", "remote-", "", ".", "..", "a/b", "a%2fb", "remote-a%2fb", "/srv/git/x.git"),
    *("https://ada@example.org/x", "a b", "-x", "é", "a.lock", "a@{1}", "\x1b", "\ud800", "HEAD", "x" * 80),
)


@pytest.mark.parametrize("remote", REMOTES)
def test_what_was_seen_on_a_remote_has_a_place_of_its_own_that_git_takes(remote: str, empty_repo: GitRepo) -> None:
    prefix = refname.mirror_prefix(remote)
    assert prefix.startswith("refs/gittrack/")
    assert prefix.endswith("/runs/")
    assert prefix.count("/") == 4
    assert not prefix.startswith(refname.LIVE)
    run(["git", "check-ref-format", prefix + "r0123456789ab"], cwd=empty_repo.path)
    assert refname.run_of(prefix + "r0123456789ab", prefix=prefix) == "r0123456789ab"


def test_an_ordinary_remote_goes_by_its_name() -> None:
    assert refname.mirror_prefix("origin") == "refs/gittrack/origin/runs/"


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(REMOTES[:-3]))
def test_no_two_remotes_share_a_place(remote: str) -> None:
    for other in REMOTES:
        if "\ud800" not in other and other != remote:
            assert refname.mirror_prefix(other) != refname.mirror_prefix(remote)
