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
from dataclasses import replace
from pathlib import Path

from gittrack import packs, redact
from gittrack.codec import tree
from gittrack.errors import GitFailed, UsageError
from gittrack.git import Git
from gittrack.model import Code, Omitted
from gittrack.porcelain import Status
from gittrack.refname import Oid
from gittrack.settings import Settings

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


def read_status(git: Git) -> Status:
    """Returns the state of the work tree; a bare repository has a HEAD only."""
    if git.place.work_tree is None:
        return Status(git.resolve("HEAD"), git.branch(), (), ())
    return git.status()


def capture_code(git: Git, settings: Settings) -> Code:
    """Returns the code of a run that starts now; a dirty tree is stored first, in a kept pack.

    Raises UsageError if the tree is dirty and `track.dirty` is `refuse`."""
    policy = settings.choice("dirty", "snapshot", "warn", "refuse")
    status = read_status(git)
    dirty = bool(status.changed or status.untracked)
    code = Code(commit=status.commit, branch=status.branch, remote=remote_address(settings, status.branch), dirty=dirty)
    if not dirty:
        return code
    if policy == "refuse":
        raise UsageError(
            "the work tree has uncommitted changes",
            cause="track.dirty is 'refuse'",
            hint="commit them, or record with `git -c track.dirty=snapshot track run …`",
        )
    if policy == "warn" or not git.has_executable:
        return code
    snapshot, omitted = make_snapshot(git, status, limit=settings.size("snapshotLimit"))
    return replace(code, snapshot=snapshot, omitted=omitted)


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
    root = git.place.work_tree
    if root is None:
        return None, ()
    chosen, omitted = choose(root, status, limit=limit)
    home = git.place.common_dir / "gittrack"
    home.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="snapshot-", dir=home) as folder:
        private = Path(folder)
        env = _private_environment(git, private)
        _unstage(git, [path for path in status.changed if is_secret(path)], status.commit, env)
        omitted += _fill_index(git, chosen, env)
        tree_oid = Oid(git.ask("write-tree", env=env).decode().strip())
        if status.commit and tree_oid == git.ask("rev-parse", f"{status.commit}^{{tree}}").decode().strip():
            return None, omitted
        commit = _snapshot_commit(git, tree_oid, status.commit)
        if git.run("cat-file", "-e", commit.oid).returncode:
            _store_private(git, private, commit, env)
    return commit.oid, omitted


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
        git.ask(*args, input=os.fsencode("\0".join(paths)), env={**env, "GIT_LITERAL_PATHSPECS": "1"})


def _fill_index(git: Git, paths: list[str], env: Mapping[str, str]) -> tuple[Omitted, ...]:
    """Puts the work tree's files into the private index; one that git cannot read is left out and named."""
    args = ("update-index", "--add", "--remove", "-z", "--stdin")
    omitted: list[Omitted] = []
    done = git.run(*args, input=os.fsencode("\0".join(paths)), env=env)
    if done.returncode:
        for path in paths:
            one = git.run(*args, input=os.fsencode(path), env=env)
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
    # The plumbing takes no prefixes, colours or context from the user's settings, so that the patch applies.
    args = ("--binary", "--no-ext-diff", "--no-textconv", code.commit or git.empty_tree, code.snapshot)
    return git.ask("diff-tree", "-p", *args)
