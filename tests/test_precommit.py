"""What we offer to users of pre-commit, installed by it as for them: the standard, and runs that have to meet it."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.gitcmd import GitRepo, run
from tests.runs import record

ROOT = Path(__file__).parent.parent
SOURCES = ("gittrack", "hooks", "docs/man", "docs/completion", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture
def offered(tmp_path: Path) -> GitRepo:
    """A repository of gittrack as pre-commit clones it."""
    if not Path(sys.executable).with_name("pre-commit").exists():
        pytest.skip("pre-commit is not installed")
    pytest.importorskip("hatchling")
    made = GitRepo.init(tmp_path / "gittrack")
    for name in (*SOURCES, ".pre-commit-hooks.yaml"):
        (made.path / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, made.path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, made.path / name)
    made.commit({}, "a version")
    return made


@pytest.fixture
def using(repo: GitRepo, offered: GitRepo, monkeypatch: pytest.MonkeyPatch) -> GitRepo:
    """A repository whose people use both hooks: pre-commit builds gittrack for them in an environment of its own.

    What gittrack needs is taken from here, so that nothing is downloaded."""
    program = Path(sys.executable).with_name("pre-commit")
    revision = offered.git("rev-parse", "HEAD")
    wanted = ["repos:", f"- repo: {offered.path}", f"  rev: {revision}", "  hooks:"]
    wanted += ["  - id: gittrack-schema", "  - id: gittrack-check", ""]
    repo.commit({".pre-commit-config.yaml": "\n".join(wanted)}, "use hooks")
    for name, value in (
        ("PYTHONPATH", os.pathsep.join(folder for folder in sys.path if folder.endswith("site-packages"))),
        *(("PIP_NO_DEPS", "1"), ("PIP_NO_INDEX", "1"), ("PIP_NO_BUILD_ISOLATION", "0")),
        ("PATH", os.pathsep.join(part for part in os.environ["PATH"].split(os.pathsep) if part != str(program.parent))),
    ):
        monkeypatch.setenv(name, value)
    run([str(program), "install", "--hook-type", "pre-commit", "--hook-type", "pre-push"], cwd=repo.path)
    return repo


@pytest.mark.slow
def test_pre_commit_installs_both_hooks_and_they_say_what_is_wrong(bare_remote: GitRepo, using: GitRepo) -> None:
    standard = using.path / "gittrack.yaml"

    def attempted(*words: str) -> tuple[int, str]:
        using.git("add", "--all")
        done = run(["git", *words], cwd=using.path, check=False)
        assert "unexpected error" not in done.stdout, done.stdout
        return done.returncode, done.stdout + done.stderr

    standard.write_text("metrics: {acc: {requird: true}}\n", encoding="utf-8")
    code, said = attempted("commit", "-m", "misspelt")
    assert code == 1
    assert "gittrack.yaml:1: key 'metrics.acc.requird' is not known; did you mean 'required'?" in said

    standard.write_text("metrics: {acc: {required: true}}\ngates: {all: {run: true}}\n", encoding="utf-8")
    assert attempted("commit", "-m", "spelt")[0] == 0
    code, said = attempted("push", "origin", "main")
    assert code == 1
    assert "gates.all asks for a finished run of this code, and there is none" in said
    record(using, {"metrics": {"acc": [1]}})
    code, said = attempted("push", "origin", "main")
    assert code == 0, said
    assert bare_remote.refs("refs/heads/") == using.refs("refs/heads/")
