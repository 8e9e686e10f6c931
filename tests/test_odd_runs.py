"""Runs at the edges of the format: whatever was recorded, every reader can read it again."""

from __future__ import annotations

import pytest

from tests.gitcmd import GitRepo
from tests.reader import only
from tests.runs import shown

BEGIN = """
import math, sys
import gittrack as gt

def file(name, text="x"):
    with open("../file", "w") as out:
        out.write(text)
    run.log_artifact("../file", name=name)
"""


def recorded(repo: GitRepo, script: str) -> str:
    """Records the script's run and returns what it said on stderr; the run is sound and can be shown."""
    said = repo.python(BEGIN + script, "a\udcff" if "argv" in script else "").stderr
    assert repo.track("fsck").returncode == 0
    shown(repo, "@")
    return said


def test_halves_of_characters_are_kept_as_escapes_in_tree_and_record(repo: GitRepo) -> None:
    recorded(
        repo,
        """
params = {"a\\udc81": "b\\udc82", "argv": sys.argv[1]}
run = gt.init(name="n\\udc80", params=params, tags=["t\\udc83"], notes="n\\udc84")
run.log({"m\\udc85": 1.0, "text": "\\udc86"})
run.finish()
""",
    )
    run = only(repo)
    assert run.record["name"] == run.facts["name"] == "n\\udc80"
    assert run.record["params"] == run.params == {"a\\udc81": "b\\udc82", "argv": "a\\udcff"}
    assert run.record["tags"] == run.facts["tags"] == ["t\\udc83"]
    assert run.facts["notes"] == ["n\\udc84"]
    assert run.facts["command"][-1] == "a\\udcff"
    assert list(run.metrics) == ["m\\udc85"]
    assert run.texts("text") == ["\\udc86"]


def test_a_file_where_a_folder_is_does_not_keep_the_run_from_its_commit(repo: GitRepo) -> None:
    recorded(repo, 'run = gt.init(); file("a"); file("a/b"); file("c/d/e"); file("c/d"); file("c/f"); run.finish()')
    run = only(repo)
    assert sorted(run.yaml("artifacts.yaml")) == ["a", "c/d/e", "c/f"]
    assert run.facts["dropped"] == 2


def test_a_file_where_a_folder_was_before_the_run_went_on_does_not_either(repo: GitRepo) -> None:
    recorded(
        repo,
        """
run = gt.init(); file("a/b"); run.finish()
run = gt.init(id=run.id, resume=True); file("a"); file("a/b/c"); file("d"); run.finish()
""",
    )
    run = only(repo)
    assert sorted(run.yaml("artifacts.yaml")) == ["a/b", "d"]
    assert run.facts["dropped"] == 2


def test_names_that_are_too_long_for_a_plain_key_read_back(repo: GitRepo) -> None:
    path = "/".join(["d" * 200] * 6)
    recorded(
        repo, f"""run = gt.init(params={{'"' * 512: 1}}); run.log({{'"' * 512: 2}}); file({path!r}); run.finish()"""
    )
    run = only(repo)
    assert run.params == {'"' * 512: 1}
    assert list(run.metrics) == ['"' * 512]
    assert list(run.yaml("artifacts.yaml")) == [path]


@pytest.mark.slow
def test_more_than_a_reader_takes_is_left_out_and_the_rest_can_be_read(repo: GitRepo) -> None:
    said = recorded(
        repo,
        """
run = gt.init(params={"list": list(range(150_000)), "after": 1})
for part in range(7):
    run.log_params({f"part{part}": {str(at): at for at in range(19_000)}})
run.log_params({"last": 1})
for first in range(0, 6_000, 100):
    run.log({f"m{number:04}": number for number in range(first, first + 100)})
run.log({"texts": ["\\u00e9" * 60_000] * 10})
run.finish()
""",
    )
    run = only(repo)
    assert "'list' has more than 20000 values" in said
    assert "'texts' is too large and is left out" in said
    assert 19_000 < len(run.params["list"]) < 20_001
    assert run.params["last"] == 1
    assert "part6" not in run.params
    assert run.facts["dropped"] >= 2
    assert 4_000 < len(run.metrics) < 6_000
    assert run.record["points"] == 6_000
    assert run.values("m5999") == [5999]


def test_a_number_logged_last_is_the_last_one_though_its_step_went_back(repo: GitRepo) -> None:
    recorded(repo, "run = gt.init()\nfor step in (5, 9, 4, 3): run.log({'a': float(step)}, step=step)\nrun.finish()")
    run = only(repo)
    assert (run.metrics["a"]["last"], run.metrics["a"]["step"]) == (3.0, 3)
    assert run.points("a") == [(3, 3.0), (4, 4.0), (5, 5.0), (9, 9.0)]


def test_params_that_look_like_the_words_of_the_record_read_back(repo: GitRepo) -> None:
    recorded(
        repo, 'gt.init(params={"a": {"$float": [1]}, "b": {"$float": "nan"}, "c": {"$$float": math.nan}}).finish()'
    )
    run = only(repo)
    assert run.params["a"] == {"$float": [1]}
    assert run.record["params"]["b"] == {"$$float": "nan"}
    assert shown(repo, "@")["params_nested"] == {
        "a": {"$float": [1]},
        "b": {"$float": "nan"},
        "c": {"$$float": "nan"},
    }
