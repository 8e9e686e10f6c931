"""Git's own bytes: what we build is what git builds, and a run's paths stay in their folder on every system."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from dulwich.repo import Repo
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gittrack.codec import tree
from gittrack.codec.tree import Entry, Object
from gittrack.errors import DataRefused
from gittrack.refname import Oid
from tests.gitcmd import GitRepo
from tests.strategies import HARMLESS_PATHS, HOSTILE_PATHS, components, paths

OID_BYTES = {"sha1": 20, "sha256": 32}
IDENTITY = "Ada <ada@example.org>"
algorithms = pytest.mark.parametrize("algorithm", ["sha1", "sha256"])


def git_bytes(repo: GitRepo, *args: str, input: bytes = b"") -> bytes:
    """Returns what `git ARGS` prints, as bytes; a failure shows why."""
    done = subprocess.run(["git", *args], cwd=repo.path, input=input, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def bare(folder: Path, algorithm: str) -> GitRepo:
    return GitRepo.init(folder / algorithm, "--bare", f"--object-format={algorithm}")


def blob(content: bytes, algorithm: str = "sha1") -> Object:
    return tree.make_object("blob", content, algorithm=algorithm)


def commit(root: Oid, algorithm: str, *parents: Oid, message: bytes = b"run n: finished\n") -> Object:
    body = tree.encode_commit(
        tree=root,
        parents=parents,
        author=IDENTITY,
        committer=IDENTITY,
        author_time=5,
        commit_time=7,
        message=message,
    )
    return tree.make_object("commit", body, algorithm=algorithm)


# Objects ------------------------------------------------------------------------------------------------------------


@algorithms
@pytest.mark.parametrize("content", [b"", b"\0", b"hello\n", bytes(range(256)) * 999])
def test_a_blob_has_the_id_that_git_gives_it(tmp_path: Path, algorithm: str, content: bytes) -> None:
    made = blob(content, algorithm)
    assert git_bytes(bare(tmp_path, algorithm), "hash-object", "--stdin", input=content).decode().strip() == made.oid


FILES = {
    "a": b"1",
    "a.txt": b"2",
    "a-b/c": b"3",
    "a0/c": b"4",
    "b/a/z": b"5",
    "b/a.b": b"6",
    "é/日本": b"7",
    'q"uote\u202e': b"8",
    "empty": b"",
    "large": b"0123456789" * 70_000,
}


@algorithms
def test_git_takes_a_pack_of_ours_and_lists_the_tree_in_it(tmp_path: Path, algorithm: str) -> None:
    repo = bare(tmp_path, algorithm)
    script = blob(b"#!/bin/sh\n", algorithm)
    kept = git_bytes(repo, "hash-object", "-w", "--stdin", input=b"kept\n").decode().strip()
    files: Mapping[str, Object | Entry] = {
        **{path: blob(content, algorithm) for path, content in FILES.items()},
        "b/run.sh": Entry(tree.EXECUTABLE, "", script.oid),
        "kept": Entry(tree.FILE, "", Oid(kept)),
    }
    root, objects = tree.build(files, algorithm=algorithm)
    first = commit(root, algorithm)
    second = commit(root, algorithm, first.oid, message="later: é\n".encode())
    pack = tree.encode_pack([*objects, *objects, script, first, second], algorithm=algorithm)
    git_bytes(repo, "index-pack", "--stdin", "--strict", input=pack)
    repo.git("update-ref", "refs/heads/main", second.oid)
    repo.fsck()

    listed = {}
    for line in git_bytes(repo, "ls-tree", "-r", "-z", second.oid).split(b"\0")[:-1]:
        about, _, path = line.decode().partition("\t")
        listed[path] = about.split()
    assert listed == {
        path: [item.mode if isinstance(item, Entry) else "100644", "blob", item.oid] for path, item in files.items()
    }
    for path, content in FILES.items():
        assert git_bytes(repo, "cat-file", "blob", f"{second.oid}:{path}") == content
    assert git_bytes(repo, "log", "--format=%H %P|%an <%ae>|%at|%ct|%B", second.oid).decode() == (
        f"{second.oid} {first.oid}|{IDENTITY}|5|7|later: é\n\n{first.oid} |{IDENTITY}|5|7|run n: finished\n\n"
    )


def test_dulwich_reads_a_pack_of_ours(tmp_path: Path) -> None:
    repo = bare(tmp_path, "sha1")
    root, objects = tree.build({path: blob(content) for path, content in FILES.items()}, algorithm="sha1")
    everything = {item.oid: item for item in [*objects, commit(root, "sha1")]}
    git_bytes(repo, "index-pack", "--stdin", input=tree.encode_pack(everything.values(), algorithm="sha1"))
    with Repo(str(repo.path)) as opened:
        assert len(opened.object_store.packs) == 1
        for pack in opened.object_store.packs:
            pack.check()
        for oid, item in everything.items():
            found = opened[oid.encode()]
            assert (found.type_name.decode(), found.as_raw_string()) == (item.kind, item.body)


@given(st.sampled_from(["sha1", "sha256"]), st.lists(st.binary(max_size=40) | st.just(b"x" * 70_000), max_size=8))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_git_takes_any_pack_of_ours(
    tmp_path_factory: pytest.TempPathFactory, algorithm: str, parts: list[bytes]
) -> None:
    repo = bare(tmp_path_factory.mktemp("git"), algorithm)
    pack = tree.encode_pack([blob(part, algorithm) for part in parts], algorithm=algorithm)
    git_bytes(repo, "index-pack", "--stdin", "--strict", input=pack)
    for part in parts:
        assert git_bytes(repo, "cat-file", "blob", blob(part, algorithm).oid) == part


@given(st.dictionaries(paths, st.sampled_from([b"1", b"2"]), max_size=6))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_trees_have_the_ids_that_git_gives_them(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]
) -> None:
    files = {
        path: content
        for path, content in files.items()
        if tree.why_refused(path) is None and not any(other.startswith(path + "/") for other in files)
    }
    repo = bare(tmp_path_factory.mktemp("git"), "sha1")
    root, objects = tree.build({path: blob(content) for path, content in files.items()}, algorithm="sha1")
    git_bytes(repo, "index-pack", "--stdin", "--strict", input=tree.encode_pack(objects, algorithm="sha1"))
    listing = b"".join(b"100644 %s\t%s\0" % (blob(files[path]).oid.encode(), path.encode()) for path in files)
    git_bytes(repo, "update-index", "-z", "--index-info", input=listing)
    assert git_bytes(repo, "write-tree").decode().strip() == root


def test_a_message_that_is_no_utf8_makes_no_commit() -> None:
    with pytest.raises(ValueError, match="UTF-8"):
        commit(Oid("0" * 40), "sha1", message=b"\xff\n")


@algorithms
def test_the_index_of_a_pack_is_the_one_that_git_makes(tmp_path: Path, algorithm: str) -> None:
    repo = bare(tmp_path, algorithm)
    root, objects = tree.build({path: blob(text, algorithm) for path, text in FILES.items()}, algorithm=algorithm)
    everything = [*objects, blob(bytes(range(256)) * 4000, algorithm), commit(root, algorithm)]
    pack = tree.encode_pack(everything, algorithm=algorithm)
    (repo.path / "x.pack").write_bytes(pack)
    repo.git("index-pack", "x.pack")

    items = tree.decode_pack(pack, algorithm=algorithm)

    assert {item.object for item in items} == set(everything)
    assert tree.encode_index(pack, items, algorithm=algorithm) == (repo.path / "x.idx").read_bytes()


def test_what_is_no_pack_of_whole_objects_is_refused(tmp_path: Path) -> None:
    def sealed(body: bytes) -> bytes:
        return body + hashlib.sha1(body, usedforsecurity=False).digest()

    one = tree.encode_pack([blob(b"a" * 500)], algorithm="sha1")[:-20]
    for body in (
        b"",
        b"PACK\0\0\0\3\0\0\0\0",
        one[:-3],
        one + b"x",
        one[:12] + b"\x6f" + one[13:],
        one[:14] + b"\0" * 9,
    ):
        with pytest.raises(ValueError, match="a pack"):
            tree.decode_pack(sealed(body), algorithm="sha1")
    far = tree.Packed(blob(b"a"), 1 << 31, 0)
    with pytest.raises(ValueError, match="2 GiB"):
        tree.encode_index(b"", [far], algorithm="sha1")


@given(parts=st.lists(st.binary(max_size=200), max_size=5, unique=True), data=st.data())
def test_a_damaged_pack_is_refused(parts: list[bytes], data: st.DataObject) -> None:
    pack = tree.encode_pack([blob(part) for part in parts], algorithm="sha1")
    at = data.draw(st.integers(0, len(pack) - 1))
    body = pack[:at] + bytes([pack[at] ^ 1]) + pack[at + 1 : -20]
    for damaged in (body + pack[-20:], pack[:at], body + hashlib.sha1(body, usedforsecurity=False).digest()):
        try:
            items = tree.decode_pack(damaged, algorithm="sha1")
        except ValueError:
            continue
        assert damaged == body + hashlib.sha1(body, usedforsecurity=False).digest(), "its checksum was wrong"
        assert len(items) == int.from_bytes(damaged[8:12])


# Trees --------------------------------------------------------------------------------------------------------------

entries = st.builds(
    Entry,
    st.sampled_from((tree.FILE, tree.EXECUTABLE, tree.FOLDER)),
    components,
    st.text("0123456789abcdef", min_size=40, max_size=40).map(Oid),
)


@given(st.lists(entries, max_size=6, unique_by=lambda entry: entry.name))
def test_a_tree_comes_back_in_one_order(drawn: list[Entry]) -> None:
    body = tree.encode_tree(drawn)
    assert tree.encode_tree(reversed(drawn)) == body
    found = tree.decode_tree(body, oid_bytes=20)
    assert sorted(found) == sorted(drawn)
    assert tree.encode_tree(found) == body


@algorithms
def test_a_folder_sorts_as_if_its_name_ended_in_a_slash(algorithm: str) -> None:
    oid = Oid("0" * 2 * OID_BYTES[algorithm])
    made = [Entry(tree.FILE, "a.b", oid), Entry(tree.FOLDER, "a", oid), Entry(tree.FILE, "a-b", oid)]
    found = tree.decode_tree(tree.encode_tree(made), oid_bytes=OID_BYTES[algorithm])
    assert [entry.name for entry in found] == ["a-b", "a.b", "a"]


def test_a_name_that_is_no_utf8_is_read_and_then_refused() -> None:
    (entry,) = tree.decode_tree(b"100644 a\xff\0" + bytes(20), oid_bytes=20)
    assert tree.why_refused(entry.name) == "it is not valid UTF-8"


@pytest.mark.parametrize(
    "body", [b"100644", b"100644 a", b"100644 a\0", b"100644 a\0" + bytes(19), b"\xff \0" + bytes(20)]
)
def test_a_tree_that_is_cut_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"found|ascii|within"):
        tree.decode_tree(body, oid_bytes=20)


@given(st.binary(max_size=120))
def test_no_bytes_get_anything_but_entries_or_a_value_error(body: bytes) -> None:
    try:
        found = tree.decode_tree(body, oid_bytes=20)
    except ValueError:
        return
    assert all(len(entry.oid) == 40 for entry in found)


# Paths --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", HOSTILE_PATHS, ids=lambda path: ascii(path)[:40])
def test_a_path_that_could_do_harm_somewhere_is_refused(path: str) -> None:
    assert tree.why_refused(path)
    with pytest.raises(DataRefused) as refused:
        tree.check_path(path)
    assert len("".join(refused.value.lines())) < 1500


@pytest.mark.parametrize("path", HARMLESS_PATHS, ids=lambda path: ascii(path)[:40])
def test_an_ordinary_path_is_allowed(path: str) -> None:
    assert tree.why_refused(path) is None
    tree.check_path(path)


@given(paths, st.sampled_from(HOSTILE_PATHS), paths)
def test_a_hostile_component_is_refused_wherever_it_stands(before: str, bad: str, after: str) -> None:
    assert tree.why_refused(f"{before}/{bad}/{after}")


@given(st.text(max_size=12) | paths)
def test_what_is_allowed_stays_in_its_folder(path: str) -> None:
    if tree.why_refused(path) is None:
        parts = path.split("/")
        assert all(part.strip(" .") for part in parts)
        assert not any(part.lower().startswith((".git.", ".git ")) or part.lower() == ".git" for part in parts)
        assert not any(char < " " or char in "\x7f\\:" for char in path)
        assert len(path.encode()) <= 4096
