"""Python's audit events (PEP 578), told to whoever listens.

An audit hook is asked about everything: files, imports, sockets, threads that begin. It can't be taken out again, so
there is one a process; and it is not written in Python, so that what nobody listens to runs no Python code. CPython
3.11 insists on that: it asks about ``sys.settrace`` in each thread that begins under coverage or a debugger, and if a
hook in Python lets another thread go on there, the next one to begin dies of "Cannot install a trace function while
another trace function is being installed".

So the hook is `setattr` on an object, with the event as the name and its arguments as the value. A property passes on
what somebody listens to; another lets go what may hold live objects; the rest, names and numbers, is kept until the
next event that is heard.

Python children of a sealed process load this file by itself, first of all: it imports only what is in Python already.
"""

import sys
from _functools import partial  # type: ignore[import-not-found]  # the half of functools that is written in C
from _operator import is_
from _thread import allocate_lock

TYPE_CHECKING = False  # typing itself would take longer than all of this
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    Listener: TypeAlias = Callable[[tuple[Any, ...]], None]
    """Gets the arguments of an event; what it raises ends what Python was about to do."""

_LIVE = """
    _thread.start_joinable_thread _thread.start_new_thread array.__new__ builtins.id code.__new__ compile
    ctypes.addressof ctypes.call_function ctypes.cdata ctypes.cdata/buffer ctypes.create_string_buffer
    ctypes.create_unicode_buffer ctypes.dlsym ctypes.dlsym/handle ctypes.string_at ctypes.wstring_at exec
    fcntl.fcntl fcntl.ioctl ftplib.connect ftplib.sendcmd function.__new__ gc.get_referents gc.get_referrers
    http.client.connect http.client.send imaplib.open imaplib.send import marshal.dumps marshal.loads mmap.__new__
    object.__delattr__ object.__getattr__ object.__setattr__ os.exec os.posix_spawn os.putenv pathlib.Path.glob
    pathlib.Path.rglob pdb.Pdb pickle.find_class poplib.connect poplib.putline setopencodehook smtplib.connect
    smtplib.send socket.__new__ socket.bind socket.connect socket.sendmsg socket.sendto sqlite3.connect
    sqlite3.connect/handle sqlite3.enable_load_extension sqlite3.load_extension subprocess.Popen sys._getframe
    sys.excepthook sys.monitoring.register_callback sys.remote_exec sys.set_asyncgen_hooks_finalizer
    sys.set_asyncgen_hooks_firstiter sys.setprofile sys.settrace sys.unraisablehook telnetlib.Telnet.open
    telnetlib.Telnet.write urllib.Request
""".split()  # noqa: SIM905 - a line each would be longer than all the rest


class _Switchboard:
    """Each event comes as an attribute that is set."""


# a function of two objects that does nothing and isn't written in Python
_LET_GO = property(None, is_)  # type: ignore[arg-type]  # nobody reads what it returns
for _event in _LIVE:
    setattr(_Switchboard, _event, _LET_GO)

_board = _Switchboard()
_lock = allocate_lock()
_listeners: "dict[str, tuple[Listener, ...]]" = {}
_hooks: "list[Callable[[str, tuple[Any, ...]], None]]" = []


def listen(event: str, listener: "Listener") -> None:
    """Tell the listener of all events of this name, until `leave`."""
    with _lock:
        _put_hook_in()
        _listeners[event] = (*_listeners.get(event, ()), listener)
        setattr(_Switchboard, event, property(None, partial(_tell, event)))


def leave(event: str, listener: "Listener") -> None:
    """Undo one `listen`."""
    with _lock:
        left = list(_listeners[event])
        left.remove(listener)
        _listeners[event] = tuple(left)
        if not left:
            setattr(_Switchboard, event, _LET_GO)


def _tell(event: str, board: _Switchboard, args: "tuple[Any, ...]") -> None:
    vars(board).clear()
    for listener in _listeners[event]:
        listener(args)


def _put_hook_in() -> None:
    if not _hooks:
        hook = partial(setattr, _board)
        hook.__cantrace__ = True  # lets coverage and debuggers see into the listeners
        _hooks.append(hook)
        sys.addaudithook(hook)
