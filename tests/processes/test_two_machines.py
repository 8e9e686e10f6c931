"""Two machines that go on with one run: the later is shown, the other stays, and people are told."""

from __future__ import annotations

from tests.gitcmd import GitRepo
from tests.reader import only

FIRST = """
import gittrack as gt
run = gt.init(name="shared")
for step in range(5): gt.log({"loss": step / 7}, step=step)
raise KeyboardInterrupt
"""
ON = """
import gittrack as gt
run = gt.init(resume="shared")
for step in range(run.step, run.step + COUNT): gt.log({"loss": step / 7}, step=step)
"""


def test_both_versions_stay_and_it_is_said(repo: GitRepo, bare_remote: GitRepo, colleague: GitRepo) -> None:
    repo.python(FIRST, check=False)
    repo.track("push")
    colleague.track("pull")
    repo.python(ON.replace("COUNT", "2"))
    ours = repo.git("rev-parse", only(repo).ref)
    colleague.python(ON.replace("COUNT", "4"))
    theirs = colleague.git("rev-parse", only(colleague).ref)
    colleague.track("push")
    said = repo.track("pull").stderr
    assert "was gone on with on two machines" in said
    assert ours[:12] in said
    found = only(repo)
    assert len(found.values("loss")) == 9
    for version in (ours, theirs):
        repo.git("merge-base", "--is-ancestor", version, found.ref)
    assert repo.track("pull").stderr == "already up to date\n"
    repo.track("push")
    assert "two machines" not in colleague.track("pull").stderr
    assert colleague.git("rev-parse", found.ref) == repo.git("rev-parse", found.ref)


def test_an_edit_beside_a_run_that_went_on_is_no_second_recording(
    repo: GitRepo, bare_remote: GitRepo, colleague: GitRepo
) -> None:
    repo.python(FIRST, check=False)
    repo.track("push")
    colleague.track("pull")
    repo.python(ON.replace("COUNT", "2"))
    colleague.track("tag", "shared", "seen")
    colleague.track("push")
    assert "two machines" not in repo.track("pull").stderr
    found = only(repo)
    assert (len(found.values("loss")), found.record["tags"]) == (7, ["seen"])
