"""How processes of one server speak: questions and answers over a Unix socket that only they can open."""

import threading
from collections.abc import Callable, Mapping
from multiprocessing.connection import Client, Connection, Listener
from typing import Any

Office = Mapping[str, object]


class Line:
    """A connection on which one side asks and the other answers; threads take turns."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    @classmethod
    def to(cls, address: str, key: bytes) -> "Line":
        """A line to whoever answers at `address`."""
        return cls(Client(address, family="AF_UNIX", authkey=key))

    def ask(self, subject: str, method: str, /, *args: Any, **kwargs: Any) -> Any:
        """What the other side's object `subject` returns; what it raises is raised here."""
        with self._lock:
            self._connection.send((subject, method, args, kwargs))
            failed, value = self._connection.recv()
        if failed:
            raise value
        return value

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


class Remote:
    """An object of the other side: each of its methods asks over the line."""

    def __init__(self, line: Line, subject: str) -> None:
        self._line, self._subject = line, subject

    def __getattr__(self, method: str) -> Callable[..., Any]:
        if method.startswith("_"):
            raise AttributeError(method)
        return lambda *args, **kwargs: self._line.ask(self._subject, method, *args, **kwargs)


def answer(connection: Connection, office: Office) -> None:
    """Answer questions about the objects of `office` until the other side hangs up."""
    while True:
        try:
            subject, method, args, kwargs = connection.recv()
        except (EOFError, OSError):
            return
        try:
            connection.send(_answered(office, subject, method, args, kwargs))
        except OSError:
            return


def _answered(office: Office, subject: str, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if method.startswith("_"):
        return True, AttributeError(f"{subject} answers no {method}")
    try:
        return False, getattr(office[subject], method)(*args, **kwargs)
    except Exception as exc:  # noqa: BLE001 - raised again by whoever asked
        return True, exc


def in_background(
    connection: Connection, office: Office, *, name: str, hung_up: Callable[[], None] = lambda: None
) -> None:
    """Answer in a thread of its own; `hung_up` is called when the other side has gone."""

    def run() -> None:
        answer(connection, office)
        hung_up()

    threading.Thread(target=run, name=name, daemon=True).start()


__all__ = ["Line", "Listener", "Office", "Remote", "answer", "in_background"]
