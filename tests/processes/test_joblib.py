"""scikit-learn with joblib: workers in other processes write into the run that is handed to them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.gitcmd import GitRepo, run
from tests.reader import only, runs

pytest.importorskip("joblib")
pytest.importorskip("sklearn")

SCRIPT = """
import warnings
from joblib import Parallel, delayed
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold
import gittrack as gt

def fold(run, number, train, test):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        x, y = load_breast_cancer(return_X_y=True)
        model = LogisticRegression(max_iter=50).fit(x[train], y[train])
    run.log({f"fold/{number}": model.score(x[test], y[test])}, step=number)
    return model.score(x[test], y[test])

if __name__ == "__main__":
    with gt.init(name="cv", params={"folds": 4}) as run:
        x, y = load_breast_cancer(return_X_y=True)
        jobs = (delayed(fold)(run, n, train, test) for n, (train, test) in enumerate(KFold(4).split(x)))
        scores = Parallel(n_jobs=2, backend=BACKEND)(jobs)
        run.log({"mean": sum(scores) / 4})
        print(scores)
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["loky", "multiprocessing", "threading"])
def test_every_worker_writes_into_the_run(repo: GitRepo, tmp_path: Path, backend: str) -> None:
    script = tmp_path / "cv.py"
    script.write_text(SCRIPT.replace("BACKEND", repr(backend)), encoding="utf-8")
    done = run([sys.executable, script], cwd=repo.path)
    found = only(repo)
    scores = eval(done.stdout.splitlines()[-1], {"np": __import__("numpy")})  # noqa: S307 - what we printed ourselves
    assert [found.values(f"fold/{number}") for number in range(4)] == [[float(score)] for score in scores]
    assert found.values("mean") == [pytest.approx(sum(scores) / 4)]
    assert (found.status, len(runs(repo))) == ("finished", 1)
