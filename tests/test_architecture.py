"""Rules about the source itself that the linters cannot state."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "gittrack").rglob("*.py"))
MOST_LINES = 400

# A path of the machine that a file was written on means nothing anywhere else.
MACHINE_PATH = re.compile(rb"/(?:work|root)/|\.\.[/]shared")


def name(module: Path) -> str:
    return module.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("module", MODULES, ids=name)
def test_no_module_knows_everything(module: Path) -> None:
    lines = len(module.read_text(encoding="utf-8").splitlines())
    assert lines <= MOST_LINES, f"{name(module)} has {lines} lines: which two things does it do?"


@pytest.mark.parametrize("module", MODULES, ids=name)
def test_every_module_opens_by_saying_why_it_exists(module: Path) -> None:
    assert ast.get_docstring(ast.parse(module.read_text(encoding="utf-8")))


def test_importing_gittrack_imports_the_standard_library_only() -> None:
    script = (
        "import sys; before = set(sys.modules); import gittrack; "
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before}))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) - sys.stdlib_module_names == {"gittrack"}


def test_no_file_names_a_path_of_the_machine_it_was_written_on() -> None:
    guilty = [
        file.relative_to(ROOT).as_posix() for file in files_of_the_project() if MACHINE_PATH.search(file.read_bytes())
    ]
    assert guilty == []


def files_of_the_project() -> list[Path]:
    """Returns the tracked files and those that would be."""
    listing = subprocess.run(
        # In a container the clone often belongs to another user.
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "-c", "-o", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return [file for entry in listing.split("\0") if entry and (file := ROOT / entry).is_file()]
