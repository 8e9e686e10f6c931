"""What a run makes use of: the files of earlier runs, so that one can tell later what came from what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gittrack import repo
from gittrack.bundling import Bundling
from gittrack.errors import NotFound, UsageError
from gittrack.refname import RunId
from gittrack.repo import Repo

if TYPE_CHECKING:
    from gittrack.obtained import RecordedArtifact


_OWN = "'{}' was logged by run '{}' itself, which has not ended"
_LATER = "use the file that was logged, or ask in a run after it"


class Using(Bundling):
    """The part of an active run that uses files of others."""

    id: RunId
    _repo: Repo

    def use_artifact(self, artifact: str | RecordedArtifact, *_: Any, **__: Any) -> RecordedArtifact:
        """Returns a file or folder of another run, and records that this run used it.

        artifact: `RUN:PATH`, `RUN` for all its files, `NAME@ALIAS` for the newest run that logged an artifact of this
        name with this alias (W&B's `NAME:ALIAS` too), or what `RecordedRun.artifact()` returned. Its content comes
        when it is asked for. Raises NotFound or Ambiguous: without it training cannot go on."""
        from gittrack import finding, obtained  # noqa: PLC0415 - most runs use nothing, and begin without it

        found = artifact
        if isinstance(artifact, str):
            place = self._repo if bool(self._repo.git) else repo.open_repo()  # a spawned process has none
            own = self._own(artifact)
            try:
                found = obtained.RecordedArtifact(place, finding.artifact(place, artifact))
            except NotFound as exc:
                if not own:
                    raise
                raise NotFound(
                    f"artifact '{artifact}' is not there yet", cause=_OWN.format(own, self.label), hint=_LATER
                ) from exc
            if own and found.run != self.id:
                self._say_once(
                    f"own:{artifact}", f"warning: {_OWN.format(own, self.label)}: '{artifact}' is of {found.run_name}"
                )
        if not isinstance(found, obtained.RecordedArtifact):
            raise UsageError(f"{type(artifact).__name__} is no artifact of a run", hint="name it: RUN:PATH")
        if found.run != self.id:
            for file in found.files:
                self._note("use", run=str(file.run), path=file.within, sha256=file.sha256, size=file.size)
        return found
