"""An LFS server as a store: a strict one of ours, and dulwich's."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from dulwich.lfs import LFSStore
from dulwich.lfs_server import LFSServer

from gittrack.codec.pointer import Pointer
from gittrack.transports.protocol import Transport, TransportError
from tests.gitcmd import GitRepo
from tests.servers.lfs import lfs_server
from tests.transports import suite
from tests.transports.lfsing import opened


class TestLfs(suite.Conformance):
    secret = "pa55word-of-ada"

    @pytest.fixture
    def transport(self, empty_repo: GitRepo) -> Iterator[Transport]:
        with lfs_server(password=self.secret) as server:
            found = opened(empty_repo, server.url.replace("://", f"://ada:{self.secret}@"))
            yield found
            found.close()


class TestLfsOfDulwich(suite.Conformance):
    def test_the_right_hash_with_a_wrong_size_is_not_there(self, transport: Transport, tmp_path: Path) -> None:
        """This server believes every size that it is asked about, so it shows only when the payload comes."""
        source = suite.source_of(suite.content(1000), tmp_path / "sources")
        transport.put(source)
        for size in (0, 1, 999, 1001):
            with pytest.raises(TransportError) as raised:
                b"".join(transport.get(Pointer(source.pointer.sha256, size)))
            assert raised.value.cause == f"it has 1000 bytes there, and {size} by its pointer"

    @pytest.fixture
    def transport(self, empty_repo: GitRepo, tmp_path: Path) -> Iterator[Transport]:
        server = LFSServer(("127.0.0.1", 0), LFSStore.create(str(tmp_path / "lfs")))
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        found = opened(empty_repo, f"http://127.0.0.1:{server.server_port}")
        try:
            yield found
        finally:
            found.close()
            server.shutdown()
            server.server_close()
            thread.join()
