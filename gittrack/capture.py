"""What a run was made with: code, interpreter, packages, machine.

Taken at the start, because the files on disk when training ends are not the ones that trained. The snapshot of a
dirty work tree is made by git itself with a private index and a private object folder, so that clean filters, modes
and links are right and the user's index is not even read for writing."""

from __future__ import annotations

import contextlib
import fnmatch
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from gittrack import packs, redact, values
from gittrack.codec import tree
from gittrack.errors import GitFailed, UsageError
from gittrack.git import Git
from gittrack.model import Code, Omitted
from gittrack.refname import Oid
from gittrack.settings import Settings
from gittrack.shared import make_folder

IDENTITY = "gittrack <gittrack@localhost>"
SNAPSHOT_MESSAGE = b"snapshot of uncommitted work\n"
MAX_FILES = 10_000
MAX_TOTAL = 256 * 1024 * 1024

SECRET_FILES = (
    ".env .env.* *.env .envrc *.pem *.key *.p12 *.pfx *.jks *.keystore *.kdbx *.ppk id_rsa* id_dsa* id_ecdsa* "
    "id_ed25519* .netrc _netrc .pgpass .pypirc .npmrc .htpasswd .git-credentials .dockercfg credentials "
    "credentials.* *credentials.json secret secrets secret.* secrets.* *.secret *.secrets service-account*.json "
    "service_account*.json *serviceaccount*.json client_secret*.json kubeconfig *.kubeconfig .vault-token *.asc "
    "*.gpg token token.txt *.token api_key* apikey*"
).split()
_NOT_SECRET = (".env.example .env.sample .env.template .env.dist *.pub").split()
_SECRET_FOLDERS = frozenset({".ssh", ".aws", ".gnupg", ".kube", ".azure", ".docker", ".config/gcloud"})


@dataclass(frozen=True, slots=True)
class Status:
    """What `git status` said: HEAD's commit and branch, and the paths that differ from it."""

    commit: Oid | None
    branch: str | None
    changed: tuple[str, ...]
    untracked: tuple[str, ...]
    submodules: tuple[str, ...] = ()  # with uncommitted work in them


def read_status(git: Git) -> Status:
    """Returns the state of the work tree; a bare repository has a HEAD only."""
    if git.place.work_tree is None:
        branch = git.run("symbolic-ref", "--quiet", "--short", "HEAD").stdout.decode("utf-8", "replace").strip()
        return Status(git.resolve("HEAD"), branch or None, (), ())
    args = (
        "status",
        "--porcelain=v2",
        "--branch",
        "-z",
        "--untracked-files=all",
        "--no-renames",
        "--ignore-submodules=none",
    )
    items = os.fsdecode(git.ask(*args)).split("\0")
    head: dict[str, str] = {}
    changed, untracked, submodules = [], [], []
    for item in items:
        kind, _, rest = item.partition(" ")
        if kind == "#":
            key, _, said = rest.partition(" ")
            head[key] = said
        elif kind == "?":
            untracked.append(rest)
        elif kind in ("1", "u"):
            fields = rest.split(" ", 7 if kind == "1" else 9)
            changed.append(fields[-1])
            if fields[1].startswith("S") and set(fields[1][2:]) & set("MU"):
                submodules.append(fields[-1])
    oid, name = head.get("branch.oid", "(initial)"), head.get("branch.head", "(detached)")
    return Status(
        commit=None if oid == "(initial)" else Oid(oid),
        branch=None if name == "(detached)" else name,
        changed=tuple(changed),
        untracked=tuple(untracked),
        submodules=tuple(submodules),
    )


def capture_code(git: Git, settings: Settings) -> Code:
    """Returns the code of a run that starts now; a dirty tree is stored first, in a kept pack.

    Raises UsageError if the tree is dirty and `track.dirty` is `refuse`."""
    status = read_status(git)
    code = _code(status, settings)
    if not code.dirty or not _is_stored(settings):
        return code
    snapshot, omitted = make_snapshot(git, status, limit=settings.size("snapshotLimit"))
    return replace(code, snapshot=snapshot, omitted=omitted)


def capture_patch(git: Git, settings: Settings, *, scratch: Path) -> tuple[Code, bytes]:
    """Returns the code of a run that is recorded elsewhere because nothing can be written here.

    Uncommitted work comes as `git diff --binary` shows it; `scratch` is a folder that can be written to. What keeps
    a run from being recorded here may keep its code from being read too: then nothing is known of it."""
    changes = b""
    try:
        status = read_status(git)
        code = _code(status, settings)
        if git.place.work_tree and code.dirty and _is_stored(settings):
            make_folder(scratch)
            with tempfile.TemporaryDirectory(prefix="snapshot-", dir=scratch) as folder:
                env = _private_environment(git, Path(folder))
                tree_oid, omitted = _write_tree(git, status, env, limit=settings.size("snapshotLimit"))
                changes = _diff(git, status.commit or git.empty_tree, tree_oid, env)
                code = replace(code, omitted=omitted)
    except (GitFailed, OSError):
        return Code(), b""
    return code, changes


def _code(status: Status, settings: Settings) -> Code:
    dirty = bool(status.changed or status.untracked)
    remote = remote_address(settings, status.branch)
    branch = values.clean_text(status.branch) if status.branch else None
    return Code(commit=status.commit, branch=branch, remote=remote, dirty=dirty)


def _is_stored(settings: Settings) -> bool:
    """Tells whether uncommitted work is recorded; raises UsageError if `track.dirty` is `refuse`."""
    policy = settings.choice("dirty", "snapshot", "warn", "refuse")
    if policy == "refuse":
        raise UsageError(
            "the work tree has uncommitted changes",
            cause="track.dirty is 'refuse'",
            hint="commit them, or record with `git -c track.dirty=snapshot track run …`",
        )
    return policy == "snapshot"


def remote_address(settings: Settings, branch: str | None) -> str | None:
    """Returns the address of the branch's remote, or of `origin`, without credentials."""
    name = (branch and settings.git(f"branch.{branch}.remote")) or "origin"
    address = settings.git(f"remote.{name}.url")
    return redact.address(address) if address else None


# The snapshot ---------------------------------------------------------------------------------------------------


def choose(root: Path, status: Status, *, limit: int) -> tuple[list[str], tuple[Omitted, ...]]:
    """Returns the paths that go into the snapshot, and what is left out with the reason."""
    chosen: list[str] = []
    omitted: list[Omitted] = []
    environments = _environment_folders(status.untracked)
    total = 0
    for path in status.changed:
        if is_secret(path):
            omitted.append(Omitted(path, "its name says that it holds secrets; the committed version is kept"))
        else:
            chosen.append(path)
    for path in status.untracked:
        folder = next((folder for folder in environments if path.startswith(folder)), None)
        if folder is not None:
            continue
        why, size = _why_left_out(root, path, limit)
        total += size or 0
        if why is None and (len(chosen) >= MAX_FILES or total > MAX_TOTAL):
            why = f"more than {MAX_FILES} files, or {MAX_TOTAL >> 20} MiB in all"
        if why:
            omitted.append(Omitted(path, why, size))
        else:
            chosen.append(path)
    omitted += [Omitted(folder, "a virtual environment") for folder in sorted(environments)]
    omitted += [Omitted(path, "a submodule with uncommitted work in it") for path in status.submodules]
    return chosen, tuple(omitted)


def _why_left_out(root: Path, path: str, limit: int) -> tuple[str | None, int | None]:
    if path.endswith("/"):
        return "a repository of its own", None
    if is_secret(path):
        return "its name says that it holds secrets", None
    try:
        status = os.lstat(root / path)
    except OSError as exc:
        return f"cannot be read ({exc.strerror})", None
    if status.st_size > limit:
        return f"larger than {limit} bytes", status.st_size
    if not os.path.islink(root / path) and not os.access(root / path, os.R_OK):
        return "cannot be read (permission denied)", status.st_size
    return None, status.st_size


def is_secret(path: str) -> bool:
    """Tells whether a file's name says that it holds secrets."""
    folder, _, name = path.rpartition("/")
    lower = name.lower()
    if any(part in _SECRET_FOLDERS for part in folder.split("/")):
        return True
    if any(fnmatch.fnmatchcase(lower, pattern) for pattern in _NOT_SECRET):
        return False
    return any(fnmatch.fnmatchcase(lower, pattern) for pattern in SECRET_FILES)


def _environment_folders(untracked: Iterable[str]) -> set[str]:
    """Returns the untracked folders (with a slash at the end) that are virtual environments."""
    found = set()
    for path in untracked:
        folder, _, name = path.rpartition("/")
        if name == "pyvenv.cfg" and folder:
            found.add(folder + "/")
        elif "/conda-meta/" in path:
            found.add(path.partition("/conda-meta/")[0] + "/")
    return found


def make_snapshot(git: Git, status: Status, *, limit: int) -> tuple[Oid | None, tuple[Omitted, ...]]:
    """Stores the work tree as a commit on `status.commit` and returns its id, with what was left out.

    None if nothing that differs can be stored."""
    home = git.place.common_dir / "gittrack"
    make_folder(home)
    with tempfile.TemporaryDirectory(prefix="snapshot-", dir=home) as folder:
        private = Path(folder)
        env = _private_environment(git, private)
        tree_oid, omitted = _write_tree(git, status, env, limit=limit)
        if status.commit and tree_oid == git.ask("rev-parse", f"{status.commit}^{{tree}}").decode().strip():
            return None, omitted
        commit = _snapshot_commit(git, tree_oid, status.commit)
        if git.run("cat-file", "-e", commit.oid).returncode:
            _store_private(git, private, commit, env)
    return commit.oid, omitted


def _write_tree(git: Git, status: Status, env: Mapping[str, str], *, limit: int) -> tuple[Oid, tuple[Omitted, ...]]:
    """Stores the work tree as a tree in the private object folder; returns its id, and what is left out."""
    chosen, omitted = choose(git.place.work_tree or Path(), status, limit=limit)
    _unstage(git, [path for path in status.changed if is_secret(path)], status.commit, env)
    omitted += _fill_index(git, chosen, env)
    return Oid(git.ask("write-tree", env=env, settings=_WHOLE).decode().strip()), omitted


# Else git writes a second half of the private index into the user's git directory.
_WHOLE = ("core.splitIndex=false", "core.untrackedCache=false")


def _private_environment(git: Git, private: Path) -> dict[str, str]:
    """Returns the variables that give git an index and an object folder of its own."""
    own_index = git.place.git_dir / "index"
    with contextlib.suppress(FileNotFoundError):
        shutil.copy2(own_index, private / "index")  # with its time, by which git knows which entries may be stale
    (private / "objects").mkdir()
    return {
        "GIT_INDEX_FILE": str(private / "index"),
        "GIT_OBJECT_DIRECTORY": str(private / "objects"),
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(git.place.common_dir / "objects"),
    }


def _unstage(git: Git, paths: list[str], commit: Oid | None, env: Mapping[str, str]) -> None:
    """Gives files in the private index the version of the commit: a secret may be staged already."""
    if paths:
        args = ("reset", "--quiet", *([commit] if commit else []), "--pathspec-from-file=-", "--pathspec-file-nul")
        literal = {**env, "GIT_LITERAL_PATHSPECS": "1"}
        git.ask(*args, input=os.fsencode("\0".join(paths)), env=literal, settings=_WHOLE)


def _fill_index(git: Git, paths: list[str], env: Mapping[str, str]) -> tuple[Omitted, ...]:
    """Puts the work tree's files into the private index; one that git cannot read is left out and named."""
    args = ("update-index", "--add", "--remove", "-z", "--stdin")
    omitted: list[Omitted] = []
    done = git.run(*args, input=os.fsencode("\0".join(paths)), env=env, settings=_WHOLE)
    if done.returncode:
        for path in paths:
            one = git.run(*args, input=os.fsencode(path), env=env, settings=_WHOLE)
            if one.returncode:
                said = one.stderr.decode("utf-8", "replace").strip().splitlines()
                omitted.append(Omitted(path, f"git cannot store it ({said[-1][:120] if said else 'unknown reason'})"))
    return tuple(omitted)


def _snapshot_commit(git: Git, tree_oid: Oid, parent: Oid | None) -> tree.Object:
    when = git.commit_time(parent) if parent else 0
    body = tree.encode_commit(
        tree=tree_oid,
        parents=[parent] if parent else [],
        author=IDENTITY,
        committer=IDENTITY,
        author_time=when,
        commit_time=when,
        message=SNAPSHOT_MESSAGE,
    )
    return tree.make_object("commit", body, algorithm=git.place.algorithm)


def _store_private(git: Git, private: Path, commit: tree.Object, env: Mapping[str, str]) -> None:
    """Moves the private objects and the snapshot commit into a kept pack of the repository."""
    written = git.ask("hash-object", "-t", "commit", "-w", "--stdin", input=commit.body, env=env).decode().strip()
    if written != commit.oid:
        raise GitFailed("cannot store the snapshot", cause="git gave it another id")
    names = [part.parent.name + part.name for part in (private / "objects").glob("[0-9a-f][0-9a-f]/*")]
    packed = list((private / "objects" / "pack").glob("*.idx"))
    for index in packed:  # git streams a huge file straight into a pack
        names += packs.read_index(index.read_bytes(), git.place.oid_bytes)
    pack = git.ask("pack-objects", "--stdout", "-q", input="\n".join(names).encode() + b"\n", env=env)
    git.write_pack(pack, keep=packs.keep_text("snapshot"))


def patch(git: Git, code: Code) -> bytes:
    """Returns the uncommitted changes as `git diff --binary` shows them, for runs that publish no code."""
    if not code.snapshot:
        return b""
    return _diff(git, code.commit or git.empty_tree, code.snapshot, {})


def _diff(git: Git, old: Oid, new: Oid, env: Mapping[str, str]) -> bytes:
    # The plumbing takes no prefixes, colours or context from the user's settings, so that the patch applies.
    return git.ask("diff-tree", "-p", "--binary", "--no-ext-diff", "--no-textconv", old, new, env=env)
