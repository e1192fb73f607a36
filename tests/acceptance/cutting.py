"""A wire to a PostgreSQL server that is cut when a word passes on it, before or after the server got it."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Wire:
    """Passes bytes on; once cut, nobody gets through until it is mended."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.word = b""
        self._answered = False
        self.down = False
        self.cuts = 0

    def cut_at(self, word: str, *, answered: bool) -> None:
        """Cut when a client sends this, or, with `answered`, when the server has done it and says so."""
        self.word, self._answered, self.cuts = word.lower().encode(), answered, 0

    def mend(self) -> None:
        self.word, self.down = b"", False

    def _cut(self) -> None:
        with self._lock:
            self.down, self.word = True, b""
            self.cuts += 1
            open_, self._open = self._open, set()
        for each in open_:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def serve(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            if self.down:
                client.close()
                continue
            threading.Thread(target=self._pass, args=(client,), daemon=True).start()

    def _pass(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._to)) as server:
            with self._lock:
                self._open |= {client, server}
            waits = threading.Event()
            back = threading.Thread(target=self._back, args=(server, client, waits), daemon=True)
            back.start()
            with suppress(OSError):
                while some := client.recv(65536):
                    if self.word and self.word in some.lower():
                        if not self._answered:
                            self._cut()
                            break
                        waits.set()
                    server.sendall(some)
            with suppress(OSError):
                server.shutdown(socket.SHUT_WR)
            back.join()
            with self._lock:
                self._open -= {client, server}

    def _back(self, server: socket.socket, client: socket.socket, waits: threading.Event) -> None:
        with suppress(OSError):
            while some := server.recv(65536):
                if waits.is_set():
                    self._cut()  # what was asked is done, and nobody hears of it
                    return
                client.sendall(some)
        with suppress(OSError):
            client.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._cut()
        self._listening.close()


@contextmanager
def wire_to(port: int) -> Iterator[Wire]:
    """A wire to a server of this machine."""
    made = Wire(port)
    thread = threading.Thread(target=made.serve, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.close()
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", made.port), timeout=1).close()
        thread.join(5)
