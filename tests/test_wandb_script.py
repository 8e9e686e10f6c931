"""`import gittrack as wandb`: a script that was written for W&B runs as it is."""

from __future__ import annotations

import textwrap

import pytest

from tests.gitcmd import GitRepo
from tests.reader import Recorded, only, runs

# As they are written: argparse, config read back by attribute, nested logging, summaries, finish.
TYPICAL = """
import argparse
import random

import gittrack as wandb

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.01)
parser.add_argument("--epochs", type=int, default=3)
args = parser.parse_args()

wandb.login()
wandb.init(project="mnist", entity="team", name="run-1", tags=["baseline"], notes="first", config=args)
wandb.config.update({"architecture": "CNN", "batch_size": 32})
wandb.config.dropout = 0.2
config = wandb.config
wandb.define_metric("epoch")
wandb.define_metric("val/*", step_metric="epoch", summary="max")
wandb.define_metric("train/loss", summary="min")
wandb.watch(object(), log="all", log_freq=10)

best = 0.0
for epoch in range(config.epochs):
    for batch in range(4):
        loss = 1.0 / (1 + epoch * 4 + batch)
        wandb.log({"train": {"loss": loss, "lr": config.lr}, "train/loss": loss}, commit=False)
        wandb.log({"batch": batch})
    accuracy = 0.5 + 0.1 * (epoch % 2)
    wandb.log({"epoch": epoch, "val/accuracy": accuracy})
    if accuracy > best:
        best = accuracy
        wandb.run.summary["best_accuracy"] = accuracy
wandb.summary["final"] = 1
assert wandb.run.summary["val/accuracy"] == accuracy
assert wandb.run.name == "run-1" and wandb.run.project == "mnist" and wandb.run.id
wandb.alert(title="done", text="trained", level="INFO", wait_duration=0)
wandb.finish()
assert wandb.run is None
"""


def recorded(repo: GitRepo, script: str) -> Recorded:
    """Runs a script that imports us as wandb and says nothing, and returns its run."""
    done = repo.python("import gittrack as wandb\n" + textwrap.dedent(script))
    assert (done.stdout, done.stderr) == ("", "")
    return only(repo)


def test_a_typical_script_is_recorded_whole(repo: GitRepo) -> None:
    done = repo.python(TYPICAL, "--lr", "0.1")
    assert done.stderr == "gittrack: alert: done: trained\n"
    found = only(repo)
    assert found.status == "finished"
    assert found.params == {
        "lr": 0.1,
        "epochs": 3,
        "architecture": "CNN",
        "batch_size": 32,
        "dropout": 0.2,
    }
    assert (found.record["name"], found.record["project"], found.facts["entity"]) == ("run-1", "mnist", "team")
    assert found.record["tags"] == ["baseline"]
    losses = [1.0 / (1 + n) for n in range(12)]
    steps = [step for step in range(15) if step % 5 != 4]
    assert found.points("train.loss") == found.points("train/loss") == list(zip(steps, losses, strict=True))
    assert [step for step, _ in found.points("batch")] == steps
    assert found.points("val/accuracy") == [(4, 0.5), (9, 0.6), (14, 0.5)]
    assert (found.metrics["val/accuracy"]["best"], found.metrics["train/loss"]["best"]) == (0.6, losses[-1])
    assert (found.metrics["best_accuracy"]["last"], found.metrics["final"]["last"]) == (0.6, 1.0)


ARGUMENTS = [
    "entity='team'",
    "project='p'",
    "dir='.'",
    "id='abc'",
    "name='n'",
    "notes='x'",
    "tags=['a', 'b']",
    "tags=('a',)",
    "config={'lr': 1}",
    "config=argparse.Namespace(lr=1)",
    "config_exclude_keys=['a']",
    "config_include_keys=['a']",
    "allow_val_change=True",
    "group='g'",
    "job_type='train'",
    "mode='online'",
    "mode='offline'",
    "mode='shared'",
    "force=True",
    "reinit=True",
    "reinit=False",
    "reinit='default'",
    "reinit='return_previous'",
    "reinit='finish_previous'",
    "reinit='create_new'",
    "resume=True",
    "resume=False",
    "resume='allow'",
    "resume='never'",
    "resume='auto'",
    "save_code=True",
    "tensorboard=True",
    "sync_tensorboard=True",
    "monitor_gym=True",
    "settings={'console': 'off'}",
    "settings=object()",
    "anonymous='allow'",
    "magic=True",
]


def test_every_argument_of_wandb_init_is_taken_in_silence(repo: GitRepo) -> None:
    calls = "".join(f"wandb.init({argument}).log({{'x': 1}})\nwandb.finish()\n" for argument in ARGUMENTS)
    done = repo.python("import argparse\nimport gittrack as wandb\n" + calls)
    assert (done.stdout, done.stderr) == ("", "")
    assert len(runs(repo)) == len(ARGUMENTS)
    assert {run.status for run in runs(repo)} == {"finished"}


def test_all_arguments_at_once(repo: GitRepo) -> None:
    names = {argument.partition("=")[0]: argument for argument in ARGUMENTS}
    names["resume"] = "resume='allow'"
    recorded(repo, "import argparse\nwandb.init(" + ", ".join(names.values()) + ")\nwandb.log({'x': 1})\n")


@pytest.mark.parametrize("argument", ["resume_from='abc?_step=3'", "fork_from='abc?_step=3'"])
def test_what_cannot_be_done_is_said_and_the_run_begins_anew(repo: GitRepo, argument: str) -> None:
    done = repo.python(f"import gittrack as wandb\nfor _ in range(2):\n    wandb.init({argument}).log({{'x': 1}})\n")
    assert done.stderr.count(f"init() does not know '{argument.partition('=')[0]}'") == 1
    assert [run.values("x") for run in runs(repo)] == [[1.0], [1.0]]


def test_an_unknown_argument_warns_once_and_never_raises(repo: GitRepo) -> None:
    done = repo.python(
        "import gittrack as wandb\nfor _ in range(3):\n    wandb.init(new_in_2030=1, reinit=True).finish()\n"
    )
    assert done.stderr == "gittrack: warning: init() does not know 'new_in_2030'; it is left out\n"


def test_mode_disabled_records_nothing(repo: GitRepo) -> None:
    repo.python(
        "import gittrack as wandb\nwandb.init(mode='disabled', config={'a': 1})\nwandb.log({'x': wandb.config.a})\n"
    )
    assert runs(repo) == []


def test_the_project_may_be_the_first_argument(repo: GitRepo) -> None:
    assert recorded(repo, "wandb.init('mnist')\n").record["project"] == "mnist"


def test_steps_and_commit_are_those_of_wandb(repo: GitRepo) -> None:
    found = recorded(
        repo,
        """
        run = wandb.init()
        run.log({"a": 1}, commit=False)
        run.log({"b": 1}, commit=True)
        run.log({"a": 2}, step=10)
        run.log({"b": 2}, step=10)
        run.log(data={"a": 3}, step=11, commit=False, sync=True)
        run.log({"b": 3})
        assert run.step == 12 and run.starting_step == 0 and not run.resumed
        """,
    )
    assert found.points("a") == [(0, 1.0), (10, 2.0), (11, 3.0)]
    assert found.points("b") == [(0, 1.0), (10, 2.0), (11, 3.0)]


GOALS = {
    "define_metric('m', summary='max')": "max",
    "define_metric('m', summary='min,last')": "min",
    "define_metric('m', summary='best', goal='maximize')": "max",
    "define_metric('m', goal='minimize')": "min",
    "define_metric('*', summary='max')": "max",
    "define_metric(name='m', step_metric='s', step_sync=True, hidden=True, overwrite=True, summary='min')": "min",
    "define_metric('m', summary='mean')": None,
    "define_metric('m', summary='none')": None,
    "define_metric('m')": None,
    "define_metric('m', 's')": None,
}


def test_define_metric_takes_what_wandb_takes(repo: GitRepo) -> None:
    script = "import gittrack as wandb\n"
    for call in GOALS:
        script += f"wandb.init()\nwandb.{call}\nfor value in (1, 3, 2): wandb.log({{'m': value}})\nwandb.finish()\n"
    assert repo.python(script).stderr == ""
    found = [run.metrics["m"] for run in runs(repo)]
    assert [metric.get("goal") for metric in found] == list(GOALS.values())
    best = {"max": 3.0, "min": 1.0, None: None}
    assert [metric.get("best") for metric in found] == [best[goal] for goal in GOALS.values()]


@pytest.mark.parametrize(
    ("exit_code", "status"), [("", "finished"), ("0", "finished"), ("1", "failed"), ("exit_code=255", "failed")]
)
def test_finish_takes_an_exit_code(repo: GitRepo, exit_code: str, status: str) -> None:
    assert recorded(repo, f"wandb.init()\nwandb.finish({exit_code})\nwandb.finish()\n").status == status


def test_with_blocks_and_two_runs_after_one_another(repo: GitRepo) -> None:
    repo.python(
        """
import gittrack as wandb

for seed in range(2):
    with wandb.init(project="p", group="g", config=dict(seed=seed), reinit=True) as run:
        for step in range(3):
            run.log(dict(loss=step + seed))
        assert wandb.run is run
assert wandb.run is None
"""
    )
    assert [(run.params, run.values("loss")) for run in runs(repo)] == [
        ({"seed": seed}, [float(step + seed) for step in range(3)]) for seed in range(2)
    ]


def test_a_second_init_returns_the_open_run_where_that_is_asked_for(repo: GitRepo) -> None:
    for reinit in ("False", "'return_previous'"):
        repo.python(f"import gittrack as wandb\nassert wandb.init() is wandb.init(reinit={reinit}) is wandb.run\n")
    assert len(runs(repo)) == 2


def test_resume_by_wandb_style_id(repo: GitRepo) -> None:
    script = "import gittrack as wandb\nrun = wandb.init(id='1a2b3c4d', resume='allow')\nrun.log({'x': run.step})\n"
    first, second = repo.python(script), repo.python(script)
    assert first.stderr == ""
    assert "goes on at step 1" in second.stderr
    assert only(repo).points("x") == [(0, 0.0), (1, 1.0)]


def test_config_before_init_says_what_to_do(repo: GitRepo) -> None:
    done = repo.python("import gittrack as wandb\nwandb.config.lr\n", check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-2:] == [
        "gittrack.errors.UsageError: no run is being recorded",
        "hint: call gittrack.init() first",
    ]


def test_what_only_a_server_makes_sense_of_does_not_stop_a_script(repo: GitRepo) -> None:
    done = repo.python(
        """
import gittrack as wandb
run = wandb.init(settings=wandb.Settings(console="off"))
open("m.pt", "w").write("m")
open("notes.txt", "w").write("n")
wandb.watch(None); wandb.unwatch(None); run.watch(None); run.unwatch(None)
run.log_code("."); run.mark_preempting(); run.link_artifact("m", "registry"); wandb.termlog("hello")
wandb.alert("slow", "it is", level=wandb.AlertLevel.WARN)
assert run.log_model("m.pt", name="m.pt", aliases=["best"]) == ["m.pt"]
assert wandb.save("*.txt") == ["notes.txt"]
assert run.get_url() is None and run.project_name() is None
try:
    wandb.use_artifact("none:v0")
except wandb.Error:
    print("ended well")
"""
    )
    assert done.stdout == "ended well\n"
    assert "gittrack: hello" in done.stderr
    found = only(repo)
    assert set(found.yaml("artifacts.yaml")) == {"m.pt", "notes.txt"}
