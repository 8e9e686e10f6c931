"""A notebook: cells print, cells fail, kernels restart; a real kernel runs them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.gitcmd import GitRepo
from tests.reader import only, runs

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def texts(cell: Any) -> str:
    return "".join(output.get("text", "") for output in cell.outputs)


@contextmanager
def notebook(repo: GitRepo, *cells: str) -> Iterator[tuple[Any, Any]]:
    """Starts a kernel in the repository; yields the client and the notebook."""
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client = nbclient.NotebookClient(
            made, timeout=60, kernel_name="python3", allow_errors=True, resources={"metadata": {"path": str(repo.path)}}
        )
        with client.setup_kernel():
            yield client, made


def run_all(client: Any, made: Any, first: int = 0) -> None:
    for index, cell in enumerate(made.cells[first:], start=first):
        client.execute_cell(cell, index)


def test_a_run_spans_cells_and_ends_with_the_kernel(repo: GitRepo) -> None:
    cells = (
        "import gittrack as gt\nrun = gt.init(name='cells', params={'lr': 0.1})",
        "print('in a cell')\nfor step in range(10): gt.log({'loss': step})",
        "1 / 0",
        "gt.log({'loss': 10})\nimport time; time.sleep(1)",
    )
    with notebook(repo, *cells) as (client, made):
        run_all(client, made)
        assert texts(made.cells[1]) == "in a cell\n"
    repo.track("ls")
    found = only(repo)
    assert found.status in ("finished", "crashed", "interrupted")
    assert found.values("loss") == [float(step) for step in range(11)]
    assert b"in a cell\n" in (found.raw("output.log") or b"")


def test_a_cell_that_is_run_again_ends_the_run_before(repo: GitRepo) -> None:
    cell = "import gittrack as gt\nrun = gt.init()\nfor step in range(3): gt.log({'loss': step})"
    with notebook(repo, cell, cell, "run.finish()") as (client, made):
        run_all(client, made)
        assert "finished before the next one begins" in texts(made.cells[1])
    assert [(run.status, len(run.values("loss"))) for run in runs(repo)] == [("finished", 3)] * 2


def test_a_kernel_that_is_killed_loses_nothing_and_the_next_one_goes_on(repo: GitRepo) -> None:
    begin = "import gittrack as gt\nrun = gt.init(name='notebook', id='my-notebook', resume='allow')\nprint(run.step)"
    with notebook(repo, begin, "for step in range(5): gt.log({'loss': step})") as (client, made):
        run_all(client, made)
        client.km._kernel_id = None
        import os  # noqa: PLC0415
        import signal  # noqa: PLC0415

        os.kill(client.km.provisioner.pid, signal.SIGKILL)
    with notebook(repo, begin, "for step in range(5, 9): gt.log({'loss': step})", "run.finish()") as (client, made):
        run_all(client, made)
        assert texts(made.cells[0]).endswith("5\n")
    found = only(repo)
    assert (found.status, found.values("loss")) == ("finished", [float(step) for step in range(9)])


def test_runs_and_curves_show_themselves(repo: GitRepo) -> None:
    record = (
        "import gittrack as gt\nwith gt.init(name='heron', params={'lr': 0.1}) as run:\n"
        "    for step in range(100): gt.log({'loss': 1 / (step + 1)}, step=step)"
    )
    looks = ("gt.runs()", "gt.get('heron')", "gt.get('heron').history('loss')")
    with notebook(repo, record, *looks) as (client, made):
        run_all(client, made)
    listed, one, curve = (cell.outputs[-1].data for cell in made.cells[1:])
    assert "<td>heron</td>" in listed["text/html"]
    assert "<td>loss</td>" in one["text/html"]
    assert curve["text/plain"] == "<history of heron: 100 rows of loss>"
    assert "image/png" in curve or "text/html" in curve
