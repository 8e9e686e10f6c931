"""What the documentation shows is run, and what it lists is all there is."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import click
import pytest

import gittrack
from gittrack import forms, hooks, reading
from gittrack.cli import GROUPS, cli
from gittrack.curves import Curves
from gittrack.errors import Misread
from gittrack.model import Metric, Run
from gittrack.obtained import RecordedArtifact
from gittrack.query import fields, language
from gittrack.reading import Runs
from gittrack.recorded import RecordedRun
from gittrack.refname import RunId
from gittrack.settings import KEYS
from tests import gitcmd
from tests.gitcmd import GitRepo
from tests.nogit import without_git
from tests.recording import make
from tests.runs import ask, record

ROOT = Path(__file__).parent.parent


def _blocks(page: str, language: str) -> list[str]:
    text = (ROOT / page).read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def _shell(repo: GitRepo, script: str) -> str:
    return gitcmd.run(["sh", "-ec", script], cwd=repo.path).stdout


def test_the_configuration_page_lists_every_setting_with_its_default_and_meaning() -> None:
    text = (ROOT / "docs/reference/configuration.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `track\.(\w+)` \| (.*?) \|$", text, re.MULTILINE))
    expected = {
        key: f"`{default}` | {meaning}" if default else f"| {meaning}" for key, (default, meaning) in KEYS.items()
    }
    assert {key: row.strip() for key, row in rows.items()} == expected


def test_the_start_of_the_readme_records_a_run(repo: GitRepo) -> None:
    start, _ = _blocks("README.md", "python")
    repo.python(start)
    (run,) = json.loads(repo.track("ls", "--json").stdout)
    assert run["status"] == "finished"
    assert run["points"] == 1000
    assert run["params"] == {"lr": 0.0003}


def test_the_files_of_the_readme_are_kept_and_used(repo: GitRepo) -> None:
    pytest.importorskip("numpy")
    _, files = _blocks("README.md", "python")
    (repo.path / "train.csv").write_text("a,b\n1,2\n", "utf-8")
    make(repo, name="calm-heron-42", files=["train.csv"])
    (repo.path / "checkpoints").mkdir()
    (repo.path / "checkpoints" / "best.pt").write_bytes(b"weights")
    done = repo.python("import gittrack as gt\nimport numpy\nimage = numpy.zeros((4, 4))\n" + files)
    assert "warning" not in done.stderr
    assert gittrack.get("@", path=repo.path).facts["inputs"][0]["path"] == "train.csv"
    kept = [item.path for item in gittrack.get("@", path=repo.path).artifacts]
    assert kept == ["checkpoints/best.pt", "media/samples/100.png"]


def test_the_first_commands_of_the_readme_are_make_demo_and_make_test() -> None:
    first = _blocks("README.md", "sh")[0]
    assert first.split("\n")[:2] == ["make demo", "make test"]


def test_the_shell_script_of_the_how_to_records_a_run(repo: GitRepo) -> None:
    script = _blocks("docs/how-to/scripts.md", "sh")[1]
    (repo.path / "out").mkdir()
    (repo.path / "out" / "model.onnx").write_bytes(b"weights")
    _shell(repo, script)
    (run,) = json.loads(repo.track("ls", "--json").stdout)
    assert (run["name"], run["status"], run["metrics"]["acc"]["step"]) == ("nightly", "finished", 1)
    assert repo.track("show", "nightly:artifacts/model.onnx").stdout == "weights"


def test_the_page_about_analysis_in_python_runs_from_top_to_bottom(repo: GitRepo) -> None:
    for library in ("pandas", "polars", "pyarrow", "matplotlib"):
        pytest.importorskip(library)
    (repo.path / "model.txt").write_text("weights", "utf-8")
    for number, rate in enumerate((0.1, 0.01, 0.1)):
        values = {"val/acc": [0.5, 0.6 + number / 10], "loss": [1 / (step + 1) for step in range(30)]}
        make(repo, values, goals={"val/acc": "max"}, params={"lr": rate}, name=f"run-{number}", files=["model.txt"])
    script = "".join(_blocks("docs/how-to/analyse-in-python.md", "python"))
    done = repo.python(script + "import polars\nassert polars.DataFrame(runs).equals(runs.to_polars())\n")
    assert done.stdout.startswith("run-2 0.1 0.8\nrun-1 0.01 0.7\nrun-0 0.1 0.6\n")
    assert "30 ('step', 'time', 'loss', 'val/acc')\n" in done.stdout
    assert "artifacts/model.txt" in done.stdout
    assert (repo.path / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_the_page_on_images_and_tables_runs_from_top_to_bottom(repo: GitRepo) -> None:
    for library in ("numpy", "matplotlib"):
        pytest.importorskip(library)
    page = "docs/how-to/log-images-and-tables.md"
    first, figure, reading = _blocks(page, "python")
    done = repo.python(first + figure)
    assert "warning" not in done.stderr
    (commands,) = _blocks(page, "sh")
    out = _shell(repo, commands)
    assert "media/play/2.png" in out
    assert "once upon a time" in out
    assert sorted(path.name for path in (repo.path / "pictures").rglob("*.png")) == ["0.png", "1.png", "2.png"]
    assert "label,score\ncat,0.9\ndog,0.1\n" in repo.python("import gittrack as gt\n" + reading).stdout


def test_the_page_on_models_runs_from_top_to_bottom(repo: GitRepo) -> None:
    page = "docs/how-to/use-a-model-again.md"
    train, use, look = _blocks(page, "python")
    repo.python(train + use)
    out = _shell(repo, *_blocks(page, "sh"))
    assert ":model.pt" in out.partition("Inputs")[2]
    assert "('candidate',)" in repo.python("import gittrack as gt\n" + look).stdout
    assert (repo.path / "models" / "model.pt").stat().st_size == 700_000


def test_the_python_page_names_all_that_a_run_that_is_read_has() -> None:
    text = (ROOT / "docs/reference/python.md").read_text("utf-8").partition("## Reading")[2]
    columns = reading.frame([Run(RunId("r0123456789ab"), "a", "finished", "")]).columns
    kinds = (RecordedRun, RecordedArtifact, Runs, Curves)
    members = [name for kind in kinds for name in vars(kind) if not name.startswith("_")]
    missing = [name for name in [*columns, *members] if not re.search(rf"`{re.escape(name)}[`(\[]", text)]
    assert missing == []


def test_the_way_to_hide_runs_from_graphs_works(repo: GitRepo) -> None:
    repo.track("run", "--", "true")
    assert "run " in repo.git("log", "--all", "--format=%s")
    command, alias, setting = _blocks("docs/how-to/hide-runs-from-graphs.md", "sh")
    assert "run " not in _shell(repo, command.rstrip() + " --format=%s")
    graph = _shell(repo, alias + "git graph")
    assert "train: begin" in graph
    assert "run " not in graph
    repo.git("config", "log.initialDecorationSet", "all")
    assert "refs/runs/" in repo.git("log", "--all", "--decorate=full")
    _shell(repo, setting)
    assert "refs/runs/" not in repo.git("log", "--all", "--decorate=full")


def test_the_page_about_hooks_is_right_about_commands_and_lines(repo: GitRepo, bare_remote: GitRepo) -> None:
    page = "docs/how-to/hooks.md"
    commands, marks, line, both = _blocks(page, "sh")
    before = (repo.path / ".git" / "config").read_bytes()
    out = _shell(repo, commands)
    assert "the pre-push hook is in place" in out
    assert (repo.path / ".git" / "config").read_bytes() == before
    assert {marks.splitlines()[0], marks.splitlines()[-1]} <= set(hooks.block("pre-push").splitlines())
    assert line.strip() == hooks.line("pre-push")
    assert line.strip() in both
    assert "id: gittrack-push" in (ROOT / ".pre-commit-hooks.yaml").read_text("utf-8")


def test_the_commands_of_the_page_on_curves_draw_what_it_says(repo: GitRepo) -> None:
    page = "docs/how-to/plot-and-watch.md"
    (sweep,) = _blocks(page, "python")
    repo.python(sweep)
    commands = "".join(_blocks(page, "sh"))
    out = _shell(repo, commands)
    assert out.count(" step\n") == 8
    assert "params.lr=0.03 (n=3)" in out
    assert "metrics.val/acc  by rank correlation" in out
    assert len((repo.path / "curves.csv").read_text("utf-8").splitlines()) > 1000


def test_the_commands_of_the_page_on_machines_without_git_work_there(repo: GitRepo) -> None:
    (commands,) = _blocks("docs/how-to/without-git.md", "sh")
    env = without_git(repo, "sh", "python", "git-track")
    done = gitcmd.run(["sh", "-ec", commands], cwd=repo.path, env=env)
    assert "finished" in done.stdout
    assert "git is not on PATH" in done.stdout


def test_the_commands_of_the_page_on_comparing_runs_work(repo: GitRepo) -> None:
    looks, columns, groups, differences, gate = _blocks("docs/how-to/compare-runs.md", "sh")
    metric = {"val/acc": [0.9], "loss": [0.5]}
    specs = [{"params": {"lr": at, "opt": "adam"}, "tags": ["paper"], "metrics": metric} for at in range(5)]
    before = {"name": "before", "tags": ["baseline"], "metrics": metric, "goals": {"val/acc": "max"}}
    record(repo, *specs, before, {"name": "after", "metrics": {"val/acc": [0.8]}})

    assert _shell(repo, looks).count("NAME") == 2
    assert "metrics.val/acc.best" in _shell(repo, columns)
    assert "params.lr,runs,mean(metrics.val/acc.last)" in _shell(repo, groups)
    assert "-0.1 (-11%) worse" in _shell(repo, differences)
    (repo.path / "train.py").write_text("import gittrack as gt\ngt.init()\ngt.log({'val/acc': 0.897})\n", "utf-8")
    done = gitcmd.run(["sh", "-e", "-c", gate], cwd=repo.path, check=False)
    assert done.returncode == 1, done.stderr
    assert re.search(
        r"^worse: val/acc is 0.897 in \S+ and was 0.9 in before: down by 0.003; 0.002 is", done.stdout, re.MULTILINE
    )
    done = gitcmd.run(["sh", "-e", "-c", gate.replace("0.002", "1%")], cwd=repo.path, check=False)
    assert done.returncode == 0, done.stderr


def test_the_page_on_a_standard_checks_runs_and_gates_a_push(repo: GitRepo, bare_remote: GitRepo) -> None:
    write, push, install, ci = _blocks("docs/how-to/check-runs.md", "sh")
    record(repo, {"params": {"lr": 0.1}, "metrics": {"val/acc": [0.5]}})
    assert "all is as 'gittrack.yaml' asks" in gitcmd.run(["sh", "-ec", write], cwd=repo.path).stderr
    repo.commit({}, "a standard")

    gitcmd.run(["sh", "-ec", push.replace("git track init ", "git track init -y ")], cwd=repo.path)

    done = gitcmd.run(["git", "push", "origin", "main"], cwd=repo.path, check=False)
    assert done.returncode != 0
    assert "gates.release asks for a finished run of this code, and there is none" in done.stderr
    assert "--hook-type pre-push" in install
    done = gitcmd.run(["sh", "-ec", ci], cwd=repo.path, check=False)
    assert (done.returncode, [found["field"] for found in json.loads(done.stdout)]) == (1, ["gates.release"])
    record(repo, {"params": {"lr": 0.1}, "metrics": {"val/acc": [0.5]}})
    gitcmd.run(["git", "push", "origin", "main"], cwd=repo.path)
    assert bare_remote.refs("refs/heads/") == repo.refs("refs/heads/")


def test_the_page_on_guarding_a_server_names_its_settings_and_its_commands_work(repo: GitRepo) -> None:
    page = "docs/how-to/guard-a-server.md"
    text, script = (ROOT / page).read_text("utf-8"), (ROOT / "hooks" / "update").read_text("utf-8")
    keys = set(re.findall(r"gittrack\.(\w+)", script.replace("gittrack.maxblob", "").replace("gittrack.max'", "")))
    assert {key for key in keys if key.lower() != key} == set(
        re.findall(r"^\| `gittrack\.(\w+)` \|", text, re.MULTILINE)
    )
    place, loop, purge = (block.replace("/srv/git/", "../") for block in _blocks(page, "sh"))
    bare = GitRepo.init(repo.path.parent / "project.git", "--bare")
    (bare.path / "hooks").mkdir(exist_ok=True)
    gitcmd.run(["sh", "-ec", place.replace("cp hooks/", f"cp {ROOT}/hooks/")], cwd=repo.path)
    repo.git("remote", "add", "origin", str(bare.path))
    refused = "this is no name of a run"
    push = ["git", "push", "origin", "main", "main:refs/runs/x"]
    assert refused in gitcmd.run(push, cwd=repo.path, check=False).stderr
    assert set(bare.refs()) == {"refs/heads/main"}
    (bare.path / "hooks" / "update").unlink()
    loop = loop.replace("/path/to/update", f"{ROOT}/hooks/update")
    (bare.path / "hooks" / "pre-receive").write_text(f"#!/bin/sh\n{loop}", "utf-8")
    assert refused in gitcmd.run([*push, "main:other"], cwd=repo.path, check=False).stderr
    assert set(bare.refs()) == {"refs/heads/main"}
    gitcmd.run(["sh", "-ec", purge], cwd=repo.path)


def test_the_schema_of_diff_has_exactly_the_keys_that_are_printed(repo: GitRepo) -> None:
    schema = json.loads((ROOT / "docs/reference/diff.schema.json").read_text("utf-8"))["properties"]
    one = {"metrics": {"acc": [1]}, "files": {"a.txt": "x"}}
    record(repo, one, {"metrics": {"acc": [2]}, "params": {"lr": 1}, "files": {"a.txt": "y"}})

    printed = json.loads(ask(repo, "diff", "--json", "--metric", "acc"))

    assert set(schema) == set(printed)
    assert set(schema["same"]["properties"]) == set(printed["same"])
    assert set(schema["verdicts"]["items"]["properties"]) == set(printed["verdicts"][0])
    assert set(printed["artifacts"][0]) == {"name", "values", "goal", "best", "sizes"}
    page = (ROOT / "docs/reference/json.md").read_text("utf-8")
    assert all(f"`{key}`" in page for key in (*printed, *printed["verdicts"][0]))


def test_everything_the_wandb_page_names_is_there() -> None:
    text = (ROOT / "docs/how-to/from-wandb.md").read_text("utf-8").partition("Not there yet")[0]
    for name in set(re.findall(r"`(?:with )?wandb\.(\w+)", text)) - {"config", "summary", "run"}:
        assert callable(getattr(gittrack, name)), name


def test_the_json_schema_has_exactly_the_keys_that_are_printed() -> None:
    schema = json.loads((ROOT / "docs/reference/run.schema.json").read_text("utf-8"))["items"]
    metric = Metric(1.0, 0, 1.0, 0, 1.0, 0, 1.0, 1, "max")
    printed = forms.run_object(Run(RunId("r0123456789ab"), "a", "finished", "", metrics={"acc": metric}))
    assert set(schema["properties"]) == set(printed)
    assert set(schema["required"]) <= set(printed)
    statistics = schema["properties"]["metrics"]["additionalProperties"]["properties"]
    assert set(statistics) <= set(printed["metrics"]["acc"])
    page = (ROOT / "docs/reference/json.md").read_text("utf-8")
    assert all(f"`{key}`" in page for key in printed)


def test_the_page_of_the_query_language_is_right_about_queries_fields_and_errors() -> None:
    text = (ROOT / "docs/reference/query.md").read_text("utf-8")
    rows = re.findall(r"^\| [^|`]+ \| (`.+`(?:, or `.+`)?) \|$", text.partition("## Fields")[0], re.MULTILINE)
    queries = [query for row in rows for query in re.findall(r"`([^`]+)`", row)]
    assert len(queries) >= 15
    for query in queries:
        language.parse(query, date=lambda _: 0.0)
    table = text.partition("## Fields")[2].partition("## Values")[0]
    named = set(re.findall(r"`([^`]+)`", table))
    assert set(fields.RUN_FIELDS) <= named
    assert {f".{name}" for name in fields.STATISTICS} <= named
    error = text.rpartition("```\nerror")[2].partition("```")[0]
    with pytest.raises(Misread) as found:
        language.parse('status == "finished" and metric.loss < 0.1')
    assert "\n".join(found.value.lines()) == "error" + error.rstrip("\n")


def test_every_command_has_a_man_page() -> None:
    pages = {path.stem for path in (ROOT / "docs/man").glob("*.1")}
    commands = {name: cli.get_command(click.Context(cli), name) for names in GROUPS.values() for name in names}
    below = {f"{name}-{sub}" for name, one in commands.items() if isinstance(one, click.Group) for sub in one.commands}
    assert pages == {"git-track", *(f"git-track-{name}" for name in {*commands, *below})}


def test_the_layers_name_every_module_of_the_package() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    layers = {name.strip() for layer in contracts[0]["layers"] for name in layer.split("|")}
    modules = {path.stem for path in (ROOT / "gittrack").glob("*.py")} - {"__init__", "__main__"}
    assert modules | {"chart", "codec", "commands", "index", "libgit", "query", "sync", "transports"} == layers
