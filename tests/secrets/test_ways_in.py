"""Every way into a run, with a secret of every kind on it: none is in any object, and what only looks like one is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.gitcmd import GitRepo
from tests.runs import ask, file_of, listed, shown
from tests.secrets.canaries import INNOCENT, Canary, make

SCRIPT = """
import json, os, sys
import gittrack as gt

ways = json.load(open(sys.argv[1]))
texts = {way: [text for text, _ in found.values()] for way, found in ways.items()}
secrets = {way: [secret for _, secret in found.values()] for way, found in ways.items()}
run = gt.init(params={"nested": {"list": texts["params"]}, "given": {"deep": {"er": dict(enumerate(texts["params"]))}}})
run.config.update({text: 1 for text in texts["param names"]})
run.config.secrets = {"database": secrets["below a name"][0], "list": secrets["below a name"][1:]}
run.log({"note/%d" % n: text for n, text in enumerate(texts["texts"])})
run.log({text: 0.5 for text in texts["metric names"]})
first, *others = secrets["text under a name"]
run.log({"api_key": first, "list": [{"password": secret} for secret in others]})
run.summary["best"] = texts["summary"]
run.tags = [text for text in texts["tags"]]
run.notes = "\\n".join(texts["notes"])
for text in texts["alerts"]:
    gt.alert(text, text)
open("../plot.txt", "w").write("a plot")
about = texts["artifact"]
run.log_artifact("../plot.txt", name="plot.txt", type=about[0], aliases=about, metadata={"about": about})
run.log_artifact("../plot.txt", name="plots/" + texts["artifact names"][0] + ".txt")
for text in texts["output"]:
    print(text)
    print("\\x1b[32m" + text + "\\x1b[0m", file=sys.stderr)
for text in texts["pieces"]:
    for at in range(0, len(text), 7):
        sys.stdout.write(text[at : at + 7])
        sys.stdout.flush()
    print()
print("\\n".join(json.load(open(sys.argv[2]))))
run.finish(exit_code=1, error=" ".join(texts["error"]))
"""
WAYS = (
    *(
        "params",
        "param names",
        "below a name",
        "texts",
        "metric names",
        "text under a name",
        "summary",
        "tags",
        "notes",
    ),
    *("alerts", "artifact", "artifact names", "output", "pieces", "error", "files", "notebook", "patch"),
    *("file names", "environment", "command", "group", "remote", "lock", "staged", "link", "changed"),
)
ONE_WORD = ("metric names", "param names", "tags", "artifact", "file names", "artifact names", "link")


@pytest.fixture(scope="module")
def ways() -> dict[str, dict[str, Canary]]:
    """For each way in, a secret of each kind that can go it."""
    found = {}
    for way in WAYS:
        all_kinds = make(way)
        if way in (*ONE_WORD, "files", "notebook", "staged", "changed", "patch", "lock"):
            all_kinds = {kind: one for kind, one in all_kinds.items() if one.sure}
        if way in ONE_WORD:
            all_kinds = {kind: one for kind, one in all_kinds.items() if one.text.isprintable() and "/" not in one.text}
        if way in ("error", "summary"):  # they are cut
            all_kinds = {kind: one for kind, one in all_kinds.items() if kind in ("github, classic", "stripe", "jwt")}
        found[way] = all_kinds
    return found


def everything(repo: GitRepo) -> bytes:
    """Returns every object of a repository as git reads it, and all else that gittrack left there."""
    asked = subprocess.run(
        ["git", "cat-file", "--batch-all-objects", "--batch"], cwd=repo.path, capture_output=True, check=True
    )
    left = [path.read_bytes() for path in (repo.path / ".git" / "gittrack").rglob("*") if path.is_file()]
    return b"\n".join([asked.stdout, *left, *(name.encode() for name in repo.refs())])


def leaked(repo: GitRepo, ways: Mapping[str, Mapping[str, Canary]]) -> list[tuple[str, str]]:
    """Returns (way, kind) of each secret that is in the repository; half of one counts."""
    found = everything(repo)

    def is_there(secret: str) -> bool:
        half = secret if len(secret) < 20 else secret[len(secret) // 2 :]
        return half.encode() in found or json.dumps(half)[1:-1].encode() in found

    return [(way, kind) for way, kinds in ways.items() for kind, one in kinds.items() if is_there(one.secret)]


def lay_out(repo: GitRepo, ways: Mapping[str, Mapping[str, Canary]]) -> None:
    """Puts secrets into uncommitted files of many kinds, and into the remote's address."""
    repo.commit({"config.yaml": "lr: 0.1\n", "analysis.ipynb": "{}", ".gitignore": "*.ignored\n"}, "config: begin")

    def write(name: str, text: str) -> None:
        path = repo.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    for number, one in enumerate(ways["files"].values()):
        write(f"notes/{number}.txt", f"first\nsecond {one.text}\n")
    for number, one in enumerate(ways["notebook"].values()):
        cell = {"cell_type": "code", "source": ["import os\n", f"client('{one.text}')\n"], "outputs": []}
        output = {"cell_type": "code", "source": [], "outputs": [{"text": [f"using {one.text}\n"]}]}
        write(f"notebooks/{number}.ipynb", json.dumps({"cells": [cell if number % 2 else output]}, indent=1))
    write(
        "analysis.ipynb", json.dumps({"cells": [{"outputs": [{"text": [next(iter(ways["notebook"].values())).text]}]}]})
    )
    write("config.yaml", "lr: 0.2\n" + "\n".join(one.text for one in ways["changed"].values()))
    staged = list(ways["staged"].values())
    write("staged.txt", "\n".join(one.text for one in staged))
    repo.git("add", "staged.txt")
    for one in ways["file names"].values():
        write(f"out/{one.text}.txt", "nothing")
    for number, one in enumerate(ways["link"].values()):
        (repo.path / f"link{number}").symlink_to(f"../{one.text}")
    write("requirements.txt", "".join(f"# {one.text}\n" for one in ways["lock"].values()) + "numpy==2.0\n")
    write("train.py", 'print("training harder")\n')
    [*_, one] = ways["remote"].values()
    repo.git("remote", "add", "origin", f"https://ada:{one.secret}@example.org/x.git?token={one.secret}")


def start_words(ways: Mapping[str, Mapping[str, Canary]]) -> tuple[list[str], dict[str, str]]:
    """Returns the words of a command line, and the environment, that are full of secrets."""
    group = next(iter(ways["group"].values())).text
    words = [word for one in ways["command"].values() for word in ("--note", one.text)]
    values = make("values")
    words += ["--password", values["stripe"].secret, f"--api-key={values['google'].secret}"]
    environ = {f"APP_{number}": one.text for number, one in enumerate(ways["environment"].values())}
    environ["APP_SECRET_KEY"] = values["openai"].secret
    return ["--group", group, "-m", group, "--name", group, "--", sys.executable], {
        **environ,
        "GITTRACK_ENV_ALLOW": "APP_*",
        "WORDS": json.dumps(words),
    }


def record(repo: GitRepo, folder: Path, ways: Mapping[str, Mapping[str, Canary]], *options: str) -> str:
    """Records one run that every way leads into, and returns what was said on stderr."""
    lay_out(repo, ways)
    given = folder / "given.json"
    given.write_text(
        json.dumps({way: {kind: [c.text, c.secret] for kind, c in kinds.items()} for way, kinds in ways.items()})
    )
    innocent = folder / "innocent.json"
    innocent.write_text(json.dumps(INNOCENT))
    script = folder / "script.py"
    script.write_text(SCRIPT)
    about, environ = start_words(ways)
    words = json.loads(environ.pop("WORDS"))
    done = repo.track("run", *options, *about, str(script), str(given), str(innocent), *words, check=False, env=environ)
    assert done.returncode == 0, done.stderr
    return done.stderr


def of_a_run(ways: Mapping[str, Mapping[str, Canary]]) -> dict[str, Mapping[str, Canary]]:
    values = make("values")
    extra = {kind: values[kind] for kind in ("stripe", "google", "openai")}
    return {**{way: kinds for way, kinds in ways.items() if way != "patch"}, "values": extra} | {
        "remote": {"remote": list(ways["remote"].values())[-1]},
        "group": dict(list(ways["group"].items())[:1]),
        "artifact names": dict(list(ways["artifact names"].items())[:1]),
        "staged": {},  # the user's own `git add` made an object of it
    }


def test_no_secret_of_any_kind_reaches_an_object_by_any_way(
    repo: GitRepo, tmp_path: Path, ways: dict[str, dict[str, Canary]]
) -> None:
    said = record(repo, tmp_path, ways)

    assert leaked(repo, of_a_run(ways)) == []
    [run] = listed(repo)
    facts = shown(repo, run["id"])["facts"]
    assert facts["redacted"] > 1000
    assert "redact" not in facts
    [line] = [line for line in said.splitlines() if "replaced by" in line]
    assert line.startswith(f"gittrack: {facts['redacted']} secrets were replaced by *** (in ")
    assert all(place in line for place in ("command", "environment", "output", "params", "texts", "names"))
    log = file_of(repo, f"{run['id']}:output.log").decode()
    assert [text for text in INNOCENT if text not in log] == []
    assert repo.git("show", f"{facts['code']['snapshot']}:train.py") == 'print("training harder")'
    assert repo.git("show", f"{facts['code']['snapshot']}:config.yaml") == "lr: 0.1"
    why = {left["path"]: left["why"] for left in facts["code"]["omitted"]}
    assert why["notes/0.txt"] == "holds what looks like a GitHub token, line 2"
    assert why["config.yaml"].endswith("; the committed version is kept")
    assert "staged.txt" not in repo.git("ls-tree", "-r", "--name-only", facts["code"]["snapshot"])


def test_without_redaction_all_of_them_are_there_and_the_run_says_so(
    repo: GitRepo, tmp_path: Path, ways: dict[str, dict[str, Canary]]
) -> None:
    said = record(repo, tmp_path, ways, "--no-redact")

    expected = of_a_run(ways)
    del expected["remote"]  # its address never has credentials
    found = set(leaked(repo, expected))
    missing = {(way, kind) for way, kinds in expected.items() for kind in kinds} - found
    assert missing == set()
    assert "replaced by" not in said
    [run] = listed(repo)
    assert shown(repo, run["id"])["facts"]["redact"] is False


# One way each --------------------------------------------------------------------------------------------------------


def only_kinds(seed: str, *kinds: str) -> dict[str, dict[str, Canary]]:
    """Returns some kinds of secrets as one way."""
    found = make(seed)
    return {seed: {kind: found[kind] for kind in kinds}}


FEW = ("github, classic", "stripe", "address, https", "jwt")


def test_a_script_that_records_itself_leaks_nothing_from_its_command_its_error_or_its_environment(
    repo: GitRepo,
) -> None:
    way = only_kinds("script", *FEW, "name, db_password, json")
    texts = [one.text for one in way["script"].values()]
    script = (
        "import sys, gittrack as gt\n"
        "gt.init(name=sys.argv[1], id=sys.argv[2], notes=sys.argv[3])\n"
        "raise ValueError(' '.join(sys.argv))\n"
    )

    done = repo.python(
        script, *texts, check=False, env={"GITTRACK_ENV_ALLOW": "MY_*", "MY_A": texts[0], "MY_TOKEN": "a1" * 9}
    )

    assert leaked(repo, way | {"name": {"variable": Canary("", "a1" * 9)}}) == []
    assert "replaced by *** (in command, environment, error, name, tags and notes, output)" in done.stderr
    assert texts[0] in done.stderr, "what Python prints is the script's own business"


def test_what_a_killed_command_printed_is_clean_when_the_next_command_seals_it(repo: GitRepo, tmp_path: Path) -> None:
    way = only_kinds("killed", *FEW, "private key RSA ", "line, curl -u ada:{} https://example.org")
    script = "import sys, time\nfor text in [*sys.argv[1:], 'ready']:\n    print(text, flush=True)\ntime.sleep(60)\n"
    (tmp_path / "print.py").write_text(script)
    texts = [one.text for one in way["killed"].values()]
    process = subprocess.Popen(
        ["git-track", "run", "--", sys.executable, str(tmp_path / "print.py"), *texts],
        cwd=repo.path,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout
    while process.stdout.readline() != b"ready\n":
        pass
    deadline = time.monotonic() + 20
    while not any(b"ready" in path.read_bytes() for path in repo.path.rglob("output.log")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()

    said = repo.track("ls").stderr

    assert leaked(repo, way) == []
    assert "replaced by *** (in command, output" in said
    assert file_of(repo, f"{listed(repo)[0]['id']}:output.log").endswith(b"ready\n")


def test_two_streams_and_the_middle_that_is_left_out_cut_no_token_in_half(repo: GitRepo, tmp_path: Path) -> None:
    one, two = (make(seed)["github, classic"] for seed in ("stdout", "stderr"))
    script = (
        "import os, sys, threading\n"
        "def print_slowly(fd, text):\n"
        "    for at in range(0, len(text), 7919):\n"
        "        os.write(fd, text[at : at + 7919].encode())\n"
        "threads = [threading.Thread(target=print_slowly, args=(n, (sys.argv[n] + '\\n') * 40_000)) for n in (1, 2)]\n"
        "[thread.start() for thread in threads]\n"
        "[thread.join() for thread in threads]\n"
    )
    (tmp_path / "print.py").write_text(script)

    repo.track("run", "--", sys.executable, str(tmp_path / "print.py"), one.text, two.text)

    log = file_of(repo, f"{listed(repo)[0]['id']}:output.log")
    assert log.count(b" bytes left out ...]\n") == 1
    assert [line for line in log.splitlines() if len(line) >= 8 and not line.startswith(b"[... ")] == []


def test_what_is_added_and_edited_later_is_clean_too(repo: GitRepo) -> None:
    way = only_kinds("later", *FEW)
    one, two, three, four = [canary.text for canary in way["later"].values()]

    repo.track("start", "-p", f"key={one}", "-m", two, "--name", one, "--group", two)
    repo.track("add", "-p", f"nested={three}", "-m", f"{one}=0.5", "--tag", one, "--note", four)
    repo.track("finish")
    run = listed(repo)[0]["id"]
    said = repo.track("edit", run, "--note", f"see {three}", "--name", one, "--group", two).stderr
    repo.track("tag", run, one, "fine")
    repo.track("tag", run, "--delete", "***")

    assert leaked(repo, way) == []
    assert said == "gittrack: 3 secrets were replaced by *** (in this edit)\n"
    assert shown(repo, run)["tags"] == ["fine"]
    assert shown(repo, run)["notes"][-1] == "see https://***@db.example.org:1234/data"


def test_to_keep_secrets_is_asked_for_in_words(repo: GitRepo) -> None:
    secret = next(iter(make("asked").values())).text
    start = f"import gittrack as gt\nrun = gt.init(params={{'a': {secret!r}}}, %s)\nrun.finish()\n"

    repo.python(start % "redact=False")
    repo.python(start % "redact=True", env={"GITTRACK_REDACT": "false"})
    repo.python(start % "redact=None", env={"GITTRACK_REDACT": "off"})
    repo.track("start", "--no-redact", "-p", f"a={secret}")
    repo.track("finish")
    repo.track("start")
    repo.track("add", "--no-redact", "-p", f"a={secret}")
    repo.track("finish")
    repo.git("-c", "track.redact=no", "track", "run", "-p", f"a={secret}", "--", "true")

    found = [
        (run["params"]["a"], shown(repo, run["id"])["facts"].get("redact", True)) for run in reversed(listed(repo))
    ]
    assert found == [(secret, False), ("***", True), *[(secret, False)] * 4]


def test_a_patch_has_no_file_whose_changes_hold_a_secret_not_even_one_that_was_taken_away(repo: GitRepo) -> None:
    way = only_kinds("patch", *FEW)
    one, two, *_ = [canary.text for canary in way["patch"].values()]
    repo.commit({"old.py": f"key = '{one}'\nlr = 0.1\n"}, "old: add a key by mistake")
    (repo.path / "old.py").write_text("lr = 0.2\n")
    (repo.path / "new.py").write_text(f"key = '{two}'\n")
    (repo.path / "train.py").write_text("print('harder')\n")

    repo.python("import gittrack as gt\ngt.init().finish()\n", env={"GITTRACK_CODE": "none"})

    run = listed(repo)[0]["id"]
    patch = file_of(repo, f"{run}:code.patch").decode()
    assert [line for line in patch.splitlines() if line.startswith("diff")] == ["diff --git a/train.py b/train.py"]
    repo.git("stash")
    repo.git("apply", "--check", "-", input=patch)
    assert {left["path"]: left["why"] for left in shown(repo, run)["facts"]["code"]["omitted"]} == {
        "new.py": "holds what looks like a Stripe key, line 1",
        "old.py": "its patch holds what looks like a GitHub token",
    }


def test_lists_of_packages_lose_their_passwords_and_nothing_else(repo: GitRepo) -> None:
    way = only_kinds("lock", "address, https")
    index = way["lock"]["address, https"].text
    lines = ["token-bucket==1.0", "secret-santa==2.0", "passlib==1.7", "  --hash=sha256:" + "0123456789abcdef" * 4]
    repo.commit({"requirements.txt": "\n".join([f"--extra-index-url {index}", *lines, ""])}, "requirements: begin")

    repo.track("run", "--", "true")

    run = listed(repo)[0]["id"]
    found = file_of(repo, f"{run}:env/requirements.txt").decode().splitlines()
    assert found[0] == "--extra-index-url https://***@db.example.org:1234/data"
    assert found[1:] == lines


def test_an_artifact_that_is_named_like_a_secret_is_refused_and_one_that_holds_one_is_kept_with_a_warning(
    repo: GitRepo, tmp_path: Path
) -> None:
    secret = next(iter(make("artifact").values())).text
    for name in (".env", "id_rsa", "fine.txt", "config.yaml"):
        (tmp_path / name).write_text(f"a\nb {secret}\n" if name == "config.yaml" else "nothing")
    script = (
        "import sys, gittrack as gt\n"
        "with gt.init(**({'redact': False} if sys.argv[2:] else {})) as run:\n"
        "    for name in ('.env', 'id_rsa', 'fine.txt', 'config.yaml'):\n"
        "        print(run.log_artifact(sys.argv[1] + '/' + name))\n"
    )

    done = repo.python(script, str(tmp_path))

    assert done.stdout.split() == ["[]", "[]", "['fine.txt']", "['config.yaml']"]
    assert "error: artifact '.env' is not kept\ngittrack: cause: its name says that it holds secrets\n" in done.stderr
    assert "artifact 'config.yaml' holds what looks like a GitHub token, line 2; it is kept as it is" in done.stderr
    assert repo.python(script, str(tmp_path), "keep").stdout.count("[]") == 0


def test_a_run_that_goes_on_adds_up_what_was_replaced(repo: GitRepo) -> None:
    one, two, *_ = [canary.text for canary in make("resumed").values()]
    script = (
        "import sys, gittrack as gt\nrun = gt.init(id='x', resume='allow')\nrun.log({'a': sys.argv[1]})\nrun.finish()\n"
    )
    for text in (one, two):
        repo.python(script.replace("sys.argv[1]", repr(text)))

    [run] = listed(repo)
    assert shown(repo, run["id"])["facts"]["redacted"] == 2


def test_what_is_no_secret_is_recorded_as_it_is(repo: GitRepo, tmp_path: Path) -> None:
    numbers = {
        "num_tokens": 4096,
        "use_cls_token": True,
        "key_dim": 64,
        "password_length": 12,
        "token": 1e-5,
        "seed": 1,
    }
    params = {f"p{number}": text for number, text in enumerate(INNOCENT)} | {"pad_token": "<pad>", **numbers}
    (tmp_path / "params.json").write_text(json.dumps(params))
    script = """
import json, sys
import gittrack as gt

params = json.load(open(sys.argv[1]))
run = gt.init(params=params, tags=["num_tokens=5"], notes="token: the")
run.log({"password_reset_rate": 0.5, "auth_loss": 1.0, "num_tokens": 3})
for number in range(len(params)):
    run.log({"text": params.get("p%d" % number, "")})
run.finish()
"""

    done = repo.python(script, str(tmp_path / "params.json"))

    assert done.stderr == ""
    found: dict[str, Any] = json.loads(ask(repo, "show", "--json", "@"))
    assert found["params"] == params
    assert set(found["metrics"]) == {"password_reset_rate", "auth_loss", "num_tokens"}
    events = file_of(repo, f"{found['id']}:events.jsonl").decode().splitlines()
    assert [json.loads(line)["value"] for line in events if json.loads(line)["value"]] == list(INNOCENT)
