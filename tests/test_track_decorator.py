"""`@track`: a call is a run."""

from __future__ import annotations

from tests.gitcmd import GitRepo
from tests.reader import only, runs


def test_the_arguments_are_params_and_a_returned_mapping_is_the_summary(repo: GitRepo) -> None:
    done = repo.python(
        """
import gittrack as gt

@gt.track
def train(lr, depth=3, *rest, momentum: float = 0.9, **more) -> dict:
    "Trains."
    gt.log({"loss": lr})
    return {"acc": 0.5, "verdict": "fine"}

print(train(0.1, momentum=0.8, extra="x"), train.__name__, train.__doc__)
"""
    )
    assert done.stdout == "{'acc': 0.5, 'verdict': 'fine'} train Trains.\n"
    found = only(repo)
    assert found.status == "finished"
    assert found.params == {"lr": 0.1, "depth": 3, "rest": [], "momentum": 0.8, "more": {"extra": "x"}}
    assert found.metrics["acc"]["last"] == 0.5
    assert found.values("loss") == [0.1]


def test_each_call_is_a_run_with_the_options_of_init(repo: GitRepo) -> None:
    repo.python(
        """
import gittrack as gt

@gt.track(tags=["cv"], group="sweep", params={"dataset": "digits"})
def train(lr: float = 3e-4) -> None:
    gt.log({"loss": lr})

for lr in (1, 2):
    train(lr=lr)
train()
"""
    )
    found = runs(repo)
    assert [each.params for each in found] == [{"lr": lr, "dataset": "digits"} for lr in (1, 2, 0.0003)]
    assert [(each.record["tags"], each.record["group"]) for each in found] == [(["cv"], "sweep")] * 3


def test_an_exception_is_recorded_and_raised(repo: GitRepo) -> None:
    done = repo.python(
        """
import gittrack as gt

@gt.track
def train():
    gt.log({"loss": 1})
    raise ValueError("diverged")

try:
    train()
except ValueError as exc:
    print("caught", exc)
"""
    )
    assert done.stdout == "caught diverged\n"
    found = only(repo)
    assert (found.status, found.facts["error"], found.values("loss")) == ("failed", "ValueError: diverged", [1.0])


def test_arguments_that_do_not_fit_raise_what_python_raises_and_begin_no_run(repo: GitRepo) -> None:
    done = repo.python("import gittrack as gt\n@gt.track\ndef train(lr): ...\ntrain()\n", check=False)
    assert "TypeError: " in done.stderr.splitlines()[-1]
    assert runs(repo) == []


def test_a_tracked_call_inside_of_another_is_a_run_of_its_own(repo: GitRepo) -> None:
    done = repo.python(
        """
import gittrack as gt

@gt.track(name="inner")
def inner(x):
    gt.log({"x": x})

@gt.track(name="outer")
def outer():
    gt.log({"before": 1})
    inner(5)
    gt.log({"after": 1})

outer()
"""
    )
    assert done.stderr == ""
    outer, inner = sorted(runs(repo), key=lambda each: each.record["name"], reverse=True)
    assert (outer.values("before"), outer.values("after"), inner.values("x")) == ([1.0], [1.0], [5.0])
    assert inner.record["parent"] == outer.id


def test_methods_async_functions_and_generators(repo: GitRepo) -> None:
    done = repo.python(
        """
import asyncio
import gittrack as gt

class Trainer:
    @gt.track(name="method")
    def fit(self, lr): gt.log({"m": lr})

@gt.track(name="async")
async def train(lr):
    await asyncio.sleep(0)
    gt.log({"a": lr})
    return {"acc": 1.0}

@gt.track(name="generator")
def epochs(n):
    for epoch in range(n):
        gt.log({"g": epoch})
        yield epoch

Trainer().fit(0.5)
print(asyncio.run(train(2)), list(epochs(3)), asyncio.iscoroutinefunction(train))
"""
    )
    assert (done.stdout, done.stderr) == ("{'acc': 1.0} [0, 1, 2] True\n", "")
    found = {each.record["name"]: each for each in runs(repo)}
    assert found["method"].values("m") == [0.5]
    assert found["method"].params == {"lr": 0.5}
    assert (found["async"].values("a"), found["async"].metrics["acc"]["last"]) == ([2.0], 1.0)
    assert found["generator"].values("g") == [0.0, 1.0, 2.0]
    assert {each.status for each in found.values()} == {"finished"}
