"""A line to a server that goes bad when a test wants it to: it hangs, breaks, or is slow.

Below the protocol, so that one relay stands for what happens to SSH, git:// and HTTPS alike.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Relay:
    """A listener that passes everything on to `target`, until it has passed `limit` bytes in one of the directions.

    Then it `breaks` the connection, or `resets` it, which throws away what is under way, or else hangs. With a limit of
    -1 nothing is passed, not even a greeting. `per_second` bytes go through at most."""

    target: int
    limit: int | None = None
    breaks: bool = False
    resets: bool = False
    per_second: int | None = None
    port: int = 0
    passed: int = 0
    stuck: threading.Event = field(default_factory=threading.Event)
    _open: list[socket.socket] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def heal(self) -> None:
        """Makes the line good again for connections to come."""
        self.limit, self.breaks, self.resets, self.per_second = None, False, False, None

    def serve(self, listener: socket.socket) -> None:
        while not self._over.is_set():
            try:
                near, _ = listener.accept()
                far = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                return
            self._open += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        passed = 0
        try:
            while not self._over.is_set():
                if self.limit is not None and passed >= self.limit:
                    self._go_bad(source, sink)
                    return
                if not (data := source.recv(self._share(passed))):
                    break
                sink.sendall(data)
                passed += len(data)
                self.passed += len(data)
                if self.per_second:
                    time.sleep(len(data) / self.per_second)
            sink.shutdown(socket.SHUT_WR)
        except OSError:  # one of them is gone, and the other learns of it
            self._hang_up(source, sink)

    def _share(self, passed: int) -> int:
        most = 1 << 16 if self.per_second is None else max(self.per_second // 10, 1)
        return most if self.limit is None else min(most, max(self.limit - passed, 1))

    def _go_bad(self, *both: socket.socket) -> None:
        self.stuck.set()
        if self.resets:
            self._reset(*both)
        elif self.breaks:
            self._hang_up(*both)

    @staticmethod
    def _reset(*both: socket.socket) -> None:
        for each in both:
            with contextlib.suppress(OSError):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                each.shutdown(socket.SHUT_RD)  # so that nobody waits in it, for then it would not be closed
            each.close()

    @staticmethod
    def _hang_up(*both: socket.socket) -> None:
        for each in both:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._over.set()
        for each in self._open:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


@contextmanager
def relay(target: int) -> Iterator[Relay]:
    """Yields a line to a port of this machine."""
    with socket.socket() as listener:
        # What a sender sees is the pace of the line, and not that of a buffer of ours.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        line = Relay(target, port=listener.getsockname()[1])
        thread = threading.Thread(target=line.serve, args=(listener,))
        thread.start()
        try:
            yield line
        finally:
            line.close()
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@contextmanager
def full_queue() -> Iterator[int]:
    """Yields a port that never answers: to connect there is like connecting to a machine that is switched off."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, contextlib.ExitStack() as waiting:
        address = listener.getsockname()
        for _ in range(3):  # nobody accepts, so the queue is full, and Linux drops who comes next
            each = waiting.enter_context(socket.socket())
            each.setblocking(False)
            each.connect_ex(address)
        time.sleep(0.05)
        yield address[1]
