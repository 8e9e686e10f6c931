"""`git track ls`: every form of the list, for people and for programs."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import time
from typing import Any

import pytest

from tests.gitcmd import GitRepo
from tests.runs import ask, attempt, complaint, listed, record
from tests.terminals import on_a_terminal

EVIL = "\x1b]0;title\x07\x1b[31mred\u202eabc\u200b\nsecond\tline\r\x9b1m\U000e0041"


def three(repo: GitRepo) -> list[str]:
    """Records three runs that differ, oldest first."""
    return record(
        repo,
        {
            "name": "first",
            "tags": ["paper"],
            "params": {"lr": 0.1, "opt": {"name": "adam"}},
            "metrics": {"loss": [3, 1, 2], "val/acc": [0.5, 0.9, 0.7]},
            "goals": {"val/acc": "max"},
            "group": "sweep",
        },
        {"name": "second", "params": {"lr": 0.01, "opt": {"name": "adam"}}, "metrics": {"loss": [0.5]}, "exit_code": 1},
        {"name": "third", "tags": ["paper", "x"], "params": {"lr": 10, "opt": {"name": "adam"}}},
    )


def names(text: str) -> list[str]:
    """Returns the first word of each line but the head."""
    return [line.split()[0] for line in text.splitlines()[1:]]


def test_the_newest_run_stands_first_and_only_params_that_differ_are_shown(repo: GitRepo) -> None:
    ids = three(repo)

    done = repo.track("ls")

    head, *lines = done.stdout.splitlines()
    shown = "NAME ID STATUS CREATED TIME CODE GROUP val/acc \u2191 loss lr TAGS"
    assert head.split() == shown.split()
    assert [line.split()[:3] for line in lines] == [
        ["third", ids[2][:8], "finished"],
        ["second", ids[1][:8], "failed"],
        ["first", ids[0][:8], "finished"],
    ]
    assert " 0.9 " in lines[2], "the best where there is a goal"
    assert " 2.0 " in lines[2], "the last where there is none, its point in line with the others"
    assert "adam" not in done.stdout
    assert done.stderr == ""


def test_without_runs_it_says_how_to_record_one_and_every_form_is_empty(repo: GitRepo) -> None:
    done = repo.track("ls")

    assert done.stdout == ""
    assert "git track run -- CMD" in done.stderr
    assert json.loads(repo.track("ls", "--json").stdout) == []
    assert json.loads(repo.track("ls", "--json=id").stdout) == []
    assert repo.track("ls", "--jsonl").stdout == ""
    assert repo.track("ls", "--format", "%(id)").stdout == ""


def test_json_has_the_documented_fields_and_the_three_json_forms_agree(repo: GitRepo) -> None:
    ids = three(repo)

    found = listed(repo)

    assert [run["id"] for run in found] == ids[::-1]
    fields = "id name status created ended duration code author params metrics tags group starred note pushed archived"
    assert set(fields.split()) | {"artifacts"} <= set(found[0])
    first = found[2]
    assert first["params"] == {"lr": 0.1, "opt.name": "adam"}
    statistics = {key: first["metrics"]["loss"][key] for key in ("last", "min", "max", "mean", "best", "step", "count")}
    assert statistics == {"last": 2, "min": 1, "max": 3, "mean": 2, "best": None, "step": 2, "count": 3}
    assert first["metrics"]["val/acc"]["best"] == 0.9
    assert (first["code"]["commit"], first["code"]["branch"]) == (repo.git("rev-parse", "HEAD"), "main")
    assert (first["code"]["dirty"], first["code"]["snapshot"]) == (False, None)
    assert [json.loads(line) for line in repo.track("ls", "--jsonl").stdout.splitlines()] == found
    chosen = json.loads(repo.track("ls", "--json=id,metrics").stdout)
    assert chosen == [{"id": run["id"], "metrics": run["metrics"]} for run in found]


def test_a_bare_json_never_takes_the_next_word(repo: GitRepo) -> None:
    ids = three(repo)

    assert [run["id"] for run in json.loads(repo.track("ls", "--json", "first").stdout)] == [ids[0]]


def test_nan_and_infinity_are_valid_json(repo: GitRepo) -> None:
    record(repo, {"params": {"a": math.nan, "b": -math.inf}, "metrics": {"loss": ["nan", "inf"]}})

    def refuse(constant: str) -> Any:
        raise AssertionError(f"{constant} is no JSON")

    found = json.loads(repo.track("ls", "--json").stdout, parse_constant=refuse)[0]
    assert found["params"] == {"a": "nan", "b": "-inf"}
    assert found["metrics"]["loss"]["last"] == "inf"
    assert found["metrics"]["loss"]["count"] == 2
    json.loads(repo.track("show", "--json").stdout, parse_constant=refuse)


def test_csv_quotes_formulas_and_has_a_column_for_everything(repo: GitRepo) -> None:
    record(
        repo,
        {"name": "=cmd|' /C calc'!A0", "tags": ["+1"], "params": {"@p": "-1+1", 'q"uote': "a,b\nc", "n": -1.5}},
        {"name": "plain", "metrics": {"=SUM(A1)": [0.25]}, "params": {"list": [1, 2]}},
    )

    text = repo.track("ls", "--csv").stdout
    head, second, first = list(csv.reader(io.StringIO(text)))
    assert first[head.index("name")] == "'=cmd|' /C calc'!A0"
    assert first[head.index("tags")] == "'+1"
    assert first[head.index("params.@p")] == "'-1+1"
    assert first[head.index('params.q"uote')] == "a,b\nc"
    assert first[head.index("params.n")] == "-1.5", "a number is no formula"
    assert second[head.index("metrics.=SUM(A1)")] == "0.25"
    assert second[head.index("params.list")] == "[1, 2]"
    assert second[head.index("params.n")] == ""


def test_markdown_is_one_table_whatever_the_names_hold(repo: GitRepo) -> None:
    record(repo, {"name": "a|b <script>\nnext", "params": {"p|q": "x\\|y"}})

    head, rule, *rows = repo.track("ls", "--md", "--columns", "name,params.p|q").stdout.splitlines()
    assert (head, rule) == ("| name | params.p\\|q |", "| --- | --- |")
    assert rows == ["| a\\|b &lt;script>\\\\nnext | x\\\\\\|y |"]


def test_format_has_the_atoms_of_for_each_ref(repo: GitRepo) -> None:
    ids = three(repo)
    template = (
        "%(id)|%(name)|%(params.lr)|%(metrics.val/acc:best)|%(metrics.loss.min)|%(metrics.loss:mean)|%(code:short)|"
        "%(created:unix)|%(created:relative)|%(tags)|%(dirty)|%(params.none)|%%%41"
    )

    line = repo.track("ls", "--format", template, "first").stdout
    parts = line.rstrip("\n").split("|")
    assert parts[:6] == [ids[0], "first", "0.1", "0.9", "1.0", "2.0"]
    assert parts[6] == repo.git("rev-parse", "--short=7", "HEAD")
    assert parts[7].isdigit()
    assert re.fullmatch(r"\d+ seconds? ago", parts[8])
    assert parts[9:] == ["paper", "false", "", "%A"]
    zero = repo.track("ls", "-z", "--format", "%(name)").stdout
    assert zero == "third\0second\0first\0"


@pytest.mark.parametrize(
    "words",
    [
        ("--format", "%(nonsense)"),
        ("--sort", "nonsense"),
        ("--columns", "nonsense"),
        ("--json=nonsense",),
        ("-n", "-1"),
        ("-n", "many"),
        ("--color", "sometimes"),
        ("--nonsense",),
    ],
)
def test_a_field_or_option_that_is_none_exits_2(repo: GitRepo, words: tuple[str, ...]) -> None:
    record(repo, {})

    assert "hint: " in complaint(repo.track("ls", *words, check=False), exit_code=2)


def test_sorting_puts_missing_values_last_in_both_directions(repo: GitRepo) -> None:
    record(
        repo,
        {"name": "b", "metrics": {"m": [2]}, "params": {"p": "x"}},
        {"name": "none"},
        {"name": "nan", "metrics": {"m": ["nan"]}},
        {"name": "c", "metrics": {"m": [10]}, "params": {"p": "y"}},
        {"name": "a", "metrics": {"m": [-1]}, "params": {"p": "yy"}},
    )

    def order(key: str) -> list[str]:
        return ask(repo, "ls", "--sort", key, "--format", "%(name)").split()

    assert order("metrics.m")[:3] == ["a", "b", "c"]
    assert order("-metrics.m")[:3] == ["c", "b", "a"]
    assert set(order("metrics.m")[3:]) == set(order("-metrics.m")[3:]) == {"none", "nan"}
    assert order("params.p")[:3] == ["b", "c", "a"]
    assert order("-params.p")[:3] == ["a", "c", "b"]
    assert order("name") == ["a", "b", "c", "nan", "none"]
    assert order("created") == ["b", "none", "nan", "c", "a"]
    assert order("-created") == ["a", "c", "nan", "none", "b"]


def test_filters_by_status_tag_time_count_and_name(repo: GitRepo) -> None:
    ids = three(repo)

    def found(*options: str) -> list[str]:
        return [run["name"] for run in listed(repo, *options)]

    assert found("--status", "failed") == ["second"]
    assert found("--status", "failed", "--status", "finished") == ["third", "second", "first"]
    assert found("--tag", "paper") == ["third", "first"]
    assert found("--tag", "paper", "--tag", "x") == ["third"]
    assert found("-n", "1") == ["third"]
    assert found("-n", "0") == []
    assert found("--since", "1 hour ago") == ["third", "second", "first"]
    assert found("--since", "2099-01-01") == []
    assert found("tag:paper", "-n", "1") == ["third"]
    assert found("group:sweep", ids[1][:6]) == ["second", "first"]


def test_where_shows_the_runs_for_which_a_query_is_true(repo: GitRepo) -> None:
    ids = three(repo)
    repo.track("start", "--name", "open", "-p", "lr=0.5")

    def found(*queries: str, more: tuple[str, ...] = ()) -> list[str]:
        options = [word for query in queries for word in ("--where", query)]
        return ask(repo, "ls", *options, *more, "--format", "%(name)").split()

    assert found("metrics.loss < 1") == ["second"]
    assert found("not metrics.loss < 1") == ["first"]
    assert found("metrics.loss is none") == ["open", "third"]
    assert found("metrics.val/acc.best >= 0.9 and 'paper' in tags") == ["first"]
    assert found("metrics.loss.min < metrics.loss.max or params.lr == 10") == ["third", "first"]
    assert found("0.05 <= params.lr < 1") == ["open", "first"]
    assert found("status in ('running', 'failed')") == ["open", "second"]
    assert found("created > '1 hour ago'") == ["open", "third", "second", "first"]
    assert found("created > '2099-01-01'") == []
    assert found("name ~ '^(first|third)$'", "tag == 'x'") == ["third"]
    assert found("params.lr > 0", more=("--sort", "-params.lr", "-n", "2")) == ["third", "open"]
    assert found("params.lr < 1", more=("first", "third")) == ["first"]
    assert found(f"id == '{ids[1]}'", more=("--status", "failed")) == ["second"]
    assert found("deleted or not deleted", more=("--all",)) == ["open", "third", "second", "first"]


def test_a_query_that_makes_no_sense_is_pointed_at(repo: GitRepo) -> None:
    code, out, err = attempt(repo, "ls", "--where", "starred", "--where", "metrics.loss < 1 and loss < 2")
    assert (code, out) == (2, "")
    assert err.splitlines()[:3] == [
        "error: 'loss' is no field of a run",
        "cause: metrics.loss < 1 and loss < 2",
        "                            ^~~~",
    ]


def test_two_dots_name_the_runs_between_two_also_where_one_is_still_recorded(repo: GitRepo) -> None:
    three(repo)
    repo.track("start", "--name", "open")

    def found(text: str) -> list[str]:
        return ask(repo, "ls", text, "--format", "%(name)").split()

    assert found("first..second") == found("second..first") == ["second", "first"]
    assert found("second..open") == found("open..second") == ["open", "third", "second"]
    assert found("second..") == ["open", "third", "second"]
    assert found("..second") == ["second", "first"]
    assert found("open..open") == ["open"]


def test_columns_choose_what_the_table_has(repo: GitRepo) -> None:
    three(repo)

    lines = repo.track("ls", "--columns", "name,params.lr,metrics.loss.min,metrics.val/acc").stdout.splitlines()

    assert lines[0].split() == ["name", "params.lr", "metrics.loss.min", "metrics.val/acc", "\u2191"]
    assert [line.split() for line in lines[1:]] == [
        ["third", "10"],
        ["second", "0.01", "0.5"],
        ["first", "0.1", "1.0", "0.7"],
    ]


def test_deleted_runs_are_listed_only_with_all(repo: GitRepo) -> None:
    three(repo)
    repo.track("rm", "second")

    assert names(repo.track("ls").stdout) == ["third", "first"]
    everything = repo.track("ls", "-a").stdout
    assert names(everything) == ["third", "second", "first"]
    assert everything.splitlines()[2].split()[2] == "deleted"


@pytest.mark.parametrize("columns", [20, 60, 100])
def test_a_table_fits_the_terminal(repo: GitRepo, columns: int) -> None:
    record(repo, {"name": "n" * 60, "params": {f"p{i}": i for i in range(30)}}, {"name": "\u4e16\u754c" * 30})

    code, output = on_a_terminal(["git", "track", "ls"], cwd=repo.path, columns=columns)

    lines = output.decode().splitlines()
    assert code == 0
    assert len(lines) == 4
    assert re.match(r"[23]\d columns are not ", lines[3])
    widths = [sum(2 if "\u2e80" < char < "\ua000" else 1 for char in line) for line in lines]
    assert max(widths) <= max(columns, 32)
    assert max(len(line) for line in repo.track("ls").stdout.splitlines()) > 100, "a pipe has no width"


def test_colour_is_for_terminals_and_for_who_asks(repo: GitRepo) -> None:
    record(repo, {})

    assert "\x1b[" not in repo.track("ls").stdout
    assert "\x1b[33m" in repo.track("ls", "--color", "always").stdout
    for setting in ("color.ui", "color.track"):
        repo.git("config", setting, "false")
        _, output = on_a_terminal(["env", "TERM=xterm", "git", "track", "ls"], cwd=repo.path)
        assert b"\x1b[" not in output
        repo.git("config", setting, "always")
    _, output = on_a_terminal(["env", "TERM=xterm", "NO_COLOR=1", "git", "track", "ls"], cwd=repo.path)
    assert b"\x1b[33m" in output, "git's own setting says always"


def test_a_terminal_gets_colour_and_the_pager_only_when_it_is_short(repo: GitRepo) -> None:
    record(repo, *({"name": f"run-{i}"} for i in range(8)))
    repo.git("config", "core.pager", "sed s/^/paged:/")
    environment = ["env", "TERM=xterm", "git", "track", "ls", "--columns", "name"]

    _, tall = on_a_terminal(environment, cwd=repo.path, rows=50)
    _, short = on_a_terminal(environment, cwd=repo.path, rows=5)
    _, piped = on_a_terminal(["sh", "-c", "git track ls --columns name | cat"], cwd=repo.path, rows=5)

    assert b"\x1b[1m" in tall
    assert b"paged:" not in tall
    assert short.count(b"paged:") == 9
    assert b"paged:" not in piped


def test_no_text_form_prints_what_a_terminal_would_obey(repo: GitRepo) -> None:
    record(repo, {"name": EVIL, "params": {EVIL: EVIL}, "texts": {EVIL: EVIL}, "notes": EVIL, "group": EVIL})
    unsafe = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202e\U000e0041]")

    forms = (
        *(
            ("ls",),
            ("ls", "--md"),
            ("ls", "--format", "%(name) %(note) %(group)"),
            ("ls", "--columns", "name,note,group"),
        ),
        *(("show",), ("status",), ("log",), ("diff", "@", "@"), ("tag",), ("fsck",)),
    )
    for form in forms:
        _, out, err = attempt(repo, *form)
        assert unsafe.findall(out + err) == [], form
    assert len(ask(repo, "ls").splitlines()) == 2
    assert len(ask(repo, "ls", "--format", "%(name)").splitlines()) == 1
    assert "\\x1b]0;title\\x07" in ask(repo, "ls", "--format", "%(name)")
    assert listed(repo)[0]["name"] == EVIL, "a program gets it as it is"
    assert unsafe.findall(ask(repo, "ls", "--json") + ask(repo, "ls", "--jsonl")) == []
    _, on_terminal = on_a_terminal(["git", "track", "ls", "--csv"], cwd=repo.path)
    assert unsafe.findall(on_terminal.decode().replace("\r\n", "\n")) == []
    assert "\x1b]0;title" in ask(repo, "ls", "--csv")


def graded(repo: GitRepo) -> None:
    """Records two settings with three and two seeds, and a run without the param."""
    record(
        repo,
        *(
            {
                "name": f"lr{lr}-{seed}",
                "params": {"lr": lr, "seed": seed},
                "metrics": {"acc": [value - 0.1, value, value - 0.2], "loss": [1 - value]},
                "goals": {"acc": "max"},
            }
            for lr, seed, value in ((0.1, 0, 0.90), (0.1, 1, 0.92), (0.1, 2, 0.97), (0.01, 0, 0.5), (0.01, 1, 0.7))
        ),
        {"name": "other", "params": {"seed": 3}},
    )


def test_groups_show_mean_and_spread_over_seeds(repo: GitRepo) -> None:
    graded(repo)

    lines = ask(repo, "ls", "--group-by", "params.lr").splitlines()

    assert [" ".join(line.split()) for line in lines] == [
        "lr RUNS acc \u2191 mean \u00b1 std acc \u2191 count loss mean \u00b1 std loss count",
        "0.01 2 0.60 \u00b1 0.14 2 0.40 \u00b1 0.14 2",
        "0.1 3 0.930 \u00b1 0.036* 3 0.070 \u00b1 0.036 3",
        "- 1 - 0 - 0",
    ]
    assert "count" not in ask(repo, "ls", "--group-by", "params.seed", "--agg", "mean,ci")


def test_a_group_of_one_run_has_no_spread(repo: GitRepo) -> None:
    graded(repo)

    found = ask(repo, "ls", "other", "lr0.1-0", "--group-by", "params.lr", "--agg", "mean,ci,std,count")

    assert "0.9 \u00b1 -" in found
    (group, _) = json.loads(ask(repo, "ls", "other", "lr0.1-0", "--group-by", "params.lr", "--json"))
    assert group["values"]["metrics.acc.max"] == {"goal": "max", "count": 1, "mean": 0.9, "std": None}


def test_the_machine_forms_of_groups(repo: GitRepo) -> None:
    graded(repo)
    words = ("ls", "--group-by", "params.lr", "--sort", "-metrics.acc", "--columns", "metrics.acc", "--agg")

    found = json.loads(ask(repo, *words, "mean,ci,min,max,median,count", "--json"))
    head, *rows = csv.reader(io.StringIO(ask(repo, *words, "count,max", "--csv")))

    assert [(group["group"], group["count"]) for group in found] == [
        ({"params.lr": 0.1}, 3),
        ({"params.lr": 0.01}, 2),
        ({"params.lr": None}, 1),
    ]
    by_name = {run["name"]: run["id"] for run in listed(repo)}
    assert found[1]["runs"] == [by_name["lr0.01-1"], by_name["lr0.01-0"]]
    values = found[0]["values"]["metrics.acc"]
    assert (values["goal"], values["count"], values["min"], values["max"]) == ("max", 3, 0.7, 0.77)
    assert values["ci"] == pytest.approx(4.302652729749464 * 0.036055512754639896 / math.sqrt(3))
    assert head == ["params.lr", "runs", "count(metrics.acc)", "max(metrics.acc)"]
    assert rows == [["0.1", "3", "3", "0.77"], ["0.01", "2", "2", "0.49999999999999994"], ["", "1", "0", ""]]
    assert json.loads(ask(repo, *words, "mean", "--jsonl").splitlines()[0])["count"] == 3
    assert ask(repo, *words, "mean", "-n", "1", "--md").splitlines()[0] == "| params.lr | runs | mean(metrics.acc) |"
    assert json.loads(ask(repo, *words, "mean", "--json=count,group"))[0] == {"count": 3, "group": {"params.lr": 0.1}}


@pytest.mark.parametrize(
    "words",
    [
        ("--agg", "mean"),
        ("--group-by", "nonsense"),
        ("--group-by", "params.lr", "--agg", "variance"),
        ("--group-by", "params.lr", "--format", "%(id)"),
        ("--group-by", "params.lr", "--sort", "name"),
        ("--group-by", "params.lr", "--columns", "name"),
        ("--group-by", "params.lr", "--json=nonsense"),
    ],
)
def test_groups_that_make_no_sense_are_refused(repo: GitRepo, words: tuple[str, ...]) -> None:
    record(repo, {"params": {"lr": 1}})

    code, out, err = attempt(repo, "ls", *words)

    assert (code, out) == (2, "")
    assert "hint: " in err


def test_the_best_of_each_goal_is_marked_by_a_sign_and_not_by_colour_alone(repo: GitRepo) -> None:
    record(
        repo,
        {"name": "a", "metrics": {"acc": [0.7], "loss": [0.1]}, "goals": {"acc": "max", "loss": "min"}},
        {"name": "b", "metrics": {"acc": [0.9], "loss": [0.2]}},
        {"name": "c", "metrics": {"acc": [0.9], "other": [1]}},
    )

    marked = [re.findall(r"\S+\*", line) for line in ask(repo, "ls").splitlines()]
    assert marked == [[], ["0.9*"], ["0.9*"], ["0.1*"]]
    assert "\x1b[1;32m0.9*\x1b[m" in ask(repo, "ls", "--color", "always")
    assert "*" not in ask(repo, "ls", "a"), "one run is not the best of anything"


def test_where_there_is_no_unicode_arrows_and_spreads_are_ascii(repo: GitRepo) -> None:
    graded(repo)
    plain = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}

    assert " acc ^ " in repo.track("ls", env=plain).stdout
    lines = repo.track("ls", "--group-by", "params.lr", "--agg", "mean,std", env=plain).stdout.splitlines()
    assert "acc ^ mean +- std" in lines[0]
    assert "0.930 +- 0.036*" in lines[2]


def test_settings_say_which_columns_and_in_which_order(repo: GitRepo) -> None:
    three(repo)
    repo.git("config", "track.columns", "name,params.*")
    repo.git("config", "track.sort", "params.opt.name,-params.lr")

    assert [line.split() for line in ask(repo, "ls").splitlines()] == [
        ["name", "params.lr", "params.opt.name"],
        ["third", "10", "adam"],
        ["first", "0.1", "adam"],
        ["second", "0.01", "adam"],
    ]
    assert ask(repo, "ls", "--columns", "name", "--sort", "name").split() == ["name", "first", "second", "third"]
    assert ask(repo, "ls", "--csv").splitlines()[0].startswith("id,name,status,created,"), "programs get everything"
    repo.git("config", "track.columns", "nonsense")
    code, out, err = attempt(repo, "ls")
    assert (code, out) == (2, "")
    assert "'nonsense' is no field of a run\ncause: it stands in the setting track.columns\n" in err
    repo.git("config", "track.sort", "nonsense")
    assert "cause: it stands in the setting track.sort\n" in attempt(repo, "ls", "--columns", "name")[2]


def test_what_has_no_column_is_said_on_the_last_line_or_beside_a_pipe(repo: GitRepo) -> None:
    record(repo, *({"name": f"r{at}", "params": {f"p{i:02}": at for i in range(14)}} for at in range(2)))

    _, out, err = attempt(repo, "ls")
    _, seen = on_a_terminal(["git", "track", "ls"], cwd=repo.path, columns=200)

    assert "not shown" not in out
    assert err == "hint: 2 columns are not shown: params.p12, params.p13; --columns chooses\n"
    assert seen.decode().splitlines()[-1] == err.strip().removeprefix("hint: ")
    assert "not shown" not in "".join(attempt(repo, "ls", "--columns", "name,params.*")[1:])


def test_the_head_of_a_wide_character_table_stays_aligned(repo: GitRepo) -> None:
    record(repo, {"name": "\u4e16\u754c"}, {"name": "abcd"}, {"name": "e\u0301e\u0301ee"})

    lines = repo.track("ls", "--columns", "name,status").stdout.splitlines()

    assert lines == [
        "name  status",
        "e\u0301e\u0301ee  finished",
        "abcd  finished",
        "\u4e16\u754c  finished",
    ]


def test_what_is_sorted_by_is_shown_where_the_column_has_another_statistic(repo: GitRepo) -> None:
    record(
        repo,
        {"name": "one", "metrics": {"acc": [0.9, 0.1]}, "goals": {"acc": "max"}},
        {"name": "two", "metrics": {"acc": [0.5, 0.4]}, "goals": {"acc": "max"}},
    )

    head, *rows = ask(repo, "ls", "--sort", "-metrics.acc").splitlines()
    assert [row.split()[0] for row in rows] == ["two", "one"]
    assert head.split()[6:9] == ["acc.last", "↑", "acc"]
    assert "acc.last" not in ask(repo, "ls", "--sort", "-metrics.acc.best")


def test_a_name_that_no_run_has_is_told_with_the_near_ones(repo: GitRepo) -> None:
    three(repo)

    for words, name, near in (
        (("--where", "params.opt.nam == 'adam'"), "params.opt.nam", "params.opt.name"),
        (("--sort", "metrics.los"), "metrics.los", "metrics.loss"),
        (("--columns", "name,metrics.val/ac"), "metrics.val/ac", "metrics.val/acc"),
        (("--group-by", "params.lrr"), "params.lrr", "params.lr"),
    ):
        code, _, err = attempt(repo, "ls", *words)
        assert code == 0
        assert f"warning: no run has {name}\nhint: did you mean {near}?" in err, words
    assert "no run has" not in attempt(repo, "ls", "--where", "params.lr > 1000")[2], "an empty answer is one"


@pytest.mark.parametrize("since", ["banana", "tomorrow", "2026-13-45", "2026-02-30", "\u00e9", "x" * 200])
def test_what_is_no_date_is_an_error_wherever_a_date_is_asked_for(repo: GitRepo, since: str) -> None:
    record(repo, {})

    assert attempt(repo, "ls", "--since", since)[0] == 2
    assert attempt(repo, "ls", "--where", f'created > "{since}"')[0] == 2


def test_a_run_of_thousands_of_metrics_does_not_slow_the_list_down(repo: GitRepo) -> None:
    record(repo, {"metrics": {f"m{number:04d}": [number] for number in range(2000)}}, {"metrics": {"loss": [1]}})

    began = time.perf_counter()
    assert "columns are not shown" in attempt(repo, "ls")[2]
    assert time.perf_counter() - began < 5, "it took minutes when the hint was cut a letter at a time"


def test_the_columns_of_the_projects_standard_hold_where_no_setting_says_otherwise(repo: GitRepo) -> None:
    record(repo, {"name": "one", "params": {"lr": 0.1, "b": 2}, "metrics": {"acc": [1]}})
    (repo.path / "gittrack.yaml").write_text("columns: [name, params.b]\n", encoding="utf-8")

    assert ask(repo, "ls").splitlines()[0].split() == ["name", "params.b"]
    assert ask(repo, "ls", "--columns", "id").splitlines()[0].split() == ["id"]
    repo.git("config", "track.columns", "name,params.lr")
    assert ask(repo, "ls").splitlines()[0].split() == ["name", "params.lr"]


def test_a_standard_that_cannot_be_read_takes_no_list_away(repo: GitRepo) -> None:
    record(repo, {"name": "one"})
    (repo.path / "gittrack.yaml").write_text("columns: [nonsense]\n", encoding="utf-8")

    code, out, err = attempt(repo, "ls")

    assert code == 0
    assert "one" in out
    assert "warning: cannot read 'gittrack.yaml'\ncause: line 1: 'nonsense' is no field of a run" in err


def test_a_carriage_return_in_a_name_does_not_break_a_row_of_csv(repo: GitRepo) -> None:
    record(repo, {"name": "a\rb"}, {"name": 'c,"d"\r\ne'})
    rows = list(csv.DictReader(io.StringIO(ask(repo, "ls", "--csv"), newline="")))
    assert [row["name"] for row in rows] == ['c,"d"\r\ne', "a\rb"]
