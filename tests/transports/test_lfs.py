"""What the LFS transport makes of what an LFS server may answer, as git-lfs's API has it."""

from __future__ import annotations

import json
import time
import tracemalloc
from collections.abc import Iterator

import pytest

from gittrack import carrying
from gittrack.errors import DataRefused
from gittrack.payloads import Payloads
from gittrack.transports.lfs.store import Lfs
from gittrack.transports.protocol import NotThere, Source, TransportError
from tests.gitcmd import GitRepo
from tests.servers.lfs import BASE, Handler, LfsServer, cut, early, lfs_server, status, times
from tests.transports.lfsing import opened, payloads, placed, pointer_to, source


@pytest.fixture
def server() -> Iterator[LfsServer]:
    with lfs_server() as found:
        yield found


@pytest.fixture
def lfs(repo: GitRepo, server: LfsServer) -> Iterator[Lfs]:
    found = opened(repo, server.url)
    yield found
    found.close()


def refused(lfs: Lfs, sent: Source) -> TransportError:
    """Returns why a payload could not be sent."""
    with pytest.raises(TransportError) as raised:
        lfs.put(sent)
    return raised.value


def not_got(lfs: Lfs, pointed: Source) -> TransportError:
    """Returns why a payload could not be got."""
    with pytest.raises(TransportError) as raised:
        b"".join(lfs.get(pointed.pointer))
    return raised.value


def kept(server: LfsServer, sent: Source) -> Source:
    """Puts a payload on the server, behind its back."""
    server.payloads[sent.pointer.sha256] = sent.path.read_bytes()
    return sent


# Batches ------------------------------------------------------------------------------------------------------------


def test_a_server_is_asked_for_a_hundred_at_a_time(lfs: Lfs, server: LfsServer) -> None:
    wanted = [pointer_to(bytes([number])) for number in range(250)]
    assert lfs.exists(wanted, sending=True) == set()
    assert len(server.batches()) == 3


def test_what_was_asked_before_is_not_asked_again_to_send_it(lfs: Lfs, server: LfsServer, repo: GitRepo) -> None:
    sources = [source(repo, bytes([number])) for number in range(5)]
    lfs.exists([each.pointer for each in sources], sending=True)
    for each in sources:
        lfs.put(each)
    assert len(server.batches()) == 1
    assert set(server.payloads) == {each.pointer.sha256 for each in sources}


def test_a_batch_that_is_too_large_is_halved_and_the_next_ones_are_smaller(lfs: Lfs, server: LfsServer) -> None:
    server.most = 30
    wanted = [pointer_to(bytes([number])) for number in range(100)]
    server.payloads |= {pointer_to(bytes([number])).sha256: bytes([number]) for number in range(0, 100, 2)}
    assert lfs.exists(wanted, sending=False) == set(wanted[::2])
    asked = len(server.batches())
    assert lfs.exists(wanted, sending=False) == set(wanted[::2])
    assert len(server.batches()) - asked == 4  # of 25


def test_one_object_that_makes_a_batch_be_refused_fails_alone(lfs: Lfs, server: LfsServer, repo: GitRepo) -> None:
    pointers = [placed(repo, bytes([number])) for number in range(8)]

    def picky(handler: Handler) -> bool:
        raw = handler.body()
        if pointers[3].sha256.encode() in raw:
            return handler.say_json(422, {"message": "size must be less than 1"})
        handler._batch(raw)
        return True

    server.rules.append(times(0, picky, path=f"{BASE}/objects/batch"))
    done = carrying.send(payloads(repo), lfs, pointers)
    assert set(done.moved) == set(pointers) - {pointers[3]}
    ((failed, error),) = done.failed
    assert failed == pointers[3]
    assert error.cause == "it refuses it: size must be less than 1"


@pytest.mark.parametrize("code", [403, 413, 422, 507])
def test_an_object_that_the_server_refuses_fails_alone_with_its_words(
    lfs: Lfs, server: LfsServer, repo: GitRepo, code: int
) -> None:
    pointers = [placed(repo, bytes([number])) for number in range(4)]
    server.refused[pointers[2].sha256] = (code, "not this one")
    done = carrying.send(payloads(repo), lfs, pointers)
    assert set(done.moved) == set(pointers) - {pointers[2]}
    ((failed, error),) = done.failed
    assert (failed, error.exit_code) == (pointers[2], 4)
    assert "not this one" in str(error.cause)
    assert pointers[2].sha256[:12] in error.message


def test_a_payload_that_the_server_lacks_is_not_there(lfs: Lfs, server: LfsServer, repo: GitRepo) -> None:
    there, gone = kept(server, source(repo, b"there")), source(repo, b"gone")
    assert lfs.exists([there.pointer, gone.pointer], sending=False) == {there.pointer}
    assert isinstance(not_got(lfs, gone), NotThere)


def test_a_payload_that_may_not_be_read_says_so(lfs: Lfs, server: LfsServer, repo: GitRepo) -> None:
    one = source(repo, b"one")
    server.refused[one.pointer.sha256] = (403, "ask the boss")
    assert lfs.exists([one.pointer], sending=False) == {one.pointer}
    assert not_got(lfs, one).cause == "it does not allow it: ask the boss"


def test_why_a_payload_did_not_come_is_told(lfs: Lfs, server: LfsServer, repo: GitRepo, colleague: GitRepo) -> None:
    one, other = source(repo, b"one"), source(repo, b"other")
    server.refused[one.pointer.sha256] = (403, "ask the boss")
    done = carrying.bring(payloads(colleague), [lfs], [one.pointer, other.pointer])
    told = {pointer: error.cause for pointer, error in done.failed}
    assert told[other.pointer] == f"asked: '{server.url}'"
    assert str(told[one.pointer]).endswith("it does not allow it: ask the boss")


def test_what_an_answer_leaves_out_is_not_taken_to_be_there(lfs: Lfs, server: LfsServer, repo: GitRepo) -> None:
    one, other = source(repo, b"one"), source(repo, b"other")
    server.change = lambda said: said["objects"].pop()
    assert lfs.exists([one.pointer, other.pointer], sending=True) == set()
    server.change = lambda said: said["objects"].clear()
    assert refused(lfs, source(repo, b"third")).cause == "its answer makes no sense: it says nothing of it"
    lfs.put(one)
    assert "it says nothing of it" in str(refused(lfs, other).cause)


def test_another_size_for_an_object_is_no_offer(lfs: Lfs, server: LfsServer, repo: GitRepo) -> None:
    one = kept(server, source(repo, b"one"))
    server.change = lambda said: said["objects"][0].update(size=4)
    assert lfs.exists([one.pointer], sending=True) == set()
    assert lfs.exists([one.pointer], sending=False) == set()
    assert "its size is 4 there, and not 3" in str(refused(lfs, one).cause)


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"transfer": "tus"}, "it wants the transfer 'tus', which was not offered"),
        ({"hash_algo": "md5"}, "it hashes with 'md5'"),
        ({"objects": None}, "it lists no objects"),
    ],
)
def test_an_answer_in_another_protocol_is_refused(
    lfs: Lfs, server: LfsServer, change: dict[str, object], cause: str
) -> None:
    server.change = lambda said: said.update(change)
    with pytest.raises(TransportError) as raised:
        lfs.exists([pointer_to(b"x")], sending=True)
    assert raised.value.cause == cause
    assert raised.value.message == f"'{server.url}' does not answer as an LFS server"


# Actions ------------------------------------------------------------------------------------------------------------


def test_actions_that_are_too_old_are_asked_for_again(lfs: Lfs, server: LfsServer, repo: GitRepo) -> None:
    server.life = 1
    one = source(repo, b"one")
    lfs.exists([one.pointer], sending=True)
    lfs.put(one)
    lfs.exists([one.pointer], sending=False)
    assert b"".join(lfs.get(one.pointer)) == b"one"
    assert len(server.batches()) == 4
    assert [each.path[-1] for each in server.asked("PUT")] == ["1"]  # the second of the signatures


def test_actions_that_end_at_a_time_of_the_servers_clock_are_asked_for_again(
    lfs: Lfs, server: LfsServer, repo: GitRepo
) -> None:
    one = source(repo, b"one")

    def expire(said: dict[str, list[dict[str, dict[str, dict[str, str]]]]]) -> None:
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3))
        for action in said["objects"][0].get("actions", {}).values():
            action["expires_at"] = when

    server.change = expire
    lfs.exists([one.pointer], sending=True)
    lfs.put(one)
    assert len(server.batches()) == 2


def test_a_storage_that_takes_a_signature_no_more_gets_a_new_one(lfs: Lfs, server: LfsServer, repo: GitRepo) -> None:
    one = source(repo, b"one")
    server.rules.append(times(1, status(403, "expired"), method="PUT"))
    lfs.put(one)
    assert server.payloads[one.pointer.sha256] == b"one"
    server.rules.append(times(1, status(403, "expired"), method="GET"))
    assert b"".join(lfs.get(one.pointer)) == b"one"


def test_a_storage_that_never_takes_it_is_not_asked_for_ever(lfs: Lfs, server: LfsServer, repo: GitRepo) -> None:
    server.rules.append(times(0, status(403, "go away"), method="PUT"))
    error = refused(lfs, source(repo, b"one"))
    assert "answers 403" in error.message
    assert not error.passing
    assert len(server.asked("PUT")) == 2


def test_a_server_that_wants_no_verifying_gets_none(lfs: Lfs, server: LfsServer, repo: GitRepo) -> None:
    server.verifies = False
    one = source(repo, b"one")
    lfs.put(one)
    assert server.payloads[one.pointer.sha256] == b"one"
    assert server.asked("POST", "/verify") == []


def test_a_payload_that_does_not_pass_verifying_is_not_said_to_be_there(
    lfs: Lfs, server: LfsServer, repo: GitRepo
) -> None:
    server.rules.append(times(1, status(404, "never saw it"), path="/verify"))
    one = source(repo, b"one")
    error = refused(lfs, one)
    assert error.message.startswith(f"cannot verify payload {one.pointer.sha256[:12]}")
    assert lfs.exists([one.pointer], sending=False) == set()


def test_what_failed_to_be_verified_is_not_sent_again(lfs: Lfs, server: LfsServer, repo: GitRepo) -> None:
    server.rules.append(times(2, status(503, Retry_After="0"), path="/verify"))
    pointer = placed(repo, b"one")
    assert carrying.send(payloads(repo), lfs, [pointer]).moved == (pointer,)
    assert (len(server.asked("PUT")), len(server.asked("POST", "/verify"))) == (1, 3)


def test_a_storage_may_ask_for_chunks(lfs: Lfs, server: LfsServer, repo: GitRepo) -> None:
    def chunked(said: dict[str, list[dict[str, dict[str, dict[str, dict[str, str]]]]]]) -> None:
        said["objects"][0]["actions"]["upload"]["header"]["Transfer-Encoding"] = "chunked"

    server.change = chunked
    one = source(repo, bytes(600_000))
    lfs.put(one)
    assert server.payloads[one.pointer.sha256] == bytes(600_000)
    (put,) = server.asked("PUT")
    assert put.headers["Transfer-Encoding"] == "chunked"
    assert "Content-Length" not in put.headers


def test_the_size_is_said_before_the_payload(lfs: Lfs, server: LfsServer, repo: GitRepo) -> None:
    lfs.put(source(repo, bytes(600_000)))
    (put,) = server.asked("PUT")
    assert put.headers["Content-Length"] == "600000"
    assert "Transfer-Encoding" not in put.headers


# Statuses -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "passing", "cause", "hint"),
    [
        (401, False, "it does not believe the user name and password", "git credential"),
        (403, False, "it does not allow it", "may you write there?"),
        (404, False, "there is no LFS server", "lfs.url"),
        (429, True, "too many requests in a short time", "try again later"),
        (500, True, "something is wrong there", "try again later"),
        (502, True, "something is wrong there", "try again later"),
        (503, True, "it is not available now", "try again later"),
        (507, False, "there is no room left there", "make room"),
        (509, False, "the bandwidth that is paid for is used up", "another store"),
    ],
)
def test_each_refusal_of_the_api_says_what_it_means(
    lfs: Lfs, server: LfsServer, *, code: int, passing: bool, cause: str, hint: str
) -> None:
    server.rules.append(times(1, status(code)))
    with pytest.raises(TransportError) as raised:
        lfs.exists([pointer_to(b"x")], sending=True)
    error = raised.value
    assert error.message == f"cannot ask for an upload: '{server.url}' answers {code}"
    assert (error.cause, error.passing) == (cause, passing)
    assert hint in str(error.hint)


@pytest.mark.parametrize(("code", "passing"), [(400, False), (413, False), (422, False), (429, True), (500, True)])
def test_each_refusal_of_a_payload_says_what_it_means(
    lfs: Lfs, server: LfsServer, repo: GitRepo, code: int, passing: bool
) -> None:
    server.rules.append(times(1, status(code, "of the server's own"), method="PUT"))
    error = refused(lfs, source(repo, b"one"))
    assert (error.passing, f"answers {code}" in error.message) == (passing, True)
    assert str(error.cause).endswith(": of the server's own")


def test_a_refusal_before_the_payload_is_read_is_heard(lfs: Lfs, server: LfsServer, repo: GitRepo) -> None:
    server.rules.append(times(0, early(507), method="PUT"))
    error = refused(lfs, source(repo, bytes(300_000)))
    assert "no room" in str(error.cause) or error.passing  # what was under way may take the answer with it


def test_a_server_says_when_it_wants_to_be_asked_again(lfs: Lfs, server: LfsServer) -> None:
    later = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 100))
    for said, least, most in (("7", 7, 7), (later, 95, 101), ("soon", 0, 0), ("-5", 0, 0)):
        server.rules[:] = [times(1, status(429, Retry_After=said))]
        with pytest.raises(TransportError) as raised:
            lfs.exists([pointer_to(b"x")], sending=True)
        assert raised.value.passing
        assert least <= raised.value.wait <= most, said


def test_a_busy_server_is_waited_for(lfs: Lfs, server: LfsServer, repo: GitRepo) -> None:
    server.rules.append(times(1, status(503, Retry_After="1"), path=BASE))
    began = time.monotonic()
    pointer = placed(repo, b"one")
    assert carrying.send(payloads(repo), lfs, [pointer]).moved == (pointer,)
    assert time.monotonic() - began >= 1


# Downloads ----------------------------------------------------------------------------------------------------------


def test_a_server_without_ranges_is_read_from_the_beginning(lfs: Lfs, server: LfsServer, repo: GitRepo) -> None:
    server.ranges = False
    data = bytes(range(256)) * 10_000
    one = kept(server, source(repo, data))
    for start in (0, 1, 1 << 20, (1 << 20) + 5, len(data) - 1):
        assert b"".join(lfs.get(one.pointer, start=start)) == data[start:]


def test_another_range_than_the_one_asked_for_is_refused(lfs: Lfs, server: LfsServer, repo: GitRepo) -> None:
    one = kept(server, source(repo, b"0123456789"))
    for said in ("bytes 4-9/10", "bytes 5-9/11", "bytes 5-9", "", "items 5-9/10"):
        answer = {"Content-Range": said} if said else {}

        def part(handler: Handler, answer: dict[str, str] = answer) -> bool:
            return handler.say(206, b"56789", answer)

        server.rules[:] = [times(1, part, method="GET")]
        with pytest.raises(TransportError) as raised:
            b"".join(lfs.get(one.pointer, start=5))
        assert "it gives another part of it" in str(raised.value.cause), said


def test_a_range_that_a_server_cannot_give_is_read_from_the_beginning(
    lfs: Lfs, server: LfsServer, repo: GitRepo
) -> None:
    one = kept(server, source(repo, b"0123456789"))
    server.rules.append(times(1, status(416), method="GET"))
    assert b"".join(lfs.get(one.pointer, start=5)) == b"56789"


def test_a_download_that_is_cut_off_goes_on(lfs: Lfs, server: LfsServer, repo: GitRepo, colleague: GitRepo) -> None:
    data = bytes(range(256)) * 20_000
    one = kept(server, source(repo, data))
    server.rules.append(times(1, cut(3_000_000), method="GET"))
    done = carrying.bring(payloads(colleague), [lfs], [one.pointer])
    assert (done.moved, done.failed) == ((one.pointer,), ())
    first, second = server.asked("GET")
    assert "Range" not in first.headers
    assert 0 < int(second.headers["Range"].removeprefix("bytes=").removesuffix("-")) <= 3_000_000


@pytest.mark.parametrize(
    ("headers", "body", "cause"),
    [
        ({"Content-Encoding": "gzip"}, b"one", "it is encoded as 'gzip'"),
        ({"Content-Type": "text/html"}, b"<html>log in</html>", "a web page"),
        ({}, b"on", "it has 2 bytes there, and 3 by its pointer"),
        ({}, b"one more", "it has 8 bytes there, and 3 by its pointer"),
    ],
)
def test_an_answer_that_is_no_payload_is_refused(
    lfs: Lfs, server: LfsServer, repo: GitRepo, *, headers: dict[str, str], body: bytes, cause: str
) -> None:
    one = kept(server, source(repo, b"one"))
    server.rules.append(lambda handler: handler.command == "GET" and handler.say(200, body, headers))
    assert cause in str(not_got(lfs, one).cause)


def test_a_web_page_that_somebody_logged_is_a_payload(lfs: Lfs, server: LfsServer, repo: GitRepo) -> None:
    page = b"<html>a report</html>"
    one = kept(server, source(repo, page))
    server.rules.append(
        lambda handler: handler.command == "GET" and handler.say(200, page, {"Content-Type": "text/html"})
    )
    assert b"".join(lfs.get(one.pointer)) == page


def test_wrong_bytes_of_the_right_size_get_no_name(
    lfs: Lfs, server: LfsServer, repo: GitRepo, colleague: GitRepo
) -> None:
    one = source(repo, b"one")
    server.payloads[one.pointer.sha256] = b"two"
    there: Payloads = payloads(colleague)
    ((_, error),) = carrying.bring(there, [lfs], [one.pointer]).failed
    assert isinstance(error, DataRefused)
    assert there.find(one.pointer) is None


def test_no_request_asks_for_a_packed_answer(lfs: Lfs, server: LfsServer, repo: GitRepo) -> None:
    one = source(repo, b"one")
    lfs.put(one)
    b"".join(lfs.get(one.pointer))
    assert {each.headers["Accept-Encoding"] for each in server.requests} == {"identity"}


# The rest -----------------------------------------------------------------------------------------------------------


def test_connections_are_kept(repo: GitRepo) -> None:
    ports = set()
    with lfs_server() as server:

        def note(handler: Handler) -> bool:
            ports.add(handler.client_address[1])
            return False

        server.rules.append(note)
        lfs = opened(repo, server.url)
        pointers = [placed(repo, bytes([number])) for number in range(40)]
        assert len(carrying.send(payloads(repo), lfs, pointers).moved) == 40
        lfs.close()
        assert len(ports) <= carrying.AT_ONCE + 1


def test_nothing_can_be_listed_or_deleted_and_it_is_said(lfs: Lfs) -> None:
    assert not lfs.collects
    for call in (lambda: lfs.delete("a" * 64), lambda: list(lfs.list())):
        with pytest.raises(TransportError, match="cannot"):
            call()


def test_a_batch_names_no_branch(lfs: Lfs, server: LfsServer) -> None:
    asked = []

    def note(handler: Handler) -> bool:
        asked.append(handler.body())
        return handler.say_json(200, {"objects": []})

    server.rules.append(note)
    lfs.exists([pointer_to(b"x")], sending=True)
    assert json.loads(asked[0]) == {
        "operation": "upload",
        "transfers": ["basic"],
        "objects": [{"oid": pointer_to(b"x").sha256, "size": 1}],
        "hash_algo": "sha256",
    }


def test_a_payload_is_never_in_memory(lfs: Lfs, server: LfsServer, repo: GitRepo) -> None:
    size = 48 << 20
    one = source(repo, bytes(size))

    def store(handler: Handler) -> bool:
        for _ in range(0, size, 1 << 16):
            handler.rfile.read(1 << 16)
        return handler.say(200)

    def load(handler: Handler) -> bool:
        handler.send_response(200)
        handler.send_header("Content-Length", str(size))
        handler.end_headers()
        for _ in range(0, size, 1 << 16):
            handler.wfile.write(bytes(1 << 16))
        return True

    def has_it(said: dict[str, list[dict[str, object]]]) -> None:
        there = {"href": f"{server.address}/storage/{one.pointer.sha256}"}
        said["objects"] = [{"oid": one.pointer.sha256, "size": size, "actions": {"download": there, "upload": there}}]

    server.change = has_it
    server.rules += [times(0, store, method="PUT"), times(0, load, method="GET")]
    tracemalloc.start()
    try:
        lfs.put(one)
        assert sum(len(chunk) for chunk in lfs.get(one.pointer)) == size
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(server.asked("PUT")) == 1
    assert peak < 12 << 20
