"""LFS servers that are broken or mean harm: each gets one clear error, and nothing that is not its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from gittrack import carrying
from gittrack.errors import DataRefused
from gittrack.transports.lfs.store import Lfs
from gittrack.transports.protocol import TransportError
from tests.gitcmd import GitRepo
from tests.servers.lfs import BASE, TOKEN, Handler, LfsServer, Rule, lfs_server, raw, stall, status, times
from tests.servers.relay import full_queue
from tests.transports.lfsing import opened, payloads, pointer_to, source

WANTED = [pointer_to(b"x")]
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def server() -> Iterator[LfsServer]:
    with lfs_server(password="pa55word") as found:
        yield found


@pytest.fixture
def other() -> Iterator[LfsServer]:
    """A server of somebody else."""
    with lfs_server() as found:
        yield found


@pytest.fixture
def lfs(repo: GitRepo, server: LfsServer) -> Iterator[Lfs]:
    found = opened(repo, server.url.replace("://", "://ada:pa55word@"))
    yield found
    found.close()


@pytest.fixture
def hasty(repo: GitRepo, lfs: Lfs, server: LfsServer) -> Iterator[Lfs]:
    """The same, of somebody who waits for a second."""
    repo.git("config", "track.timeout", "1")
    found = opened(repo, server.url.replace("://", "://ada:pa55word@"))
    yield found
    found.close()


def failure(lfs: Lfs) -> TransportError:
    """Returns why a server could not be asked; with a message and a cause, and no word of the password."""
    with pytest.raises(TransportError) as raised:
        lfs.exists(WANTED, sending=True)
    said = "\n".join(raised.value.lines())
    assert raised.value.cause
    assert "pa55word" not in said
    assert TOKEN not in said
    return raised.value


def answering(said: object) -> Rule:
    """Returns a rule that answers with this JSON."""

    def answer(handler: Handler) -> bool:
        handler.body()
        return handler.say_json(200, said)

    return answer


# Answers that are none ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>welcome</html>", "what came is 'text/html'"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n[[[[[", "no JSON"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 100_000, "no JSON"),
        (b"HTTP/1.1 200 OK\r\n\r\n[]", "it lists no objects"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b", "it is encoded as 'gzip'"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n{", "more than 16384 KiB"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{", "cut off"),
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", ""),
        (b"", "it hung up without an answer"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000 + b"\r\n{}", "100 headers"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n{}", "65536"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 100, "announces an answer"),
        (CHUNKED + b"2\r\n{}\r\n0\r\n" + b"X: y\r\n" * 1000, "behind its answer does not end"),
        (b"HTTP/1.1 307 Go\r\nLocation: http://[::1/x\r\nContent-Length: 0\r\n\r\n", "no address of HTTP"),
    ],
    ids=[
        *("a page", "half of it", "deep", "a list", "packed", "gigabytes", "cut off", "another protocol", "nothing"),
        *("many headers", "a long header", "for ever soon", "many lines behind it", "a place that is none"),
    ],
)
def test_an_answer_that_makes_no_sense_is_one_error(lfs: Lfs, server: LfsServer, answer: bytes, cause: str) -> None:
    server.rules.append(raw(answer))
    assert cause in str(failure(lfs).cause)


def test_an_answer_in_chunks_may_be_long(lfs: Lfs, server: LfsServer) -> None:
    parts = b"".join(b"1\r\n \r\n" for _ in range(5000))
    server.rules.append(raw(CHUNKED + parts + b'e\r\n{"objects":[]}\r\n0\r\nX: y\r\n\r\n'))
    assert lfs.exists(WANTED, sending=False) <= set(WANTED)  # and nothing is raised


@pytest.mark.parametrize("word", [10**400, -(10**400), 1e308])
def test_a_time_beyond_all_measure_is_for_long_or_over(lfs: Lfs, server: LfsServer, word: float) -> None:
    objects = [{**each._asdict(), "oid": each.sha256, "actions": action(word)} for each in WANTED]
    server.rules.append(answering({"objects": objects}))
    assert lfs.exists(WANTED, sending=False) == set(WANTED)


def action(expires: float) -> dict[str, object]:
    return {"download": {"href": "http://127.0.0.1/x", "expires_in": expires}}


def test_an_answer_without_an_end_is_given_up(lfs: Lfs, server: LfsServer) -> None:
    def endless(handler: Handler) -> bool:
        handler.body()
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            handler.wfile.write(b"100000\r\n" + b" " * (1 << 20) + b"\r\n")

    server.rules.append(endless)
    assert failure(lfs).cause == "more than 16384 KiB"


def test_an_answer_that_comes_drop_by_drop_is_given_up(hasty: Lfs, server: LfsServer) -> None:
    def slow(handler: Handler) -> bool:
        handler.body()
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.2)

    server.rules.append(slow)
    began = time.monotonic()
    assert failure(hasty).message == f"'{server.address}' is too slow"
    assert time.monotonic() - began < 6


def test_headers_that_come_drop_by_drop_are_given_up(hasty: Lfs, server: LfsServer) -> None:
    def slow(handler: Handler) -> bool:
        handler.body()
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
        while True:
            handler.wfile.write(b"y")
            handler.wfile.flush()
            time.sleep(0.2)

    server.rules.append(slow)
    began = time.monotonic()
    assert failure(hasty).cause == "its answer comes drop by drop"
    assert time.monotonic() - began < 6


def test_a_server_that_says_nothing_is_given_up(hasty: Lfs, server: LfsServer, repo: GitRepo) -> None:
    over = threading.Event()
    server.rules.append(times(1, stall(over)))
    error = failure(hasty)
    assert (error.message, error.cause) == (
        f"'{server.address}' does not answer any more",
        "no sign of life for 1 seconds",
    )
    assert "track.timeout" in str(error.hint)
    server.rules.append(times(0, stall(over), method="PUT"))
    with pytest.raises(TransportError, match="does not answer any more"):
        hasty.put(source(repo, b"one"))
    over.set()


def test_a_download_that_stops_in_the_middle_is_given_up(hasty: Lfs, server: LfsServer, repo: GitRepo) -> None:
    data = bytes(3 << 20)
    one = source(repo, data)
    server.payloads[one.pointer.sha256] = data
    over = threading.Event()

    def half(handler: Handler) -> bool:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data[: 1 << 20])
        handler.wfile.flush()
        return bool(over.wait(30)) or True

    server.rules.append(times(1, half, method="GET"))
    with pytest.raises(TransportError, match="does not answer any more"):
        b"".join(hasty.get(one.pointer))
    over.set()


def test_a_payload_that_never_ends_is_given_up(lfs: Lfs, server: LfsServer, repo: GitRepo, colleague: GitRepo) -> None:
    one = source(repo, b"one")
    server.payloads[one.pointer.sha256] = b"one"
    sent = []

    def endless(handler: Handler) -> bool:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            handler.wfile.write(b"100000\r\n" + b" " * (1 << 20) + b"\r\n")
            sent.append(1 << 20)

    server.rules.append(times(1, endless, method="GET"))
    ((_, error),) = carrying.bring(payloads(colleague), [lfs], [one.pointer]).failed
    assert isinstance(error, DataRefused)
    assert error.cause == "it is longer than its pointer says"
    assert sum(sent) < 64 << 20


def test_a_port_where_nobody_listens_is_said_at_once(repo: GitRepo) -> None:
    error = failure(opened(repo, "http://127.0.0.1:1/x"))
    assert (error.message, error.cause) == ("cannot reach 'http://127.0.0.1:1'", "Connection refused")
    assert not error.passing


def test_a_host_of_no_name_is_said(repo: GitRepo) -> None:
    assert failure(opened(repo, "http://nowhere.invalid/x")).cause == "no host of this name is known"


def test_a_machine_that_is_off_is_given_up(repo: GitRepo) -> None:
    repo.git("config", "track.timeout", "1")
    with full_queue() as port:
        began = time.monotonic()
        assert failure(opened(repo, f"http://127.0.0.1:{port}/x")).cause == "it does not answer"
        assert time.monotonic() - began < 5


@pytest.mark.parametrize("url", ["ftp://h/x", "http://", "http://a b/", "http://h:99999/", "http://[::1/", "file:///x"])
def test_an_address_that_is_none_of_the_web_is_refused(repo: GitRepo, url: str) -> None:
    with pytest.raises(TransportError, match="is no address of an LFS server"):
        opened(repo, url)


# Elsewhere ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [301, 302, 307, 308])
def test_a_batch_is_asked_where_the_server_says(lfs: Lfs, server: LfsServer, code: int) -> None:
    server.rules.append(times(1, status(code, Location=f"{BASE}/objects/batch?moved")))
    assert lfs.exists(WANTED, sending=True) == set()
    assert [each.path for each in server.requests] == [f"{BASE}/objects/batch", f"{BASE}/objects/batch?moved"]


def test_a_batch_that_would_have_to_become_another_request_is_not_followed(lfs: Lfs, server: LfsServer) -> None:
    server.rules.append(times(1, status(303, Location=f"{BASE}/objects/batch")))
    assert failure(lfs).cause == "it sends us elsewhere in a way that is not followed"


def test_a_circle_is_left_after_five_redirects(lfs: Lfs, server: LfsServer) -> None:
    server.rules.append(status(307, Location=f"{BASE}/objects/batch"))
    error = failure(lfs)
    assert error.cause == "more than 5 redirects"
    assert len(server.requests) == 6


def test_a_payload_is_not_sent_where_a_redirect_says(
    lfs: Lfs, server: LfsServer, other: LfsServer, repo: GitRepo
) -> None:
    server.rules.append(times(0, status(307, Location=f"{other.address}/storage/x"), method="PUT"))
    with pytest.raises(TransportError, match="answers 307"):
        lfs.put(source(repo, b"one"))
    assert other.requests == []


def test_nobody_else_hears_who_we_are(lfs: Lfs, server: LfsServer, other: LfsServer, repo: GitRepo) -> None:
    other.password = "of the other"
    server.rules.append(status(307, Location=f"{other.address}{BASE}/objects/batch"))
    with pytest.raises(TransportError) as raised:
        lfs.exists(WANTED, sending=True)
    assert "answers 401" in raised.value.message
    assert {each.headers.get("Authorization") for each in server.requests} != {None}
    assert [each.headers.get("Authorization") for each in other.requests] == [None]


def test_headers_of_an_action_stay_with_the_server_they_are_for(
    lfs: Lfs, server: LfsServer, other: LfsServer, repo: GitRepo
) -> None:
    one = source(repo, b"one")
    server.payloads[one.pointer.sha256] = other.payloads[one.pointer.sha256] = b"one"
    server.rules.append(times(0, status(302, Location=f"{other.address}/storage/x"), method="GET"))
    other.rules.append(lambda handler: handler.say(200, b"one"))
    assert b"".join(lfs.get(one.pointer)) == b"one"
    (asked,) = other.requests
    assert not {"Authorization", "X-Token"} & asked.headers.keys()
    assert server.asked("GET")[0].headers["X-Token"] == TOKEN


def test_a_storage_elsewhere_hears_nothing_but_its_own(
    lfs: Lfs, server: LfsServer, other: LfsServer, repo: GitRepo
) -> None:
    server.storage = other.address
    server.verifies = other.verifies = False
    one = source(repo, b"one")
    lfs.put(one)
    server.payloads |= other.payloads
    assert b"".join(lfs.get(one.pointer)) == b"one"
    assert [each.method for each in other.requests] == ["PUT", "GET"]
    assert all("Authorization" not in each.headers for each in other.requests)


@pytest.mark.parametrize("href", ["file:///etc/passwd", "ftp://h/x", "//h/x", "http://h/a b", "http://h/\r\nX: y", 7])
def test_an_action_that_is_no_web_address_is_refused(lfs: Lfs, server: LfsServer, repo: GitRepo, href: object) -> None:
    def change(said: dict[str, Any]) -> None:
        said["objects"][0]["actions"]["upload"]["href"] = href

    server.change = change
    with pytest.raises(TransportError) as raised:
        lfs.put(source(repo, b"one"))
    assert "address" in str(raised.value.cause)
    assert server.asked("PUT") == []


@pytest.mark.parametrize(
    "header", [{"X": "a\r\nHost: evil"}, {"a b": "c"}, {"X": 1}, ["X"], {"X": "y" * 99999}, {"Ä": "x"}]
)
def test_headers_that_cannot_be_sent_are_refused(lfs: Lfs, server: LfsServer, repo: GitRepo, header: object) -> None:
    def change(said: dict[str, Any]) -> None:
        said["objects"][0]["actions"]["upload"]["header"] = header

    server.change = change
    with pytest.raises(TransportError) as raised:
        lfs.put(source(repo, b"one"))
    assert "headers of an action" in str(raised.value.cause)


def test_a_server_cannot_change_how_a_message_is_framed(lfs: Lfs, server: LfsServer, repo: GitRepo) -> None:
    def change(said: dict[str, Any]) -> None:
        if "upload" in said["objects"][0].get("actions", {}):
            said["objects"][0]["actions"]["upload"]["header"] |= {"Host": "evil", "content-length": "1", "TE": "x"}

    server.change = change
    one = source(repo, b"one")
    lfs.put(one)
    (put,) = server.asked("PUT")
    assert (put.headers["Host"], put.headers["Content-Length"]) == (f"127.0.0.1:{server.port}", "3")


@pytest.mark.parametrize("message", ["\x1b[2J\x1b]0;gone\x07", "https://ada:t0ken-of-ada@h/", "x" * 100_000, "a\nb"])
def test_the_words_of_a_server_are_harmless(lfs: Lfs, server: LfsServer, message: str) -> None:
    server.rules.append(status(403, message))
    said = "\n".join(failure(lfs).lines())
    assert "\x1b" not in said
    assert "t0ken-of-ada" not in said
    assert len(said) < 1000
    assert len(said.splitlines()) == 3


def test_what_lies_in_objects_never_ends_in_a_traceback(lfs: Lfs, server: LfsServer) -> None:
    oid = WANTED[0].sha256
    odd: list[Any] = [None, 7, "x", [], {}, {"oid": 7}, {"oid": oid, "size": "1"}, {"oid": oid, "actions": 7}]
    actions: list[Any] = [None, 7, [], {}, {"href": None}]
    errors: list[Any] = [{}, {"code": "x"}, {"code": 9**99, "message": 7}]
    odd += [{"oid": oid, "size": 1, "actions": {"upload": each}} for each in actions]
    odd += [{"oid": oid, "size": 1, "error": each} for each in errors]
    far = {"href": f"{server.address}/x", "expires_in": float("nan"), "expires_at": "99999-13-77T00:00:00Z"}
    odd += [{"oid": oid, "size": 1, "actions": {"upload": {**far, "expires_in": each}}} for each in (-1, 9**99, "x")]
    odd.append({"oid": oid, "size": 1, "actions": {"upload": far}})
    for said in odd:
        server.rules[:] = [answering({"objects": [said]})]
        assert lfs.exists(WANTED, sending=True) == set()
        assert lfs.exists(WANTED, sending=False) <= set(WANTED)
