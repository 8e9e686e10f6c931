"""Buckets as stores: S3 as rclone and moto speak it, Azure as azurite does."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import obstore
import pytest

from gittrack.transports.cloud import Cloud
from gittrack.transports.protocol import Transport
from tests.servers import buckets
from tests.transports import suite


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

    def opened(self, url: str, server: buckets.Server) -> Iterator[Transport]:
        self.cloud = Cloud(f"{url}/{uuid.uuid4().hex}/with a space", environ=server.environ)
        yield self.cloud
        self.cloud.close()

    def plant(self, path: str, data: bytes) -> None:
        obstore.put(self.cloud._opened.writes, self.cloud._place.prefix + path, data)


class TestRclone(_Bucket):
    secret = buckets.SECRET

    @pytest.fixture
    def transport(self, rclone: buckets.Server) -> Iterator[Transport]:
        yield from self.opened(f"s3://{buckets.BUCKET}", rclone)


class TestMoto(_Bucket):
    secret = buckets.SECRET

    @pytest.fixture
    def transport(self, moto: buckets.Server) -> Iterator[Transport]:
        yield from self.opened(f"s3://{buckets.BUCKET}", moto)


class TestAzurite(_Bucket):
    secret = buckets.ACCOUNT_KEY

    @pytest.fixture
    def transport(self, azurite: buckets.Server) -> Iterator[Transport]:
        yield from self.opened(f"az://{buckets.BUCKET}", azurite)
