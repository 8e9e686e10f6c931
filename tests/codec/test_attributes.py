"""Stock git finds the filter of git-lfs on each pointer of a run, and on nothing else."""

from __future__ import annotations

import subprocess
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gittrack.codec import attributes, tree
from gittrack.draft import folders_above, has_room
from tests.gitcmd import GitRepo

NAMES = st.text(st.sampled_from(list("ab[]*?! \"'#é-.\u00a0")), min_size=1, max_size=6)
PATHS = st.lists(st.lists(NAMES, min_size=1, max_size=3).map("/".join), max_size=12)


def filtered(repo: GitRepo, raw: bytes, paths: list[str]) -> list[str]:
    """Returns those of some paths below `artifacts/` on which git finds the filter."""
    (repo.path / ".gitattributes").write_bytes(raw)
    listing = "".join(f"artifacts/{path}\0" for path in paths).encode()
    command = ["git", "check-attr", "-z", "--stdin", "filter"]
    said = subprocess.run(command, cwd=repo.path, input=listing, capture_output=True, check=True).stdout
    fields = said.decode().split("\0")
    return [
        path.removeprefix("artifacts/")
        for path, value in zip(fields[::3], fields[2::3], strict=False)
        if value == "lfs"
    ]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PATHS, st.data())
def test_every_pointer_is_named_and_nothing_else(empty_repo: GitRepo, paths: list[str], data: st.DataObject) -> None:
    files: dict[str, None] = {}
    for path in paths:
        if tree.why_refused(path) is None and has_room(
            path, files, {above for file in files for above in folders_above(file)}
        ):
            files[path] = None
    pointers = [path for path in files if data.draw(st.booleans())]
    raw = attributes.encode(pointers, files)
    assert sorted(filtered(empty_repo, raw, list(files))) == sorted(pointers)


def test_a_folder_of_shards_takes_one_line() -> None:
    shards = [f"model/part-{number:04}.bin" for number in range(500)]
    raw = attributes.encode(shards, [*shards, "notes.txt"])
    assert raw == b"/artifacts/model/** filter=lfs diff=lfs merge=lfs -text\n"


def test_a_path_that_is_too_long_for_a_line_is_covered_by_its_folder(empty_repo: GitRepo, tmp_path: Path) -> None:
    long = "x" * 200 + "/" + "/".join(["y" * 190] * 12)
    raw = attributes.encode([long], [long, "x" * 200 + "/small"])
    assert max(map(len, raw.splitlines())) < 2048
    assert filtered(empty_repo, raw, [long]) == [long]
