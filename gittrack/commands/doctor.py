"""`git track doctor`: whether everything around is in order."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from gittrack import forms, output, remote, repo, setup
from gittrack.commands import common
from gittrack.errors import GittrackError, NegativeAnswer, NotARepository, NotFound
from gittrack.git import GitMissing
from gittrack.packs import own_packs
from gittrack.refname import RUNS
from gittrack.repo import Repo
from gittrack.terminal import printable
from gittrack.version import VERSION

_OLDEST_GIT = (2, 31)
_SYNCING_GIT = (2, 36)
_NO_GIT = (
    "warn",
    "git is not on PATH: uncommitted work is not recorded, runs are not signed, and no credential helper is asked",
    "install git 2.36 or newer",
)


@click.command("doctor", cls=common.JsonCommand)
@click.option(
    "--remote", "where", is_flag=False, flag_value="", metavar="[REMOTE]", help="Find out what a remote allows."
)
@common.json_option
@common.colour_option
def command(where: str | None, as_json: str | None, colour: str | None) -> None:
    """Check that everything around is in order.

    Looks at git, PATH, the man page, identity, remotes and this repository; exits with 1 if something is wrong.
    With `--remote` it tries what a remote takes: it pushes refs `probe-...` and up to 11 MiB, and deletes them."""
    place: Repo | None = None
    around = _nothing()
    try:
        place = repo.open_repo()
        around = _repository(place)
    except NotARepository:
        pass
    except GittrackError as exc:
        around = iter([("wrong", exc.message, exc.hint or "")])
    screen = common.screen(place, colour)
    found = [*_machine(), *around] if where is None else _remote(where)
    if as_json is not None:
        facts = [{"state": kind, "what": text, "hint": hint or None} for kind, text, hint in found]
        screen.print(forms.dump_json(forms.select(facts, as_json) if as_json else facts))
    wrong = 0
    marks = {"ok": output.GREEN, "warn": output.YELLOW, "wrong": output.RED}
    for kind, text, hint in found:
        wrong += kind == "wrong"
        if as_json is not None:
            continue
        screen.print(f"{screen.paint(f'{kind:>5}', marks[kind])}  {printable(text)}")
        if hint and kind != "ok":
            screen.print(f"       hint: {printable(hint)}")
    if wrong:
        raise NegativeAnswer(f"{wrong} thing(s) are wrong")


def _remote(where: str) -> list[tuple[str, str, str]]:
    """Tries what a remote allows."""
    from gittrack import lfsprobe, probing

    place = common.open_repo()
    name = remote.choose(place.settings, where or None, branch=place.git.branch())
    if not place.git.has_executable:
        raise GitMissing("cannot try what a remote allows without git", hint="install git 2.36 or newer")
    random = repo.random_bits() & (1 << 60) - 1
    with output.Progress() as progress:
        found = probing.probe(
            place.git,
            name,
            place.settings,
            author=place.author,
            now=int(common.now().timestamp()),
            random=random,
            tell=progress.report,
        )
    address = lfsprobe.address(name, place.settings)
    if address:
        there, how = lfsprobe.ask(address, place.settings)
        words = {True: "is there", False: "is not there", None: "cannot be asked"}[there]
        found.append(probing.Finding("ok", f"a Git LFS server {words}: {how} ({remote.label(address)})"))
    return [(finding.kind, finding.text, finding.hint) for finding in found]


def _nothing() -> Iterator[tuple[str, str, str]]:
    yield "warn", "this is not a git repository", "runs recorded here go to your data folder, without code"


def _machine() -> Iterator[tuple[str, str, str]]:
    yield "ok", f"gittrack {VERSION}, Python {sys.version.split()[0]}", ""
    git = shutil.which("git")
    yield _git(git) if git else _NO_GIT
    here = shutil.which("git-track")
    if here is None:
        yield (
            "wrong",
            "git-track is not on PATH, so `git track` does not work",
            "activate the environment it is installed in",
        )
    else:
        yield "ok", f"git-track is {here}", ""
    yield _man_page(here)


def _git(git: str) -> tuple[str, str, str]:
    said = subprocess.run([git, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    found = re.search(r"(\d+)\.(\d+)", said)
    version = (int(found[1]), int(found[2])) if found else (0, 0)
    if version < _OLDEST_GIT:
        return "wrong", f"{said} is too old", "install git 2.36 or newer"
    if version < _SYNCING_GIT:
        return "warn", f"{said} does not sync refs itself; gittrack does it", "install git 2.36 or newer"
    return "ok", said, ""


def _man_page(program: str | None) -> tuple[str, str, str]:
    if shutil.which("man") is None:
        return "warn", "there is no man command, so `git track --help` shows nothing", "`git track -h` always works"
    places = [Path(program).parent.parent / "share" / "man"] if program else []
    places += [Path(path) for path in os.environ.get("MANPATH", "").split(":") if path]
    places += [Path(sys.prefix) / "share" / "man", Path("/usr/share/man"), Path("/usr/local/share/man")]
    if any((place / "man1" / name).exists() for place in places for name in ("git-track.1", "git-track.1.gz")):
        return "ok", "`git track --help` finds its man page", ""
    return "warn", "the man page of git-track is not where man looks", "`git track -h` always works"


def _repository(place: Repo) -> Iterator[tuple[str, str, str]]:
    git, settings, configured = place.git, place.settings, place.git.config()
    yield "ok", f"repository {git.place.common_dir} ({git.place.algorithm})", ""
    if settings.git("user.email") or settings.environ.get("GIT_AUTHOR_EMAIL") or settings.environ.get("EMAIL"):
        yield "ok", f"runs are recorded as {place.author}", ""
    else:
        yield (
            "warn",
            f"git does not know who you are; runs are recorded as {place.author}",
            "git config user.email you@example.org",
        )
    if settings.git("alias.track"):
        yield (
            "warn",
            "alias.track is set, and git ignores it: a program wins over an alias",
            "git config --unset alias.track",
        )
    if not os.access(git.place.common_dir, os.W_OK):
        yield (
            "wrong",
            f"'{git.place.common_dir}' is not writable",
            "runs recorded here go to your data folder, without code",
        )
    for name in remote.names(settings):
        mirrored = settings.flag(f"remote.{name}.mirror")
        if mirrored:
            yield (
                "warn",
                f"remote '{name}' is a mirror: a plain push deletes runs there that are not here",
                f"git config --unset remote.{name}.mirror",
            )
        if any(f":{RUNS}" in value for key, value in configured if key == f"remote.{name}.fetch"):
            yield (
                "wrong",
                f"remote '{name}' fetches straight into {RUNS}: `fetch --prune` would delete runs",
                f"use +{RUNS}*:refs/gittrack/{name}/runs/*",
            )
        else:
            yield "ok", f"remote '{name}'", ""
    yield _store(place)
    if git.has_executable:
        yield from setup.findings(place)
    detached = common.count_detached(place)
    if detached:
        yield "warn", f"{detached} run(s) of this repository were recorded outside of it", "git track import --adopt"
    refs, packs = len(git.refs(RUNS)), len(own_packs(git))
    yield "ok", f"{refs} run(s) in git, {packs} pack(s) of ours", ""


def _store(place: Repo) -> tuple[str, str, str]:
    """Says where large files go."""
    from gittrack import stores

    name = None
    with contextlib.suppress(NotFound):
        name = remote.choose(place.settings, None, branch=place.git.branch())
    try:
        found = stores.default(place.settings, name)
    except GittrackError as exc:
        return "wrong", exc.message, exc.hint or ""
    if found is None:
        return "ok", "large files stay in this clone: there is no store", ""
    what = f"the store of remote '{found.name}'" if found.of_remote else f"store '{found.name}'"
    return "ok", f"large files go to {what} ({found.label})", ""
