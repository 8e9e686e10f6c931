"""Runs from a stranger: refused in a line that names the run and the cause, and the others are not hurt."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.gitcmd import GitRepo
from tests.rewriting import entry, hash_object, plumb, rewrite
from tests.runs import ask, attempt, listed, record

EMPTY_BLOB = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
Attack = Callable[[GitRepo, str], str]


def files(**changes: bytes | None) -> Attack:
    """An attack that changes files; `__` stands for a dot."""
    named = {name.replace("__", "."): content for name, content in changes.items()}
    return lambda repo, run: rewrite(repo, run, files=named)


def path(name: bytes, mode: str = "100644") -> Attack:
    """An attack that puts an entry with this name into the run's tree."""

    def attack(repo: GitRepo, run: str) -> str:
        oid = repo.git("rev-parse", "HEAD") if mode == "160000" else hash_object(repo, "blob", b"")
        if mode == "40000":
            oid = hash_object(repo, "tree", entry("100644", b"config", hash_object(repo, "blob", b"[core]\n")))
        return rewrite(repo, run, entries=[entry(mode, name, oid)])

    return attack


def record_of(repo: GitRepo, run: str) -> dict[str, object]:
    """Returns the record of a run."""
    line = repo.git("log", "-1", "--format=%B", f"refs/runs/{run}").rpartition("Record: ")[2]
    facts: dict[str, object] = json.loads(line)
    return facts


def said(repo: GitRepo, run: str, text: str, *, after: str = "") -> str:
    """Returns the run with another record."""
    message = repo.git("log", "-1", "--format=%B", f"refs/runs/{run}").rpartition("Record: ")[0]
    return rewrite(repo, run, message=f"{message}Record: {text}\n{after}".encode())


def facts(**changes: object) -> Attack:
    """An attack that changes keys of the record."""
    return lambda repo, run: said(repo, run, json.dumps(record_of(repo, run) | changes))


def raw(key: str, text: str) -> Attack:
    """An attack that puts text which no JSON writer makes into the record."""
    return lambda repo, run: said(repo, run, json.dumps(record_of(repo, run) | {key: "@@"}).replace('"@@"', text))


def message(text: bytes) -> Attack:
    return lambda repo, run: rewrite(repo, run, message=text)


def deep_tree(repo: GitRepo, run: str) -> str:
    oid = hash_object(repo, "blob", b"")
    tree = hash_object(repo, "tree", entry("100644", b"f", oid))
    for _ in range(80):
        tree = hash_object(repo, "tree", entry("40000", b"d", tree))
    return rewrite(repo, run, entries=[entry("40000", b"d", tree)])


def wide_tree(repo: GitRepo, run: str) -> str:
    oid = hash_object(repo, "blob", b"")
    names = (b"%06d" % number for number in range(100_001))
    tree = hash_object(repo, "tree", b"".join(entry("100644", name, oid) for name in names))
    return rewrite(repo, run, entries=[entry("40000", b"artifacts-of-evil", tree)])


def tree_bomb(repo: GitRepo, run: str) -> str:
    """Ten folders in ten folders in ten folders …: a hundred objects, ten thousand million paths."""
    tree = hash_object(repo, "tree", entry("100644", b"f", hash_object(repo, "blob", b"")))
    for _ in range(10):
        tree = hash_object(repo, "tree", b"".join(entry("40000", b"d%d" % number, tree) for number in range(10)))
    return rewrite(repo, run, entries=[entry("40000", b"d", tree)])


def run_yaml(key: str, text: str) -> Attack:
    """An attack that sets a key of run.yaml, where an edit would take it over into the record."""

    def attack(repo: GitRepo, run: str) -> str:
        lines = repo.git("show", f"refs/runs/{run}:run.yaml").split("\n")
        kept = [line for line in lines if not line.startswith(key + ":")]
        return rewrite(repo, run, files={"run.yaml": "\n".join([*kept, f"{key}: {text}", ""]).encode()})

    return attack


def other_id(repo: GitRepo, run: str) -> str:
    return said(repo, run, json.dumps(record_of(repo, run) | {"id": "r000000000000"}))


def two_records(repo: GitRepo, run: str) -> str:
    line = json.dumps(record_of(repo, run))
    return said(repo, run, line, after=f"Record: {line}\n")


def as_tag(repo: GitRepo, run: str) -> str:
    tip = repo.git("rev-parse", f"refs/runs/{run}")
    return plumb(repo, "mktag", input=f"object {tip}\ntype commit\ntag x\ntagger a <a@b> 1 +0000\n\nx\n".encode())


EDIT = b'{"tag":["x"],"author":"a <a@b>","time":"2026-01-01T00:00:00.000Z","clock":1}\n'
EDIT_FILE = "edits/0000000000000001-00000000.json"
BOMB = b"a: &a [x, x, x]\n" + b"".join(b"%c: &%c [*%c, *%c]\n" % (n + 1, n + 1, n, n) for n in range(97, 105))
MERGE = b"a: &a {x: 1}\nb:\n  <<: [*a, *a]\n"

# Name of the attack: what makes the commit, and a part of what must be said.
ATTACKS: dict[str, tuple[Attack, str]] = {
    "another run's id in the record": (other_id, "its record is that of 'r000000000000'"),
    "two records": (two_records, "no record, or more than one"),
    "no record": (message(b"run x: finished\n"), "no record, or more than one"),
    "an empty message": (message(b""), "no record, or more than one"),
    "text after the record": (lambda r, i: said(r, i, json.dumps(record_of(r, i)), after="more\n"), "record"),
    "a record above 1 MiB": (facts(note="x" * (1 << 20)), "1048576"),
    "a commit of 20 MiB": (facts(note="x" * (20 << 20)), "limit"),
    "a record that is no JSON": (lambda r, i: said(r, i, "{"), "its record is malformed"),
    "a record that is a list": (lambda r, i: said(r, i, "[]"), "its record is malformed"),
    "a record nested without end": (raw("params", "[" * 100_000), "its record is malformed"),
    "params nested too deep": (raw("params", '{"a":' * 500 + "1" + "}" * 500), "its record is malformed"),
    "a record of another version": (facts(v=2), "record version 2 is not known"),
    "a status that is none": (facts(status="\x1b[31mevil"), "its record is malformed"),
    "a number of points that is infinite": (raw("points", "1e999"), "its record is malformed"),
    "an exit code that is infinite": (raw("exit_code", "-1e999"), "its record is malformed"),
    "a duration that is no number": (facts(duration={"$float": "nan"}), "its record is malformed"),
    "a duration that is text": (facts(duration="long"), "its record is malformed"),
    "NaN, which is no JSON": (raw("duration", "NaN"), "its record is malformed"),
    "a code commit that is an option": (facts(code={"commit": "--output=x"}), "its record is malformed"),
    "a parent that is a path": (facts(parent="../../x"), "its record is malformed"),
    "metrics that are a list": (facts(metrics=[1]), "its record is malformed"),
    "a metric without numbers": (facts(metrics={"m": [1, 2]}), "its record is malformed"),
    "a step that is infinite": (raw("metrics", '{"m":[1,1e999,1,1,1,1,1,1,null]}'), "its record is malformed"),
    "a name that is no text": (facts(name=["x"]), "its record is malformed"),
    "tags that are numbers": (facts(tags=[1]), "its record is malformed"),
    "a number of 10,000 digits": (raw("params", '{"a":' + "9" * 10_000 + "}"), "its record is malformed"),
    "no run.yaml": (files(run__yaml=None), "it has no run.yaml"),
    "run.yaml of another run": (files(run__yaml=b"format: 1\nid: r000000000000\n"), "that of another run"),
    "run.yaml of another format": (files(run__yaml=b"format: 99\n"), "format 99 is not known"),
    "run.yaml with a status that is none": (run_yaml("status", '"\\x1b[31m"'), "its record is malformed"),
    "YAML with aliases": (files(params__yaml=BOMB), "params.yaml"),
    "YAML with merge keys": (files(params__yaml=MERGE), "params.yaml"),
    "YAML with a tag": (files(params__yaml=b"a: !!python/object/apply:os.system ['touch evil']\n"), "params.yaml"),
    "YAML nested without end": (files(params__yaml=b"a: " + b"[" * 400_000), "params.yaml"),
    "YAML in flow maps without end": (files(metrics__yaml=b"a: " + b"{a: " * 50_000), "metrics.yaml"),
    "YAML above 4 MiB": (files(params__yaml=b"a: " + b"x" * (4 << 20) + b"\n"), "4194304"),
    "YAML of too many nodes": (files(params__yaml=b"a: [" + b"1, " * 110_000 + b"1]\n"), "params.yaml"),
    "YAML with a key twice": (files(params__yaml=b"a: 1\na: 2\n"), "params.yaml"),
    "YAML of two documents": (files(params__yaml=b"a: 1\n---\nb: 2\n"), "params.yaml"),
    "YAML that is no mapping": (files(params__yaml=b"[1]\n"), "params.yaml"),
    "YAML that is not UTF-8": (files(params__yaml=b"a: \xff\xfe\n"), "params.yaml"),
    "a metric that is incomplete": (files(metrics__yaml=b"loss: {last: 1}\n"), "metric 'loss' is incomplete"),
    "a metric at an infinite step": (
        files(metrics__yaml=b"m: {last: 1, step: .inf, min: 1, min_step: 1, max: 1, max_step: 1, mean: 1, count: 1}\n"),
        "metric 'm' is incomplete",
    ),
    "an artifact without a size": (files(artifacts__yaml=b"a.txt: {kind: blob}\n"), "artifact 'a.txt' is incomplete"),
    "a symlink": (path(b"link", "120000"), "path 'link' is not allowed in a run"),
    "a submodule": (path(b"module", "160000"), "path 'module' is not allowed in a run"),
    "a path that goes up": (path(b".."), "path '..' is not allowed in a run"),
    "a path that stays": (path(b"."), "path '.' is not allowed in a run"),
    "git's folder": (path(b".git", "40000"), "path '.git' is not allowed in a run"),
    "git's folder in capitals": (path(b".GiT"), "is not allowed in a run"),
    "git's folder for Windows": (path(b"git~1"), "is not allowed in a run"),
    "git's folder for a Mac": (path(".g\u200cit".encode()), "is not allowed in a run"),
    "a control character": (path(b"a\x1b[31mb"), "path 'a\\x1b[31mb' is not allowed in a run"),
    "a line end in a path": (path(b"a\nb"), "path 'a\\nb' is not allowed in a run"),
    "a backslash": (path(b"a\\b"), "is not allowed in a run"),
    "a drive": (path(b"C:x"), "is not allowed in a run"),
    "a device": (path(b"nul.txt"), "is not allowed in a run"),
    "a path that is not UTF-8": (path(b"\xff"), "is not allowed in a run"),
    "folders without end": (deep_tree, "deeper than"),
    "100,001 entries": (wide_tree, "more than 100000 entries"),
    "a tree that unfolds": (tree_bomb, "more than 100000 entries"),
    "an edit that is no JSON": (lambda r, i: rewrite(r, i, files={EDIT_FILE: b"{"}), EDIT_FILE),
    "an edit that is a list": (lambda r, i: rewrite(r, i, files={EDIT_FILE: b"[]"}), EDIT_FILE),
    "an edit without a clock": (
        lambda r, i: rewrite(r, i, files={EDIT_FILE: EDIT.replace(b',"clock":1', b"")}),
        EDIT_FILE,
    ),
    "an edit whose clock is beyond all": (
        lambda r, i: rewrite(r, i, files={EDIT_FILE: EDIT.replace(b":1}", b":18446744073709551616}")}),
        EDIT_FILE,
    ),
    "an edit whose tag is a number": (
        lambda r, i: rewrite(r, i, files={EDIT_FILE: EDIT.replace(b'["x"]', b"[1]")}),
        EDIT_FILE,
    ),
    "an edit above 64 KiB": (
        lambda r, i: rewrite(r, i, files={EDIT_FILE: EDIT.replace(b'"x"', b'"' + b"x" * 70_000 + b'"')}),
        "65536",
    ),
    "a status edit that is none": (
        lambda r, i: rewrite(r, i, files={EDIT_FILE: EDIT.replace(b'"tag":["x"]', b'"status":"\\u001b[31m"')}),
        EDIT_FILE,
    ),
    "a tag in place of the commit": (as_tag, "is no commit"),
    "a blob in place of the commit": (lambda r, i: hash_object(r, "blob", b"x"), "is no commit"),
    "a tree in place of the commit": (lambda r, i: r.git("rev-parse", "HEAD^{tree}"), "is no commit"),
}


def attack_all(eve: GitRepo, attacks: dict[str, tuple[Attack, str]], runs: list[str]) -> dict[str, str]:
    """Makes an attack of each run and pushes them with plain git; returns run to name of the attack."""
    specs = []
    for (attack, _), run in zip(attacks.values(), runs, strict=True):
        specs.append(f"+{attack(eve, run)}:refs/runs/{run}")
    eve.git("push", "--quiet", "--no-verify", "origin", *specs)
    eve.fsck_at_teardown = False
    return dict(zip(runs, attacks, strict=True))


def paragraphs(stderr: str) -> dict[str, str]:
    """Returns the warnings that name a run, by run."""
    found = {}
    for part in stderr.split("warning: ")[1:]:
        head = part.split("\n")[0]
        if " the copy here is kept" in head:  # what was done to the remote by force is told too
            continue
        assert head.startswith(("run '", "cannot read run '")), part
        found[head.split("'")[1]] = part
    return found


LOOKING = (
    *(("ls",), ("ls", "-a", "--json"), ("ls", "--csv"), ("status",), ("log",), ("show", "good"), ("fsck",)),
    *(("tag",), ("push", "-n"), ("doctor",), ("diff", "good", "mine")),
)


@pytest.mark.slow
def test_every_attack_is_refused_and_the_other_runs_arrive(
    repo: GitRepo, bare_remote: GitRepo, colleague: GitRepo
) -> None:
    bare_remote.fsck_at_teardown = repo.fsck_at_teardown = False
    record(repo, {"name": "mine"})
    *runs, _ = record(colleague, *({} for _ in ATTACKS), {"name": "good"})
    colleague.track("push", "good")
    attacks = attack_all(colleague, ATTACKS, runs)

    done = repo.track("pull", check=False)

    assert "Traceback" not in done.stderr
    told = paragraphs(done.stderr)
    assert {attacks[run] for run in runs if run not in told} == set(), "an attack was not named"
    wrong = {attacks[run]: told[run] for run in runs if ATTACKS[attacks[run]][1] not in told[run]}
    assert wrong == {}
    assert "\x1b" not in done.stderr
    assert done.returncode == 5
    assert sorted(run["name"] for run in listed(repo)) == ["good", "mine"]
    for words in LOOKING:
        code, _, err = attempt(repo, *words)
        assert code == 0, (words, err)
    assert sorted(path.name for path in repo.path.iterdir()) == [".git", "train.py"]


def test_a_run_that_is_here_is_not_replaced_by_an_attack(
    repo: GitRepo, bare_remote: GitRepo, colleague: GitRepo
) -> None:
    bare_remote.fsck_at_teardown = repo.fsck_at_teardown = False
    names = [
        *("another run's id in the record", "a symlink", "an edit that is no JSON", "YAML with aliases", "no run.yaml"),
        *(
            "a tag in place of the commit",
            "a blob in place of the commit",
            "a tree in place of the commit",
            "no record",
        ),
    ]
    attacks = {name: ATTACKS[name] for name in names}
    runs = record(repo, *({} for _ in attacks))
    repo.track("push")
    colleague.track("pull")
    before = repo.refs("refs/runs/")
    on_top = {run: colleague.git("rev-parse", f"refs/runs/{run}") for run in runs}
    made = {}
    for (attack, _), run in zip(attacks.values(), runs, strict=True):
        tip = attack(colleague, run)
        if colleague.git("cat-file", "-t", tip) == "commit":  # as the next commit of the run
            tree, text = f"{tip}^{{tree}}", colleague.git("log", "-1", "--format=%B", tip)
            tip = plumb(colleague, "commit-tree", tree, "-p", on_top[run], input=text.encode() + b"\n")
        made[run] = tip
    colleague.git("push", "--quiet", "--force", "origin", *(f"{tip}:refs/runs/{run}" for run, tip in made.items()))
    colleague.fsck_at_teardown = False

    done = repo.track("pull", check=False)

    assert "Traceback" not in done.stderr
    told = paragraphs(done.stderr)
    assert [name for name, run in zip(attacks, runs, strict=True) if run not in told] == []
    assert repo.refs("refs/runs/") == before
    repo.track("tag", runs[0], "still-mine")
    for words in (("status",), ("push", "-n"), ("ls",), ("fsck",)):
        ask(repo, *words)
    pushed = repo.track("push", check=False)
    assert "Traceback" not in pushed.stderr
    assert pushed.returncode == 4, "the remote holds an attack, which no push of ours overwrites"


def test_refs_that_are_no_runs_are_left_alone(repo: GitRepo, bare_remote: GitRepo, colleague: GitRepo) -> None:
    record(colleague, {"name": "good"})
    colleague.track("push")
    head = colleague.git("rev-parse", "HEAD")
    bad = ("refs/runs/evil", "refs/runs/R000000000000", "refs/runs/r00000000000l", "refs/runs/deep/er/r000000000000")
    colleague.git("push", "--quiet", "origin", *(f"{head}:{ref}" for ref in (*bad, "refs/runs/archive/x")))

    done = repo.track("pull")

    assert done.stdout.count("new ") == 1
    assert list(repo.refs("refs/runs/")) == [f"refs/runs/{listed(repo)[0]['id']}"]


def test_a_folder_in_place_of_a_ref_does_not_stop_other_runs(
    repo: GitRepo, bare_remote: GitRepo, colleague: GitRepo
) -> None:
    [run] = record(repo, {"name": "mine"})
    repo.track("push")
    colleague.git("push", "--quiet", "origin", f":refs/runs/{run}", f"HEAD:refs/runs/{run}/evil")
    record(colleague, {"name": "good"})
    colleague.track("push", "good")

    done = repo.track("pull", check=False)

    assert "Traceback" not in done.stderr
    assert sorted(found["name"] for found in listed(repo)) == ["good", "mine"]


def test_a_known_edit_with_unknown_keys_is_kept_and_skipped(
    repo: GitRepo, bare_remote: GitRepo, colleague: GitRepo
) -> None:
    [run] = record(colleague, {"name": "future"})
    future = b'{"colour":"red","author":"a <a@b>","time":"2026-01-01T00:00:00.000Z","clock":5}\n'
    tip = rewrite(colleague, run, files={EDIT_FILE: future})
    colleague.git("push", "--quiet", "origin", f"{tip}:refs/runs/{run}")

    repo.track("pull")
    repo.track("tag", "future", "x")

    assert repo.git("show", f"refs/runs/{run}:{EDIT_FILE}").encode() + b"\n" == future
    assert listed(repo)[0]["tags"] == ["x"]
    assert repo.track("fsck").stdout == ""


@pytest.mark.slow
def test_a_run_whose_values_are_wild_but_legal_breaks_no_command(
    repo: GitRepo, bare_remote: GitRepo, colleague: GitRepo, tmp_path: Path
) -> None:
    runs = record(colleague, *({} for _ in range(8)))
    wild: list[dict[str, object]] = [
        {"created": "not a time", "ended": "0001-01-01T00:00:00+14:00"},
        {"created": "9999-12-31T23:59:59.999999-14:00", "duration": 1e300},
        {"created": "0001-01-01T00:00:00+23:59", "duration": -1e300},
        {"params": {"": {"": ""}, "a" * 10_000: 1e308, "n": 10**4000, "b": {"$float": "nan"}}},
        {"metrics": {"": [1e308, 2**63, -1e308, 0, 1e308, 0, 1e308, 10**30, "max"], "\x1b[31m": [0.1] * 8 + ["up"]}},
        {"name": "", "author": "\u202e", "host": "\x07", "command": "\x1b]0;x\x07", "group": "\n", "note": "\r\x00"},
        {"tags": ["", "\x1b", "a,b"], "project": "\ud800"},
        {"name": "@{-1}", "artifacts": {"count": -5, "size": 10**30}, "points": 10**30, "exit_code": -(10**30)},
    ]
    for run, changes in zip(runs, wild, strict=True):
        tip = facts(**changes)(colleague, run)
        colleague.git("push", "--quiet", "--force", "origin", f"{tip}:refs/runs/{run}")

    repo.track("pull", check=False)

    arrived = list(repo.refs("refs/runs/"))
    assert len(arrived) == 8
    for words in (
        *(("ls",), ("ls", "--json"), ("ls", "--jsonl"), ("ls", "--csv"), ("ls", "--md"), ("status",), ("log",)),
        *(("ls", "--sort", key) for key in ("created", "-params.n", "duration", 'metrics[""]', "-name", "tags")),
        ("ls", "--format", '%(created:unix) %(created:iso) %(created:relative) %(params.n) %(metrics[""].max)'),
        *(("ls", "--since", "yesterday"), ("diff", *runs), ("diff", "--json", *runs), ("show", *runs), ("tag",)),
        *(("show", "--json", *runs), ("diff", runs[3], runs[4]), ("push", "-n")),
    ):
        code, out, err = attempt(repo, *words)
        assert code in (0, 3), (words, err)
        assert "\x1b" not in out + err or "--csv" in words
