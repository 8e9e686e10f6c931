"""Runs come into a shallow clone, and the history of their code stays where it is.

A plain fetch of a run brings all commits below it, and `git fetch --depth` would cut the user's own branches off. So
git fetches with `--depth=1` into a view: a git directory with the user's settings, a few of their refs and the ends of
their history. It is gone afterwards, with all that git noted there. What came is looked through: the commits of a run
are followed down to its first one, whose parents are code, and only there does history end in the user's clone too."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from gittrack import boundary
from gittrack.boundary import MAX_COMMIT, parents_of
from gittrack.codec import record
from gittrack.errors import DataRefused
from gittrack.git import Git, Place, Ref, RefMoved, Update, pause, sync_file, sync_name
from gittrack.objects import Objects
from gittrack.refname import LOCAL, RUNS, Oid, RunId, is_run_id
from gittrack.shared import make_folder, share

Bring = Callable[[Git, Sequence[Oid]], None]  # fetches commits, without what is below them, into a repository

_A_FETCH = 2000  # ids on one command line
_ATTEMPTS = 5
_OWN = ("core.bare", "core.worktree", "core.repositoryformatversion", "extensions.", "include.", "includeif.")


def fetch(git: Git, there: Mapping[str, Oid], bring: Bring, *, gone: Collection[str] = ()) -> None:
    """Brings commits that a remote has into a shallow clone, and has refs name them; removes the refs in `gone`.

    there: ref here to commit there. Raises what `bring` raises, and GitFailed."""
    refs = git.refs(RUNS, LOCAL)
    here = {ref.name: ref.oid for ref in refs}
    changed = {ref: oid for ref, oid in there.items() if here.get(ref) != oid}
    known = set(here.values())
    wanted = {oid: _run_of(ref) for ref, oid in changed.items() if oid not in known}
    kept: list[Path] = []
    if wanted:
        tips = _tips(refs, {run for run in wanted.values() if run})
        with view(git, [*_branches(git), *tips]) as beside:
            walk = _Walk(git, beside, bring, {ref.oid for ref in tips})
            walk.follow(wanted)
            kept = _adopt(beside, git.place.common_dir / "objects")
            old = {here[ref] for ref in changed if ref in here and "/archive/" in ref}
            stale = old - (known - old) - set(there.values())
            boundary.end_at(git.place.common_dir, walk.ends, no_more=stale)
    _point(git, changed, {ref for ref in gone if ref in here})
    for keep in kept:  # the refs protect it now
        keep.unlink(missing_ok=True)


def gather(git: Git, commits: Mapping[Oid, RunId], bring: Bring) -> None:
    """Brings commits of archived runs beside a shallow clone, as far as they are not there."""
    common = git.place.common_dir
    store = boundary.side(common)
    for folder in (store.parent.parent, store.parent, store, store / "pack"):
        make_folder(folder)
    git.environ |= boundary.environment(common)
    lacking = _lacking(git, store, list(commits))
    for at in range(0, len(lacking), _A_FETCH):  # what came is kept if the line breaks
        with view(git, [], lone=True) as beside:
            walk = _Walk(git, beside, bring, set())
            walk.follow({oid: commits[oid] for oid in lacking[at : at + _A_FETCH]})
            _adopt(beside, store)


@contextlib.contextmanager
def code(git: Git, oid: Oid, bring: Bring) -> Iterator[None]:
    """Brings one commit of code into a shallow clone, with its files; protects it until the block ends."""
    with view(git, _branches(git)) as beside:
        bring(beside, [oid])
        kept = _adopt(beside, git.place.common_dir / "objects")
    boundary.end_at(git.place.common_dir, [oid])
    yield
    for keep in kept:
        keep.unlink(missing_ok=True)


def _lacking(git: Git, store: Path, commits: Sequence[Oid]) -> list[Oid]:
    """Returns the commits that are not in a store."""
    env = {"GIT_OBJECT_DIRECTORY": str(store), "GIT_ALTERNATE_OBJECT_DIRECTORIES": ""}
    asked = "".join(f"{oid}\n" for oid in commits).encode()
    lines = git.ask("cat-file", "--batch-check=%(objecttype)", input=asked, env=env).decode().splitlines()
    return [oid for oid, line in zip(commits, lines, strict=True) if line.endswith("missing")]


def _run_of(ref: str) -> RunId | None:
    name = ref.rpartition("/")[2]
    return RunId(name) if is_run_id(name) and "/archive/" not in ref else None


def _branches(git: Git) -> list[Ref]:
    """Returns what the user has of the code, so that a server need not send it."""
    head = git.resolve("HEAD")
    return [*git.refs("refs/heads/", "refs/remotes/"), *([Ref("refs/here/head", head)] if head else [])]


def _tips(refs: Iterable[Ref], runs: Collection[RunId]) -> list[Ref]:
    """Returns what is here of some runs, and the archives."""
    return [ref for ref in refs if "/archive/" in ref.name or ref.name.rpartition("/")[2] in runs]


# The view -----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def view(git: Git, refs: Iterable[Ref], *, lone: bool = False) -> Iterator[Git]:
    """Yields a repository in which a fetch may do what it must not do in the user's; gone afterwards.

    What comes is in objects of its own; lone: it does not see the user's objects either."""
    common = git.place.common_dir
    make_folder(common / "gittrack")
    with tempfile.TemporaryDirectory(prefix="view-", dir=common / "gittrack") as name:
        folder = Path(name)
        settings = _settings(git)
        for part in ("objects", "refs"):
            (folder / part).mkdir()
        (folder / "HEAD").write_text("ref: refs/heads/none\n", "ascii")
        (folder / "config").write_text(_config(git, dict(settings)), "utf-8")
        (folder / "packed-refs").write_text("".join(f"{ref.oid} {ref.name}\n" for ref in refs), "utf-8")
        if not lone and (ends := boundary.ends(common)):
            (folder / "shallow").write_text("".join(f"{oid}\n" for oid in sorted(ends)), "ascii")
        place = Place(folder, folder, git.place.work_tree or git.place.git_dir, "", git.place.algorithm)
        beside = type(git)(place, git.environ)
        beside.environ |= _as_environment(settings, git.environ)
        beside.environ.pop("GIT_ALTERNATE_OBJECT_DIRECTORIES", None)
        if not lone:
            beside.environ["GIT_ALTERNATE_OBJECT_DIRECTORIES"] = boundary.listed(common / "objects")
        yield beside


def _settings(git: Git) -> list[tuple[str, str]]:
    """Returns the settings of this clone and work tree, with what they include."""
    items = git.ask("config", "--list", "-z", "--show-scope").decode("utf-8", "surrogateescape").split("\0")
    found = []
    for scope, item in zip(items[::2], items[1::2], strict=False):
        key, newline, value = item.partition("\n")
        if scope in ("local", "worktree"):
            found.append((key, value if newline else "true"))
    return found


def _config(git: Git, settings: Mapping[str, str]) -> str:
    """Returns what git wants to read from the file itself."""
    lines = ["[core]", "repositoryformatversion = 1", "[extensions]"]
    lines += [f"objectformat = {git.place.algorithm}"] if git.place.algorithm != "sha1" else []
    partial = settings.get("extensions.partialclone")
    lines += [f'partialclone = "{partial}"'] if partial and partial.isprintable() and '"' not in partial else []
    return "\n".join(lines) + "\n"


def _as_environment(settings: Iterable[tuple[str, str]], environ: Mapping[str, str]) -> dict[str, str]:
    """Returns settings as variables, before those that are there: so no password is written to a file."""
    pairs = [(key, value) for key, value in settings if not key.startswith(_OWN)]
    with contextlib.suppress(ValueError, KeyError):
        count = int(environ["GIT_CONFIG_COUNT"])
        pairs += [(environ[f"GIT_CONFIG_KEY_{at}"], environ[f"GIT_CONFIG_VALUE_{at}"]) for at in range(count)]
    found = {"GIT_CONFIG_COUNT": str(len(pairs))}
    for at, (key, value) in enumerate(pairs):
        found |= {f"GIT_CONFIG_KEY_{at}": key, f"GIT_CONFIG_VALUE_{at}": value}
    return found


def _adopt(beside: Git, store: Path) -> list[Path]:
    """Moves the packs of a view into a store, each protected from gc; returns what protects them."""
    kept = []
    for index in sorted((beside.place.git_dir / "objects" / "pack").glob("pack-*.idx")):
        if (store / "pack" / index.name).exists():
            continue
        keep = store / "pack" / f"{index.stem}.keep"
        keep.write_text(boundary.KEEP, "ascii")
        share(keep)
        sync_file(keep)
        kept.append(keep)
        for suffix in (".pack", ".rev", ".promisor", ".idx"):  # git opens a pack through its index
            with contextlib.suppress(FileNotFoundError):
                index.with_suffix(suffix).rename(store / "pack" / f"{index.stem}{suffix}")
    sync_name(store / "pack")
    return kept


def _point(git: Git, changed: Mapping[str, Oid], gone: Collection[str]) -> None:
    """Has the mirror say what the remote has, from wherever it is now."""
    for attempt in range(_ATTEMPTS):
        here = {ref.name: ref.oid for ref in git.refs(LOCAL)}
        updates = [Update(ref, oid, here.get(ref)) for ref, oid in changed.items() if here.get(ref) != oid]
        updates += [Update(ref, None, here[ref]) for ref in gone if ref in here]
        try:
            if updates:
                git.update_refs(updates)
            return
        except RefMoved:  # another fetch does the same
            if attempt + 1 == _ATTEMPTS:
                raise
            pause(attempt)


# Following a run ----------------------------------------------------------------------------------------------------


class _Walk:
    """Follows commits of runs down to where code begins, and brings what is missing on the way."""

    def __init__(self, git: Git, beside: Git, bring: Bring, tips: Collection[Oid]) -> None:
        """tips: commits of these runs that have a ref here, and so are here with all that is above code."""
        self._git = git
        self._beside = beside
        self._bring = bring
        self._found: dict[Oid, tuple[Oid, ...]] = {}
        self._code: set[Oid] = set()
        self._known = self._reachable(tips)
        self.ends: set[Oid] = set()

    def follow(self, wanted: Mapping[Oid, RunId | None]) -> None:
        """Brings commits, each of a run or (None) of an archive, and finds out where history ends."""
        pending = dict(wanted)
        while pending:
            ids = list(pending)
            for at in range(0, len(ids), _A_FETCH):
                self._bring(self._beside, ids[at : at + _A_FETCH])
            above: dict[Oid, RunId | None] = {}
            with self._beside.objects() as objects:
                for oid, raw in zip(ids, objects.read_many(ids, limit=MAX_COMMIT), strict=True):
                    if isinstance(raw, tuple) and raw[1] == "commit":
                        self._look(oid, raw[2], pending[oid], above)
            pending = {oid: run for oid, run in above.items() if oid not in self._found}
        self._end()

    def _look(self, oid: Oid, body: bytes, run: RunId | None, above: dict[Oid, RunId | None]) -> None:
        parents = self._found[oid] = parents_of(body)
        message = body.partition(b"\n\n")[2]
        if run is None:
            self.ends |= {oid} if parents else set()
        elif b"\nRun: %s\n" % run.encode() not in message:
            self._code.add(oid)
        else:
            self._code |= _code_of(message, run)
            above |= {parent: run for parent in parents if parent not in self._code | self._known}

    def _end(self) -> None:
        """Finds out where history ends; code that a resumed run went on with comes too, for it stands beside a run."""
        lacking: dict[Oid, set[Oid]] = {}
        for oid, parents in self._found.items():
            if oid not in self._code and oid not in self.ends:
                missing = {
                    each for each in parents if each in self._code or not (each in self._found or each in self._known)
                }
                if missing:
                    lacking[oid] = missing
        if lacking:
            here = self._of_branches({each for missing in lacking.values() for each in missing})
            lacking = {oid: missing - here for oid, missing in lacking.items() if missing - here}
        beside: set[Oid] = set()
        for oid, missing in lacking.items():
            if missing == set(self._found[oid]):
                self.ends.add(oid)
            else:
                beside |= missing
        if beside:
            self._bring(self._beside, sorted(beside))
            self.ends |= beside

    def _reachable(self, tips: Collection[Oid]) -> frozenset[Oid]:
        """Returns the commits of runs that are here already, without a look at code."""
        found: set[Oid] = set()
        waiting = list(tips)
        if not waiting:
            return frozenset()
        with self._git.objects(beside=False) as objects:
            while waiting:
                oid = waiting.pop()
                raw = None if oid in found else objects.read(oid, limit=MAX_COMMIT)
                if raw and raw[1] == "commit" and b"\nRun: " in raw[2]:
                    found.add(oid)
                    waiting += parents_of(raw[2])
        return frozenset(found)

    def _of_branches(self, commits: Collection[Oid]) -> frozenset[Oid]:
        """Returns those of some commits of code that the user's branches have."""
        with self._git.objects(beside=False) as objects:
            present = {oid for oid in commits if _is_there(objects, oid)}
        if not present:
            return frozenset()
        listed = self._git.ask("rev-list", "--branches", "--remotes", "--tags", "HEAD", "--").decode().split()
        return frozenset(present & set(listed))


def _is_there(objects: Objects, oid: Oid) -> bool:
    try:
        return objects.read(oid, limit=MAX_COMMIT) is not None
    except DataRefused:
        return True


def _code_of(message: bytes, run: RunId) -> set[Oid]:
    """Returns the commits of code that a run's commit names."""
    try:
        code = record.decode_message(message, run=run).code
    except DataRefused:  # it will be refused as a whole
        return set()
    return {oid for oid in (code.commit, code.snapshot) if oid}
