"""What `git track init` does to a repository, and takes back.

It touches what belongs to the user: git's settings and hooks. So it is a plan first, that can be shown; only what was
agreed to is added; and what was added is written down, so that it can be taken out again byte for byte, however much
others changed around it meanwhile. The settings are changed by `git config`, which alone knows how."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from gittrack import boundary, hooks
from gittrack import remote as remotes
from gittrack.errors import DataRefused, GitFailed, NotFound
from gittrack.git import Git, no_git
from gittrack.hooks import Hook
from gittrack.prepush import refspec
from gittrack.refname import LOCAL, RUNS
from gittrack.repo import Repo
from gittrack.settings import Settings
from gittrack.shared import make_folder, share
from gittrack.standard import FILE

_DECORATES_ALL_BEFORE = (2, 39)  # since then git names branches, tags and remotes in a log, and no other refs

# What `git track init --standard` writes: it asks for nothing until somebody takes a `#` away.
STARTER = """\
# What this project asks of its runs; `git track check` judges by it, and says what it does not understand.
format: 1
# metrics:
#   val/acc: {goal: max, required: true, min: 0, max: 1}
#   loss: {goal: min, finite: true}
# params:
#   lr: {type: float, required: true, min: 0}
# columns: [params.lr, metrics.val/acc.best]
# gates:
#   a run there is:
#     branches: [main]
#     run: true
"""

Setting = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done: settings to add, a starter to write, hooks to put in place, and what else to know."""

    remote: str | None = None
    fetch: tuple[Setting, ...] = ()
    hidden: tuple[Setting, ...] = ()
    standard: Path | None = None
    hooks: tuple[Hook, ...] = ()
    by_hand: tuple[Hook, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def settings(self) -> tuple[Setting, ...]:
        """All settings to add, those of hooks included."""
        given = (pair for hook in self.hooks if hook.action == "settings" for pair in hooks.settings(hook.event))
        return (*self.fetch, *self.hidden, *given)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.settings or self.hooks or self.standard)


@dataclass(frozen=True, slots=True)
class Done:
    """What was done, as it is written down: settings added, hook files and folders made.

    before, after: the SHA-256 of git's settings file then; whole: the file itself, base64, if git cannot restore it."""

    settings: tuple[Setting, ...] = ()
    created: tuple[str, ...] = ()
    folder: bool = False
    standard: bool = False
    before: str = ""
    after: str = ""
    whole: str = ""


# The plan -------------------------------------------------------------------------------------------------------------


def plan(place: Repo, wanted: str | None, *, with_hooks: bool, with_standard: bool) -> Plan:
    """Returns what is to be done here; raises NotFound if there is no remote of the wanted name."""
    if not place.git.has_executable:
        raise no_git()
    found = Plan()
    configured = place.git.config()
    name, note = _remote(place, wanted)
    if name and (f"remote.{name}.fetch", refspec(place.settings, name)) not in configured:
        found = replace(found, fetch=((f"remote.{name}.fetch", refspec(place.settings, name)),))
    found = replace(found, remote=name, hidden=_hidden(place.git, configured))
    surveyed = hooks.survey(place.git) if with_hooks else []
    return replace(
        found,
        standard=_missing_standard(place.git) if with_standard else None,
        hooks=tuple(hook for hook in surveyed if hook.action not in ("present", "by hand")),
        by_hand=tuple(hook for hook in surveyed if hook.action == "by hand"),
        notes=(note,) if note else (),
    )


def _remote(place: Repo, wanted: str | None) -> tuple[str | None, str]:
    """Returns the remote whose runs plain git is to bring, if there is one, or why there is none."""
    try:
        name = remotes.choose(place.settings, wanted, branch=place.git.branch())
    except NotFound:
        if wanted:
            raise
        return None, "there is no remote yet: run `git track init` again when there is one"
    if name not in remotes.names(place.settings):
        return None, "runs go to an address that is no remote: plain `git pull` does not ask there"
    if not any(key == f"remote.{name}.fetch" for key, _ in place.git.config()):
        return None, f"remote '{name}' has no refspec to fetch with, so plain `git pull` brings no runs from there"
    if boundary.is_cut(place.git.place.common_dir):
        return None, "plain `git pull` would bring all history into this shallow clone: `git track pull` does not"
    return name, ""


def _hidden(git: Git, configured: Sequence[Setting]) -> tuple[Setting, ...]:
    """Returns the settings that keep the names of our refs out of `git log`, where git shows them.

    With the first of them a git from 2.39 on would show refs of all other kinds, which it leaves out by itself."""
    chosen = [value for key, value in configured if key == "log.excludedecoration"]
    shows_all = ("log.initialdecorationset", "all") in configured or chosen
    if hooks.version(git) >= _DECORATES_ALL_BEFORE and not shows_all:
        return ()
    wanted = (f"{RUNS}*", f"{LOCAL}*")
    return tuple(("log.excludeDecoration", pattern) for pattern in wanted if pattern not in chosen)


def _missing_standard(git: Git) -> Path | None:
    """Returns where a starter of the standard is to go; None where there is a standard, or no work tree."""
    file = git.place.work_tree / FILE if git.place.work_tree else None
    return None if file is None or os.path.lexists(file) else file


# Doing it -------------------------------------------------------------------------------------------------------------


def carry_out(place: Repo, agreed: Plan) -> None:
    """Does what a plan says; raises GitFailed or OSError. What was done until then can be taken back."""
    git, done = place.git, read_done(place)
    file = _file(git)
    before = _content(file)
    if agreed.settings:
        exact = _digest(before) == done.after or not done.settings
        done = replace(
            done,
            settings=(*done.settings, *agreed.settings),
            before=(done.before or _digest(before)) if exact else "",
            whole=done.whole if done.settings else _unless_reversible(git, before, agreed.settings),
        )
    made = [hook.path for hook in agreed.hooks if hook.action == "create" and hook.path]
    done = replace(
        done,
        created=(*done.created, *(path.name for path in made)),
        folder=done.folder or any(not path.parent.exists() for path in made),
        standard=done.standard or agreed.standard is not None,
    )
    _write_done(place, done)
    for key, value in agreed.settings:
        git.ask("config", "--local", "--add", key, value)
    if agreed.standard:
        agreed.standard.write_text(STARTER, "utf-8")
    for hook in agreed.hooks:
        hooks.write(hook)
    _write_done(place, replace(done, after=_digest(_content(file)) if done.settings else ""))


def _unless_reversible(git: Git, before: bytes, settings: Sequence[Setting]) -> str:
    """Returns the settings file for keeping, or nothing if git restores it from what it will be."""
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder, "config")
        trial.write_bytes(before)
        for key, value in settings:
            git.ask("config", "--file", str(trial), "--add", key, value)
        _unset(git, settings, "--file", str(trial))
        return "" if _digest_before(trial.read_bytes(), _digest(before)) else base64.b64encode(before).decode()


def _unset(git: Git, settings: Iterable[Setting], *where: str) -> list[Setting]:
    """Takes settings out, the last first; returns those that were there."""
    found = []
    for key, value in reversed(list(settings)):
        done = git.run("config", *where, "--fixed-value", "--unset", key, value)
        if done.returncode == 5 and b"multiple" in done.stderr:  # somebody added the same once more: one stays
            git.ask("config", *where, "--fixed-value", "--replace-all", key, value, value)
        elif done.returncode:
            continue
        found.append((key, value))
    return found


def _digest_before(content: bytes, digest: str) -> bytes | None:
    """Returns the content with this digest: `content`, or without its last line end, which git adds; else None."""
    return next((text for text in (content, content[:-1]) if _digest(text) == digest), None)


# Taking it back -------------------------------------------------------------------------------------------------------


def remove(place: Repo) -> list[str]:
    """Takes back what `carry_out` did; returns what was taken out, for people: settings, and paths of hook files."""
    if not place.git.has_executable:
        raise no_git()
    done, written = read_done(place), _done_file(place).exists()
    said = [f"{key} {value}" for key, value in _remove_settings(place.git, place.settings, done, written=written)]
    said += [str(path) for path in hooks.remove(place.git, done.created)]
    said += [FILE] if done.standard and _remove_starter(place.git) else []
    if done.folder:
        with contextlib.suppress(OSError):  # somebody has something in it
            (place.git.place.common_dir / "hooks").rmdir()
    _done_file(place).unlink(missing_ok=True)
    return said


def _remove_starter(git: Git) -> bool:
    """Removes the starter if nobody wrote into it or committed it; tells whether it did."""
    file = git.place.work_tree / FILE if git.place.work_tree else None
    if file is None or _content(file) != STARTER.encode() or git.ask("ls-files", "--", FILE):
        return False
    file.unlink()
    return True


def _remove_settings(git: Git, settings: Settings, done: Done, *, written: bool) -> list[Setting]:
    file = _file(git)
    content = _content(file)
    ours = done.settings if written else _known(git, settings)
    if done.whole and _digest(content) == done.after:
        _write(file, base64.b64decode(done.whole))
        return list(ours)
    found = _unset(git, _where_they_are(git, ours), "--local")
    content = _content(file)
    exact = _digest_before(content, done.before)
    if exact is not None and exact != content:
        _write(file, exact)
    return found


def _known(git: Git, settings: Settings) -> list[Setting]:
    """Returns the settings that can only be ours, for where nothing was written down."""
    pairs = git.config()
    names = [key[len("remote.") : -len(".fetch")] for key, _ in pairs if _is_fetch(key)]
    wanted = [(f"remote.{name}.fetch", refspec(settings, name)) for name in dict.fromkeys(names)]
    wanted += [pair for event in hooks.EVENTS for pair in hooks.settings(event)]
    return [pair for pair in wanted if pair in pairs]


def _where_they_are(git: Git, ours: Iterable[Setting]) -> list[Setting]:
    """Returns settings of ours under the keys they have now: a remote may have been renamed."""
    pairs = git.config()
    found = []
    for key, value in ours:
        now = key
        if _is_fetch(key) and (key, value) not in pairs:
            now = next((other for other, its in pairs if its == value and _is_fetch(other)), key)
        found.append((now, value))
    return found


def _is_fetch(key: str) -> bool:
    return key.startswith("remote.") and key.endswith(".fetch")


def _write(file: Path, content: bytes) -> None:
    """Writes git's settings file as git does: under its lock, and renamed."""
    target = file.resolve()
    lock = target.with_name(target.name + ".lock")
    try:
        fd = os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL, target.stat().st_mode & 0o777)
    except FileExistsError as exc:
        raise GitFailed(f"cannot write '{file}'", cause="another git writes it", hint="try again") from exc
    try:
        with os.fdopen(fd, "wb") as stream:
            stream.write(content)
        lock.chmod(target.stat().st_mode & 0o777)
        lock.replace(target)
    except OSError:
        lock.unlink(missing_ok=True)
        raise


# What there is ------------------------------------------------------------------------------------------------------


def findings(place: Repo) -> Iterator[tuple[str, str, str]]:
    """Yields what `git track doctor` says of all this: `ok` or `warn`, the state, and what to do about it."""
    configured = place.git.config()
    surveyed = hooks.survey(place.git)
    names = [name for name in remotes.names(place.settings) if _brings_runs(configured, name)]
    there = [hook.event for hook in surveyed if hook.action in ("present", "replace")]
    if not (names or there or hooks.configured_events(configured) or _done_file(place).exists()):
        yield "ok", "plain git leaves runs alone; `git track init` lets `git pull` and `git push` share them", ""
        return
    for name in names:
        if (f"remote.{name}.fetch", refspec(place.settings, name)) in configured:
            yield "ok", f"`git pull` brings the runs of '{name}'", ""
        else:
            hint = "`git track init --remove`, then `git track init`"
            yield "warn", f"remote '{name}' brings runs to where another remote has them", hint
    for hook in surveyed:
        if hook.action == "present":
            yield "ok", f"the {hook.event} hook is in place", ""
        elif hook.action == "replace":
            yield "warn", f"the {hook.event} hook is that of another version", "`git track init` puts in today's"
        else:
            why = f": {hook.why}" if hook.why else ""
            yield "warn", f"the {hook.event} hook is not in place{why}", "`git track init` says what to do"


def _brings_runs(configured: Sequence[Setting], name: str) -> bool:
    return any(key == f"remote.{name}.fetch" and f":{LOCAL}" in value for key, value in configured)


# What was done --------------------------------------------------------------------------------------------------------


def read_done(place: Repo) -> Done:
    """Returns what was done here before; raises DataRefused if it cannot be read."""
    file = _done_file(place)
    try:
        facts = json.loads(file.read_bytes())
        facts["settings"] = tuple((str(key), str(value)) for key, value in facts["settings"])
        facts["created"] = tuple(map(str, facts["created"]))
        return Done(**facts)
    except FileNotFoundError:
        return Done()
    except (ValueError, KeyError, TypeError) as exc:
        raise DataRefused(
            f"'{file}' cannot be read", cause=str(exc), hint="remove it; it is only of `git track init`"
        ) from exc


def _write_done(place: Repo, done: Done) -> None:
    make_folder(place.state_dir)
    file = _done_file(place)
    new = file.with_name(f"{file.name}.{os.getpid()}")
    # As closed as the settings, which may hold passwords.
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600 if done.whole else 0o666)
    with os.fdopen(fd, "w", encoding="utf-8") as stream:
        json.dump(asdict(done), stream)
    if not done.whole:
        share(new)
    new.replace(file)


def _done_file(place: Repo) -> Path:
    return place.state_dir / "init.json"


def _file(git: Git) -> Path:
    return git.place.common_dir / "config"


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return b""


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
