"""What every store must do, whatever it is made of: one class of tests that each kind inherits.

A kind says in a fixture how one is opened, empty, and everything here then holds for it, against the real thing. What
only one kind can do or suffer stands in its own file."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest

from gittrack import carrying
from gittrack.codec.pointer import Pointer
from gittrack.errors import DataRefused, GittrackError
from gittrack.payloads import Payloads
from gittrack.transports.protocol import CHUNK, NotThere, Source, Stored, Transport, TransportError

MIB = 1 << 20


def content(size: int, *, seed: int = 0) -> bytes:
    """Returns bytes that no one compresses, the same ones for one seed."""
    return random.Random(f"{seed} {size}").randbytes(size)


def pointer_to(data: bytes) -> Pointer:
    """Returns the pointer to some bytes."""
    return Pointer(sha256(data).hexdigest(), len(data))


def source_of(data: bytes, folder: Path, *, lie: bytes | None = None) -> Source:
    """Returns a payload to send, in a file of its own; with `lie` the file has these bytes instead."""
    folder.mkdir(parents=True, exist_ok=True)
    pointer = pointer_to(data)
    path = folder / pointer.sha256
    path.write_bytes(data if lie is None else lie)
    return Source(pointer, path)


def clone(folder: Path) -> Payloads:
    """Returns the payloads of a clone that has none."""
    folder.mkdir()
    return Payloads(folder)


def placed(data: bytes, payloads: Payloads) -> Pointer:
    """Puts bytes into a clone's own store of payloads."""
    number, temporary = payloads.temporary()
    with open(number, "wb") as file:
        file.write(data)
    pointer = pointer_to(data)
    payloads.place(temporary, pointer)
    return pointer


class CutError(Exception):
    """Somebody pulled the plug."""


class CutSource(Source):
    """A payload whose sending ends in the middle of a chunk, at byte `after`."""

    def __init__(self, whole: Source, *, after: int) -> None:
        super().__init__(whole.pointer, whole.path)
        self.after = after

    def chunks(self, *, start: int = 0, size: int = CHUNK) -> Iterator[bytes]:
        """Yields what comes before the cut."""
        at = start
        for chunk in super().chunks(start=start, size=size):
            if at + len(chunk) > self.after:
                if at < self.after:
                    yield chunk[: self.after - at]
                raise CutError
            yield chunk
            at += len(chunk)


class Watched:
    """A store that notes from where downloads begin, and breaks off the first ones."""

    def __init__(self, real: Transport, *, break_after: int = 0, times: int = 0, passing: bool = False) -> None:
        self.real = real
        self.label = real.label
        self.collects = real.collects
        self.starts: list[tuple[Pointer, int]] = []
        self.asked = 0
        self._break_after, self._times, self._passing = break_after, times, passing

    def exists(self, wanted: Sequence[Pointer], *, sending: bool) -> set[Pointer]:
        """Asks the store."""
        self.asked += 1
        return self.real.exists(wanted, sending=sending)

    def get(self, pointer: Pointer, *, start: int = 0) -> Generator[bytes, None, None]:
        """Gets from the store, for as long as the line holds."""
        self.starts.append((pointer, start))
        breaks = self._times > 0
        self._times -= 1
        came = 0
        with contextlib.closing(self.real.get(pointer, start=start)) as chunks:
            for chunk in chunks:
                if breaks and came + len(chunk) > self._break_after:
                    yield chunk[: self._break_after - came]
                    raise TransportError("the line broke", passing=self._passing)
                came += len(chunk)
                yield chunk

    def put(self, source: Source) -> None:
        """Puts into the store."""
        self.real.put(source)

    def delete(self, sha256: str) -> None:
        """Deletes in the store."""
        self.real.delete(sha256)

    def list(self) -> Iterator[Stored]:
        """Lists the store."""
        return self.real.list()

    def close(self) -> None:
        """Leaves the store open: it is not ours."""


class Conformance:
    """What holds for every store. A kind gives the fixture `transport`, and `plant` if it can."""

    # A word of the address that must never be printed, if the address that the fixture opens has one.
    secret = ""

    @pytest.fixture
    def transport(self) -> Iterator[Transport]:
        """Opens an empty store; ends it afterwards."""
        raise NotImplementedError

    def plant(self, path: str, data: bytes) -> None:
        """Puts a file into the store behind our back, below its root."""
        pytest.skip("this store takes nothing but payloads")

    # Helpers ---------------------------------------------------------------------------------------------------------

    def assert_not_there(self, transport: Transport, pointer: Pointer) -> None:
        """Asserts that nobody sees a payload, in any way there is."""
        assert transport.exists([pointer], sending=False) == set()
        with pytest.raises(NotThere):
            b"".join(transport.get(pointer))
        if transport.collects:
            assert pointer.sha256 not in {stored.sha256 for stored in transport.list()}

    # Tests -----------------------------------------------------------------------------------------------------------

    def test_nothing_is_there_at_first(self, transport: Transport) -> None:
        wanted = [pointer_to(content(10, seed=number)) for number in range(3)]
        assert transport.exists(wanted, sending=False) == set()
        assert transport.exists(wanted, sending=True) == set()
        assert transport.exists([], sending=True) == set()
        for pointer in wanted:
            self.assert_not_there(transport, pointer)

    @pytest.mark.parametrize("size", [1, 64 * 1024 + 1, MIB, 9 * MIB])
    def test_what_is_put_is_there_and_comes_back(self, transport: Transport, tmp_path: Path, size: int) -> None:
        data = content(size)
        source = source_of(data, tmp_path / "sources")
        transport.put(source)
        assert transport.exists([source.pointer], sending=True) == {source.pointer}
        assert transport.exists([source.pointer], sending=False) == {source.pointer}
        assert b"".join(transport.get(source.pointer)) == data

    def test_a_download_begins_where_it_is_told_to(self, transport: Transport, tmp_path: Path) -> None:
        data = content(3 * MIB + 77)
        source = source_of(data, tmp_path / "sources")
        transport.put(source)
        for start in (0, 1, 40_000, MIB - 1, MIB, MIB + 1, 3 * MIB, len(data) - 1):
            assert b"".join(transport.get(source.pointer, start=start)) == data[start:], start

    def test_a_download_can_be_given_up_in_the_middle(self, transport: Transport, tmp_path: Path) -> None:
        data = content(5 * MIB)
        source = source_of(data, tmp_path / "sources")
        transport.put(source)
        for _ in range(3):
            with contextlib.closing(transport.get(source.pointer)) as chunks:
                assert data.startswith(next(chunks))
        assert b"".join(transport.get(source.pointer)) == data

    def test_the_right_hash_with_a_wrong_size_is_not_there(self, transport: Transport, tmp_path: Path) -> None:
        source = source_of(content(1000), tmp_path / "sources")
        transport.put(source)
        for size in (0, 1, 999, 1001):
            assert transport.exists([Pointer(source.pointer.sha256, size)], sending=False) == set()

    def test_only_those_that_are_there_are_said_to_be(self, transport: Transport, tmp_path: Path) -> None:
        sources = [source_of(content(100, seed=number), tmp_path / "sources") for number in range(6)]
        for source in sources[::2]:
            transport.put(source)
        found = transport.exists([source.pointer for source in sources], sending=True)
        assert found == {source.pointer for source in sources[::2]}

    def test_to_put_twice_is_no_error(self, transport: Transport, tmp_path: Path) -> None:
        data = content(70_000)
        source = source_of(data, tmp_path / "sources")
        transport.put(source)
        transport.put(source)
        assert b"".join(transport.get(source.pointer)) == data

    def test_eight_threads_put_and_get_at_once(self, transport: Transport, tmp_path: Path) -> None:
        same = content(2 * MIB + 5)
        different = [content(200_000 + number, seed=number) for number in range(8)]

        def work(number: int) -> bytes:
            one = source_of(same, tmp_path / f"thread {number}")
            other = source_of(different[number], tmp_path / f"thread {number}")
            for source in (one, other) if number % 2 else (other, one):
                transport.put(source)
            assert b"".join(transport.get(one.pointer)) == same
            return b"".join(transport.get(other.pointer))

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(work, range(8))) == different

    def test_what_is_not_there_cannot_be_got(self, transport: Transport) -> None:
        pointer = pointer_to(content(10))
        for start in (0, 5):
            with pytest.raises(NotThere):
                next(transport.get(pointer, start=start))

    @pytest.mark.parametrize("damage", ["other", "shorter", "longer", "empty"])
    def test_a_damaged_file_leaves_nothing(self, transport: Transport, tmp_path: Path, damage: str) -> None:
        data = content(2 * MIB + 9)
        wrong = {"other": data[:-1] + bytes([data[-1] ^ 1]), "shorter": data[:-1], "longer": data + b"x", "empty": b""}
        source = source_of(data, tmp_path / "sources", lie=wrong[damage])
        with pytest.raises(DataRefused):
            transport.put(source)
        self.assert_not_there(transport, source.pointer)
        source.path.write_bytes(data)
        transport.put(source)
        assert b"".join(transport.get(source.pointer)) == data

    def test_a_small_damaged_file_leaves_nothing(self, transport: Transport, tmp_path: Path) -> None:
        source = source_of(b"right", tmp_path / "sources", lie=b"wrong")
        with pytest.raises(DataRefused):
            transport.put(source)
        self.assert_not_there(transport, source.pointer)

    def test_a_file_that_vanished_leaves_nothing(self, transport: Transport, tmp_path: Path) -> None:
        source = source_of(content(100_000), tmp_path / "sources")
        source.path.unlink()
        with pytest.raises((OSError, GittrackError)):
            transport.put(source)
        self.assert_not_there(transport, source.pointer)

    def test_a_file_that_changes_while_it_is_read_leaves_nothing(self, transport: Transport, tmp_path: Path) -> None:
        data = content(6 * MIB)
        plain = source_of(data, tmp_path / "sources")

        def change(_: int) -> None:
            with plain.path.open("r+b") as file:
                file.seek(len(data) - 10)
                file.write(b"different!")

        with pytest.raises(DataRefused):
            transport.put(Source(plain.pointer, plain.path, report=change))
        self.assert_not_there(transport, plain.pointer)

    def test_a_put_that_was_cut_leaves_nothing_and_the_next_completes(
        self, transport: Transport, tmp_path: Path
    ) -> None:
        chance = random.Random(7)
        for number, size in enumerate((5, 300_000, 4 * MIB + 3)):
            data = content(size, seed=number)
            source = source_of(data, tmp_path / "sources")
            for _ in range(2):
                with pytest.raises((CutError, TransportError)):
                    transport.put(CutSource(source, after=chance.randrange(size)))
                self.assert_not_there(transport, source.pointer)
            transport.put(source)
            assert b"".join(transport.get(source.pointer)) == data

    def test_what_is_deleted_is_gone_and_may_be_deleted_again(self, transport: Transport, tmp_path: Path) -> None:
        if not transport.collects:
            pytest.skip("nothing can be deleted here")
        kept = source_of(content(50, seed=1), tmp_path / "sources")
        gone = source_of(content(50, seed=2), tmp_path / "sources")
        for source in (kept, gone):
            transport.put(source)
        transport.delete(gone.pointer.sha256)
        self.assert_not_there(transport, gone.pointer)
        transport.delete(gone.pointer.sha256)
        assert transport.exists([kept.pointer], sending=False) == {kept.pointer}
        transport.put(gone)
        assert b"".join(transport.get(gone.pointer)) == content(50, seed=2)

    def test_a_listing_has_every_payload_once(self, transport: Transport, tmp_path: Path) -> None:
        if not transport.collects:
            pytest.skip("nothing can be listed here")
        assert list(transport.list()) == []
        sources = [source_of(content(10 + number, seed=number), tmp_path / "sources") for number in range(12)]
        for source in sources:
            transport.put(source)
        found = list(transport.list())
        assert sorted((stored.sha256, stored.size) for stored in found) == sorted(source.pointer for source in sources)
        assert all(stored.modified > 1e9 for stored in found)

    def test_a_listing_passes_over_what_is_not_ours(self, transport: Transport, tmp_path: Path) -> None:
        if not transport.collects:
            pytest.skip("nothing can be listed here")
        source = source_of(content(100), tmp_path / "sources")
        transport.put(source)
        name = source.pointer.sha256
        foreign = ("README.md", "ab/notes.txt", "ab/cd/notes.txt", "zz/zz/" + "z" * 64, "a b/c", "abc/" + name, name)
        for path in (*foreign, f"ab/cd/{name[:63]}", f"ab/cd/{name.upper()}", f"{name[:2]}/{name[2:4]}/.{name}"):
            self.plant(path, b"not ours")
        assert [stored.sha256 for stored in transport.list()] == [name]

    def test_no_password_is_in_what_is_printed(self, transport: Transport) -> None:
        assert transport.label
        assert not self.secret or self.secret not in transport.label
        with pytest.raises(TransportError) as raised:
            next(transport.get(pointer_to(b"nothing")))
        assert not self.secret or self.secret not in "\n".join(raised.value.lines())

    def test_a_store_can_be_closed_twice(self, transport: Transport, tmp_path: Path) -> None:
        transport.put(source_of(b"some", tmp_path / "sources"))
        transport.close()
        transport.close()

    # Through `carrying` ----------------------------------------------------------------------------------------------

    def test_thirty_payloads_go_there_and_come_back(self, transport: Transport, tmp_path: Path) -> None:
        here, there = clone(tmp_path / "here"), clone(tmp_path / "there")
        datas = [content(1 + number * 3001, seed=number) for number in range(30)]
        pointers = [placed(data, here) for data in datas]

        sent = carrying.send(here, transport, pointers)
        assert (set(sent.moved), sent.already, sent.failed) == (set(pointers), (), ())
        again = carrying.send(here, transport, pointers)
        assert (again.moved, set(again.already), again.failed) == ((), set(pointers), ())

        brought = carrying.bring(there, [transport], pointers)
        assert (set(brought.moved), brought.already, brought.failed) == (set(pointers), (), ())
        for pointer, data in zip(pointers, datas, strict=True):
            assert there.path(pointer.sha256).read_bytes() == data
        assert list(there.incoming().iterdir()) == []

    def test_a_download_that_was_cut_goes_on_from_there(self, transport: Transport, tmp_path: Path) -> None:
        here, there = clone(tmp_path / "here"), clone(tmp_path / "there")
        pointer = placed(content(3 * MIB + 1), here)
        assert carrying.send(here, transport, [pointer]).moved == (pointer,)
        line = Watched(transport, break_after=MIB + 4321, times=1)

        assert [failed for failed, _ in carrying.bring(there, [line], [pointer]).failed] == [pointer]
        assert there.find(pointer) is None
        assert carrying.bring(there, [line], [pointer]).moved == (pointer,)
        assert line.starts == [(pointer, 0), (pointer, MIB + 4321)]
        assert there.path(pointer.sha256).read_bytes() == content(3 * MIB + 1)

    def test_what_no_store_has_is_said_with_the_names_of_those_asked(
        self, transport: Transport, tmp_path: Path
    ) -> None:
        pointer = pointer_to(b"nowhere")
        ((failed, error),) = carrying.bring(clone(tmp_path / "there"), [transport], [pointer]).failed
        assert failed == pointer
        assert isinstance(error, NotThere)
        assert transport.label in str(error.cause)
