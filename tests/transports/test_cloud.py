"""Buckets as stores: S3 as rclone and moto speak it, Azure as azurite does, GCS as far as it is S3."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import obstore
import pytest

from gittrack import carrying, stores
from gittrack.errors import DataRefused, GittrackError, NotInstalled, UsageError
from gittrack.repo import open_repo
from gittrack.transports.cloud import awsprofile, bucket, s3parts
from gittrack.transports.cloud import store as cloud
from gittrack.transports.cloud.room import Room
from gittrack.transports.cloud.store import Cloud
from gittrack.transports.protocol import CHUNK, Source, Transport, TransportError
from tests.gitcmd import GitRepo
from tests.runs import ask, attempt
from tests.servers import buckets
from tests.servers.relay import relay
from tests.transports import suite
from tests.transports.suite import MIB, content, pointer_to, source_of

URL = f"s3://{buckets.BUCKET}"
PART = 5 * MIB  # the least that S3 takes
LARGE = 3 * PART + 321


@pytest.fixture(scope="module")
def rclone() -> Iterator[buckets.Server]:
    with buckets.rclone() as server:
        yield server


@pytest.fixture(scope="module")
def moto() -> Iterator[buckets.Server]:
    with buckets.moto() as server:
        yield server


@pytest.fixture(scope="module")
def azurite() -> Iterator[buckets.Server]:
    with buckets.azurite() as server:
        yield server


class _Bucket(suite.Conformance):
    """What holds for every bucket; each test has a prefix of its own."""

    def opened(self, url: str, environ: Mapping[str, str]) -> Iterator[Transport]:
        self.cloud = Cloud(f"{url}/{uuid.uuid4().hex}/with a + and ä", environ=environ)
        yield self.cloud
        self.cloud.close()

    def plant(self, path: str, data: bytes) -> None:
        obstore.put(self.cloud._opened.writes, self.cloud._place.prefix + path, data)


class TestRclone(_Bucket):
    secret = buckets.SECRET

    @pytest.fixture
    def transport(self, rclone: buckets.Server) -> Iterator[Transport]:
        yield from self.opened(URL, rclone.environ)


class TestMoto(_Bucket):
    secret = buckets.SECRET

    @pytest.fixture
    def transport(self, moto: buckets.Server) -> Iterator[Transport]:
        yield from self.opened(URL, moto.environ)


class TestGcs(_Bucket):
    """The code that speaks to GCS; that the real one answers as moto does is not tested here."""

    secret = buckets.SECRET

    @pytest.fixture
    def transport(self, moto: buckets.Server) -> Iterator[Transport]:
        yield from self.opened(f"gs://{buckets.BUCKET}", buckets.of_gcs(moto))


class TestAzurite(_Bucket):
    secret = buckets.ACCOUNT_KEY

    @pytest.fixture
    def transport(self, azurite: buckets.Server) -> Iterator[Transport]:
        yield from self.opened(f"az://{buckets.BUCKET}", azurite.environ)


# Addresses -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("s3://lab", ("S3", "lab", "", None, "s3://lab")),
        ("s3://lab/", ("S3", "lab", "", None, "s3://lab")),
        ("s3://lab/a//b/", ("S3", "lab", "a/b/", None, "s3://lab/a/b")),
        ("gs://my_lab.example.org/a b", ("GCS", "my_lab.example.org", "a b/", None, "gs://my_lab.example.org/a b")),
        ("az://lab/x", ("Azure", "lab", "x/", None, "az://lab/x")),
        ("azure://lab", ("Azure", "lab", "", None, "azure://lab")),
        (
            "abfss://lab@ours.dfs.core.windows.net/x",
            ("Azure", "lab", "x/", "ours", "abfss://lab@ours.dfs.core.windows.net/x"),
        ),
    ],
)
def test_an_address_names_a_bucket_and_what_names_begin_with(url: str, place: tuple[str | None, ...]) -> None:
    assert bucket.place(url) == place


@pytest.mark.parametrize(
    "url",
    ["s3://", "s3:///x", "s3://a b/x", "s3://lab/../x", "s3://lab/./x", "s3://lab/a\x1b[2J", "gs://?x", "az://-/"],
)
def test_an_address_that_names_no_bucket_is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        bucket.place(url)


@pytest.mark.parametrize("url", ["s3://me:hunter2@lab/x", "gs://hunter2@lab", "az://hunter2@evil.example.org/x"])
def test_a_password_in_an_address_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(UsageError) as raised:
        bucket.place(url)
    assert "hunter2" not in "\n".join(raised.value.lines())


@pytest.mark.parametrize("url", [f"{URL}/x", "gs://lab/x", "az://lab/x", "abfss://lab@ours.dfs.core.windows.net"])
def test_a_store_that_is_configured_with_such_an_address_is_a_bucket(
    repo: GitRepo, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    for name, value in (*buckets.of_s3("http://127.0.0.1:9").items(), ("AZURE_STORAGE_ACCOUNT", "ours")):
        monkeypatch.setenv(name, value)
    repo.git("config", "track.store.lab.url", url)
    place = open_repo(repo.path)
    (store,) = stores.configured(place.settings)
    opened = stores.open_store(place.git, store, place.settings)
    assert isinstance(opened, Cloud)
    assert opened.label == url
    opened.close()


def test_without_obstore_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    with pytest.raises(NotInstalled) as raised:
        Cloud(URL, environ=buckets.of_s3("http://127.0.0.1:9"))
    assert raised.value.hint == "pip install 'gittrack[cloud]'"


@pytest.mark.usefixtures("small_parts")
def test_a_team_shares_a_checkpoint_through_a_bucket(
    repo: GitRepo, colleague: GitRepo, rclone: buckets.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in rclone.environ.items():
        monkeypatch.setenv(name, value)
    url = f"{URL}/{uuid.uuid4().hex}"
    for clone in (repo, colleague):
        assert attempt(clone, "store", "add", "lab", url)[0] == 0
    assert [line.split()[:2] for line in ask(repo, "store", "check", "lab").splitlines()[1:]] == [
        [what, "ok,"] for what in ("put", "exists", "get", "delete")
    ]
    (repo.path / "model.bin").write_bytes(content(LARGE))
    ask(repo, "run", "--artifact", "model.bin", "--", "true")
    ask(repo, "push")
    ask(colleague, "pull")
    ask(colleague, "get", "@:artifacts/model.bin", "-o", "got")
    (got,) = (colleague.path / "got").rglob("model.bin")
    assert got.read_bytes() == content(LARGE)


def test_an_address_of_azure_may_have_the_container_before_an_at(repo: GitRepo) -> None:
    assert attempt(repo, "store", "add", "lab", "abfss://lab@ours.dfs.core.windows.net/x")[0] == 0
    code, _, said = attempt(repo, "store", "add", "other", "abfss://lab@evil.example.org/x")
    assert (code, "names no user" in said) == (2, True)


# Credentials ---------------------------------------------------------------------------------------------------------


def _with_home(home: Path, **files: str) -> dict[str, str]:
    """Writes files of `~/.aws`; returns an environment in which they are there, and no machine gives keys."""
    (home / ".aws").mkdir(exist_ok=True)
    for name, text in files.items():
        (home / ".aws" / name).write_text(text, encoding="utf-8")
    return {"HOME": str(home), "AWS_EC2_METADATA_DISABLED": "true"}


_KEYS = f"aws_access_key_id = {buckets.ACCESS}\naws_secret_access_key = {buckets.SECRET}\n"


def _works(environ: Mapping[str, str], tmp_path: Path) -> None:
    """Asserts that a payload goes through, small and in parts."""
    store = Cloud(f"{URL}/{uuid.uuid4().hex}", environ=environ)
    for size in (1000, LARGE):
        source = source_of(content(size), tmp_path / "sources")
        store.put(source)
        assert b"".join(store.get(source.pointer)) == content(size)
    store.close()


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts as small as S3 takes them."""
    monkeypatch.setattr(cloud, "_PART", PART)


@pytest.mark.usefixtures("small_parts")
def test_the_profile_of_aws_gives_keys_region_and_endpoint(
    rclone: buckets.Server, sealed_home: Path, tmp_path: Path
) -> None:
    config = f"[default]\nregion = eu-west-3\nendpoint_url = {rclone.address}\n"
    _works(_with_home(sealed_home, credentials=f"[default]\n{_KEYS}", config=config), tmp_path)


@pytest.mark.usefixtures("small_parts")
def test_a_profile_can_be_named_and_its_credential_process_is_asked(
    rclone: buckets.Server, sealed_home: Path, tmp_path: Path
) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text(
        f'{{"Version": 1, "AccessKeyId": "{buckets.ACCESS}", "SecretAccessKey": "{buckets.SECRET}", '
        '"Expiration": "2999-01-01T00:00:00Z"}',
        encoding="utf-8",
    )
    config = f"[profile lab]\ncredential_process = cat '{keys}'\nendpoint_url = {rclone.address}\n"
    _works(_with_home(sealed_home, config=config) | {"AWS_PROFILE": "lab"}, tmp_path)


def test_keys_that_will_soon_expire_are_asked_for_again(sealed_home: Path, tmp_path: Path) -> None:
    script = tmp_path / "give"
    script.write_text(
        f'#!/bin/sh\necho x >>"{tmp_path}/asked"\n'
        'echo \'{"AccessKeyId": "A", "SecretAccessKey": "s", "Expiration": "2001-01-01T00:00:00Z"}\'\n',
        encoding="utf-8",
    )
    script.chmod(0o755)
    environ = _with_home(sealed_home, config=f"[default]\ncredential_process = '{script}'\n")
    opened = bucket.open_bucket(bucket.place(URL), environ)
    assert opened.keys
    opened.keys()
    opened.keys()
    assert (tmp_path / "asked").read_text(encoding="utf-8").count("x") == 3


def test_keys_of_the_environment_win(rclone: buckets.Server, sealed_home: Path, tmp_path: Path) -> None:
    wrong = "[default]\naws_access_key_id = AKIAWRONG\naws_secret_access_key = wrong\n"
    _works(_with_home(sealed_home, credentials=wrong) | dict(rclone.environ), tmp_path)


@pytest.mark.parametrize(
    ("files", "more", "says"),
    [
        ({}, {}, "there are no credentials for S3"),
        ({"config": "[default]\nregion = eu-west-3\n"}, {}, "there are no credentials for S3"),
        ({}, {"AWS_PROFILE": "lab"}, "there is no profile 'lab' of AWS"),
        (
            {"config": "[default]\nsso_session = lab\n"},
            {},
            "profile 'default' of AWS is of a kind that is not read here",
        ),
        ({"credentials": f"{_KEYS}[default]\n"}, {}, "it is no file of profiles"),
        ({"config": "[default]\ncredential_process = echo hunter2\n"}, {}, "its credential_process failed"),
        ({"config": "[default]\ncredential_process = no-such-program hunter2\n"}, {}, "its credential_process failed"),
        ({"credentials": f"[default]\n{_KEYS}"}, {"AWS_CA_BUNDLE": "/none"}, "AWS_CA_BUNDLE is '/none'"),
    ],
)
def test_credentials_that_cannot_be_had_are_one_clear_error(
    sealed_home: Path, files: dict[str, str], more: dict[str, str], says: str
) -> None:
    store = Cloud(URL, environ=_with_home(sealed_home, **files) | more)
    with pytest.raises(GittrackError) as raised:
        store.exists([pointer_to(b"x")], sending=True)
    said = "\n".join(raised.value.lines())
    assert says in said
    assert "hunter2" not in said
    assert buckets.SECRET not in said


def test_a_machine_without_credentials_is_not_asked_for_long(sealed_home: Path) -> None:
    environ = {"HOME": str(sealed_home), "AWS_METADATA_ENDPOINT": "http://127.0.0.1:9"}
    with pytest.raises(TransportError) as raised:
        Cloud(URL, environ=environ).exists([pointer_to(b"x")], sending=True)
    assert raised.value.cause == "there are no credentials for S3"


def test_keys_of_a_machine_open_a_bucket(
    rclone: buckets.Server, sealed_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = f'{{"AccessKeyId": "{buckets.ACCESS}", "SecretAccessKey": "{buckets.SECRET}", "Token": "", '
    with buckets.refusing(200, keys + '"Expiration": "2999-01-01T00:00:00Z"}') as container:
        environ = _with_home(sealed_home) | {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{container}/keys",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(sealed_home / "token"),
            "AWS_ENDPOINT_URL_S3": rclone.address,
        }
        (sealed_home / "token").write_text("token", encoding="utf-8")
        for name, value in environ.items():  # obstore reads the real one
            monkeypatch.setenv(name, value)
        store = Cloud(f"{URL}/{uuid.uuid4().hex}", environ=environ)
        source = source_of(content(9 * MIB), tmp_path / "sources")
        store.put(source)
        assert store.exists([source.pointer], sending=False) == {source.pointer}


def test_gcs_and_azure_without_credentials_say_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_MSI_ENDPOINT", "http://127.0.0.1:9/token")
    for url, environ, hint in (
        ("gs://lab", {}, "gcloud auth application-default login"),
        ("az://lab", {"AZURE_STORAGE_ACCOUNT": "ours"}, "AZURE_STORAGE_KEY"),
    ):
        monkeypatch.setattr(bucket, "_RETRIES", {"max_retries": 0})
        monkeypatch.setattr(bucket, "_CONNECT", bucket._CONNECT / 10)
        with pytest.raises(TransportError) as raised:
            Cloud(url, environ=environ).exists([pointer_to(b"x")], sending=True)
        assert raised.value.cause in ("there are no credentials for GCS", "there are no credentials for Azure")
        assert hint in str(raised.value.hint)


def test_azure_wants_to_know_whose_container_it_is() -> None:
    with pytest.raises(TransportError, match="cannot open 'az://lab'"):
        next(Cloud("az://lab", environ={}).list())


def test_the_page_on_buckets_names_every_variable_that_is_read_here() -> None:
    root = Path(__file__).parents[2]
    page = (root / "docs" / "how-to" / "keep-artifacts-in-a-bucket.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\b(?:AWS|AZURE|GOOGLE)_[A-Z0-9_]+\b", page))
    read: set[str] = set()
    for module in (bucket, awsprofile):
        text = Path(str(module.__file__)).read_text(encoding="utf-8")
        read |= set(re.findall(r'"((?:AWS|AZURE|GOOGLE)_[A-Z0-9_]+)"', text))
    assert read - named == {"AWS_METADATA_ENDPOINT"}  # which only tests and rare machines set


# Refusals ------------------------------------------------------------------------------------------------------------


def _calls(store: Cloud, folder: Path) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yields every way to ask a store, with the word for it."""
    small, large = source_of(b"small", folder), source_of(content(LARGE), folder)
    yield "read", lambda: store.exists([small.pointer], sending=True)
    yield "read", lambda: next(store.get(small.pointer))
    yield "write to", lambda: store.put(small)
    yield "write to", lambda: store.put(large)
    yield "list", lambda: next(store.list())
    yield "delete from", lambda: store.delete(small.pointer.sha256)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers that do not answer are given up after a second, and not asked again."""
    monkeypatch.setattr(bucket, "_RETRIES", {"max_retries": 0})
    monkeypatch.setattr(bucket, "_SILENCE", bucket._CONNECT / 5)
    monkeypatch.setattr(bucket, "_REQUEST", bucket._CONNECT / 5)
    monkeypatch.setattr(s3parts, "_SILENCE", 1.0)
    monkeypatch.setattr(s3parts, "_ATTEMPTS", 1)


@pytest.mark.usefixtures("small_parts", "impatient")
def test_a_wrong_secret_is_said_in_each_way_to_ask(rclone: buckets.Server, tmp_path: Path) -> None:
    environ = dict(rclone.environ) | {"AWS_SECRET_ACCESS_KEY": "hunter2"}
    with contextlib.closing(Cloud(f"{URL}/x", environ=environ)) as store:
        for what, call in _calls(store, tmp_path):
            with pytest.raises(TransportError) as raised:
                call()
            assert raised.value.message == f"cannot {what} '{URL}/x'"
            assert raised.value.cause in (
                "the secret key does not belong to the access key",
                "the credentials are not accepted, or may not do this",  # an answer to HEAD has no text
            )
            assert not raised.value.passing
            assert "hunter2" not in "\n".join(raised.value.lines())


@pytest.mark.usefixtures("small_parts", "impatient")
def test_a_bucket_that_is_not_there_is_named(moto: buckets.Server, azurite: buckets.Server, tmp_path: Path) -> None:
    for url, environ in (("s3://other", moto.environ), ("az://other", azurite.environ)):
        with contextlib.closing(Cloud(url, environ=environ)) as store:
            calls = dict(_calls(store, tmp_path))
            calls["read"] = partial(store.exists, [pointer_to(b"x")], sending=False)
            del calls["delete from"]  # what is not there is deleted
            for what, call in calls.items():
                with pytest.raises(TransportError) as raised:
                    call()
                noun = "container" if url.startswith("az") else "bucket"
                assert raised.value.lines() == [
                    f"error: cannot {what} '{url}'",
                    f"cause: there is no {noun} 'other'",
                    f"hint: make the {noun} first",
                ]


def _xml(code: str, more: str = "") -> str:
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>hunter2 \x1b[2J</Message>{more}</Error>"


@pytest.mark.usefixtures("small_parts", "impatient")
@pytest.mark.parametrize(
    ("status", "body", "cause", "passing"),
    [
        (403, _xml("RequestTimeTooSkewed"), "the clock of this machine is wrong", False),
        (403, _xml("AccessDenied"), "the credentials may not do this", False),
        (400, _xml("ExpiredToken"), "the credentials have expired", False),
        (301, _xml("PermanentRedirect"), "bucket 'lab' is in another region", False),
        (400, _xml("AuthorizationHeaderMalformed", "<Region>eu-west-3</Region>"), "is in another region", False),
        (503, _xml("SlowDown"), "it asks to be asked less often", True),
        (500, _xml("InternalError"), "it answered with status 500", True),
        (429, "", "it asks to be asked less often", True),
        (418, "hunter2", "it answered with status 418", False),
    ],
)
def test_what_a_server_refuses_is_one_line_without_its_words(
    tmp_path: Path, status: int, body: str, cause: str, passing: bool
) -> None:
    with (
        buckets.refusing(status, body) as address,
        contextlib.closing(Cloud(URL, environ=buckets.of_s3(address))) as store,
    ):
        for _, call in list(_calls(store, tmp_path))[1:]:  # an answer to HEAD has no text
            with pytest.raises(TransportError) as raised:
                call()
            said = "\n".join(raised.value.lines())
            assert cause in said
            assert "hunter2" not in said
            assert "\x1b" not in said
            assert raised.value.passing is passing


@pytest.mark.usefixtures("small_parts", "impatient")
@pytest.mark.parametrize("size", [10, LARGE])
def test_a_page_that_says_please_log_in_takes_no_payload(tmp_path: Path, size: int) -> None:
    with (
        buckets.refusing(200, "<html>please log in</html>") as address,
        contextlib.closing(Cloud(URL, environ=buckets.of_s3(address))) as store,
        pytest.raises(TransportError, match="cannot write to"),
    ):
        store.put(source_of(content(size), tmp_path))


@pytest.mark.usefixtures("small_parts", "impatient")
def test_the_region_that_a_bucket_is_in_is_said(tmp_path: Path) -> None:
    body = _xml("AuthorizationHeaderMalformed", "<Region>eu-west-3</Region>")
    with buckets.refusing(400, body) as address, pytest.raises(TransportError) as raised:
        Cloud(URL, environ=buckets.of_s3(address)).put(source_of(b"small", tmp_path))
    assert raised.value.hint == "set AWS_REGION=eu-west-3"


@pytest.mark.usefixtures("small_parts", "impatient")
def test_a_server_that_stalls_is_given_up_and_may_be_tried_again(rclone: buckets.Server, tmp_path: Path) -> None:
    with relay(rclone.port) as line:
        line.limit = -1
        with contextlib.closing(Cloud(URL, environ=buckets.of_s3(f"http://127.0.0.1:{line.port}"))) as store:
            for _, call in list(_calls(store, tmp_path))[2:5]:
                with pytest.raises(TransportError) as raised:
                    call()
                assert raised.value.cause == "it stopped answering"
                assert raised.value.passing


@pytest.mark.usefixtures("small_parts", "impatient")
def test_where_nothing_listens_is_said(tmp_path: Path) -> None:
    with contextlib.closing(Cloud(URL, environ=buckets.of_s3("http://127.0.0.1:9"))) as store:
        for _, call in _calls(store, tmp_path):
            with pytest.raises(TransportError) as raised:
                call()
            assert raised.value.cause == "nothing answers at its address"
            assert raised.value.passing


@pytest.mark.parametrize("endpoint", ["127.0.0.1:9000", "ftp://x", "https://", "https://me:hunter2@x", "x"])
def test_an_endpoint_that_is_no_address_is_refused(endpoint: str) -> None:
    with pytest.raises(UsageError, match="no address of a server") as raised:
        next(Cloud(URL, environ=buckets.of_s3(endpoint)).list())
    assert "hunter2" not in "\n".join(raised.value.lines())


# Parts ---------------------------------------------------------------------------------------------------------------


def _uploads(store: Cloud) -> list[str]:
    """Returns the names of the uploads that are open in the bucket."""
    sender = store._sender()
    assert sender
    try:
        said = sender._ask("GET", "", {"uploads": "", "prefix": store._place.prefix}).text
    except TransportError:  # rclone's way to say that there are none
        return []
    return [s3parts._value(text, "Key") for text in s3parts._UPLOAD.findall(said)]


@pytest.fixture(params=["rclone", "moto"])
def s3(request: pytest.FixtureRequest) -> buckets.Server:
    server: buckets.Server = request.getfixturevalue(request.param)
    return server


@pytest.mark.usefixtures("small_parts")
def test_an_upload_that_was_cut_goes_on_by_part(s3: buckets.Server, tmp_path: Path) -> None:
    url = f"{URL}/{uuid.uuid4().hex}"
    source = source_of(content(LARGE), tmp_path)
    with contextlib.closing(Cloud(url, environ=s3.environ)) as store:
        # What is cut is in the fourth part, and two were sent for sure when it was read.
        store._room = Room(PART)
        with pytest.raises(suite.CutError):
            store.put(suite.CutSource(source, after=LARGE - 100))
        assert store.exists([source.pointer], sending=True) == set()
    with relay(s3.port) as line:
        environ = buckets.of_s3(f"http://127.0.0.1:{line.port}")
        with contextlib.closing(Cloud(url, environ=environ)) as store:
            store.put(source)
            assert 321 < line.passed < PART + 100_000  # of three whole parts at least two were there
            assert b"".join(store.get(source.pointer)) == content(LARGE)
            assert _uploads(store) == []


@pytest.mark.usefixtures("small_parts")
def test_a_part_that_somebody_else_sent_wrong_is_sent_again(s3: buckets.Server, tmp_path: Path) -> None:
    source = source_of(content(LARGE), tmp_path)
    with contextlib.closing(Cloud(f"{URL}/{uuid.uuid4().hex}", environ=s3.environ)) as store:
        sender = store._sender()
        assert sender
        name = store._key(source.pointer.sha256)
        upload = sender._create(name)
        for number in (1, 2, 9):
            wrong = {"partNumber": str(number), "uploadId": upload.id}
            sender._ask("PUT", name, wrong, [content(PART, seed=number)])
        carrying._patiently(lambda: store.put(source))  # rclone replaces no part: there it takes a second upload
        assert b"".join(store.get(source.pointer)) == content(LARGE)


@pytest.mark.usefixtures("small_parts")
def test_a_large_payload_that_is_damaged_leaves_no_part(s3: buckets.Server, tmp_path: Path) -> None:
    data = content(LARGE)
    source = source_of(data, tmp_path, lie=data[:-1] + bytes([data[-1] ^ 1]))
    with contextlib.closing(Cloud(f"{URL}/{uuid.uuid4().hex}", environ=s3.environ)) as store:
        with pytest.raises(DataRefused):
            store.put(source)
        assert store.exists([source.pointer], sending=True) == set()
        assert _uploads(store) == []


@pytest.mark.usefixtures("small_parts")
def test_a_line_that_breaks_after_every_few_parts_is_no_matter(moto: buckets.Server, tmp_path: Path) -> None:
    # `rclone serve s3` waits ten seconds for the rest of a part before it takes it again.
    source = source_of(content(LARGE), tmp_path)
    with relay(moto.port) as line:
        line.limit, line.breaks = PART + MIB, True
        environ = buckets.of_s3(f"http://127.0.0.1:{line.port}")
        with contextlib.closing(Cloud(f"{URL}/{uuid.uuid4().hex}", environ=environ)) as store:
            store._room = Room(PART)  # one part after the other, on one connection
            store.put(source)
            assert store.exists([source.pointer], sending=True) == {source.pointer}


@pytest.mark.usefixtures("small_parts")
def test_two_who_send_the_same_large_payload_at_once_both_succeed(s3: buckets.Server, tmp_path: Path) -> None:
    source = source_of(content(LARGE), tmp_path)
    url = f"{URL}/{uuid.uuid4().hex}"
    with contextlib.ExitStack() as ending:
        both = [ending.enter_context(contextlib.closing(Cloud(url, environ=s3.environ))) for _ in range(2)]

        def send(store: Cloud) -> None:
            carrying._patiently(lambda: store.put(Source(source.pointer, source.path)))

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(send, both))
        assert b"".join(both[0].get(source.pointer)) == content(LARGE)


@pytest.mark.usefixtures("small_parts")
def test_where_only_obstore_can_send_a_large_payload_goes_in_parts_too(
    s3: buckets.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REQUEST_PAYER", "requester")
    environ = dict(s3.environ) | {"AWS_REQUEST_PAYER": "requester"}
    url = f"{URL}/{uuid.uuid4().hex}"
    data = content(LARGE)
    store = Cloud(url, environ=environ)
    assert store._sender() is None
    with pytest.raises(DataRefused):
        store.put(source_of(data, tmp_path, lie=data[:-1]))
    assert store.exists([pointer_to(data)], sending=True) == set()
    store.put(source_of(data, tmp_path))
    assert b"".join(store.get(pointer_to(data))) == data
    with contextlib.closing(Cloud(url, environ=s3.environ)) as other:
        assert _uploads(other) == []


def test_parts_grow_with_a_payload_and_never_are_more_than_ten_thousand() -> None:
    for size in (9 * MIB, 10 << 30, 78 << 30, 79 << 30, 5 << 40):
        part = cloud.part_size(size)
        assert part % CHUNK == 0
        assert -(-size // part) <= 10_000
    assert cloud.part_size(10 << 30) == 8 * MIB


_SEND = """
import os, sys
from pathlib import Path
from gittrack.codec.pointer import Pointer
from gittrack.transports.cloud.store import Cloud
from gittrack.transports.protocol import Source
def peak():  # ru_maxrss begins with what the process held that started this one
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
store = Cloud(sys.argv[1], environ=os.environ)
store.exists([Pointer("0" * 64, 1)], sending=True)
idle = peak()
pointer = Pointer(sys.argv[3], os.path.getsize(sys.argv[2]))
store.put(Source(pointer, Path(sys.argv[2])))
print(sum(len(chunk) for chunk in store.get(pointer)), peak() - idle)
"""


@pytest.mark.faults
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
@pytest.mark.parametrize("only_obstore", [False, True])
def test_a_gibibyte_takes_less_than_100_mb_of_memory(
    rclone: buckets.Server, tmp_path: Path, only_obstore: bool
) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(1 << 30)
    zeros = "49bc20df15e412a64472421e13fe86ff1c5165e18b2afccf160d4dc19fe68a14"  # SHA-256 of 1 GiB of them
    env = dict(os.environ) | dict(rclone.environ) | ({"AWS_REQUEST_PAYER": "requester"} if only_obstore else {})
    argv = [sys.executable, "-c", _SEND, f"{URL}/{uuid.uuid4().hex}", str(path), zeros]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    came, kilobytes = map(int, done.stdout.split())
    assert came == 1 << 30
    assert kilobytes < 100_000
