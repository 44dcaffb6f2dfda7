"""The seal that a Python process inherits of its parent, with nothing imported before it is needed.

`begin` takes the parent's variables out of ``os.environ`` and leaves them to the children of this process. The seal
itself is loaded by the first look-up, traffic or child, or by the import of what brings sockets of its own. Until then
llmkit is not imported: pytest, which rewrites plugins as it imports them, warns of one that was there before it.
"""

import os
import sys
from _functools import partial  # type: ignore[import-not-found]  # the half of functools that is written in C
from _thread import RLock
from importlib.machinery import SourceFileLoader

TYPE_CHECKING = False  # typing itself would take longer than all of this
if TYPE_CHECKING:
    from typing import Any

    from llmkit.recording.sealing.seal import Seal

_LLMKIT = os.path.abspath(__file__).rsplit(os.sep, 4)[0]  # noqa: PTH100 - pathlib takes longer than all of this
_HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - as above
_MARK = "network-sealed-by-llmkit.localhost"
_LEAVING = (
    "socket.connect",
    "socket.getaddrinfo",
    "socket.gethostbyaddr",
    "socket.gethostbyname",
    "socket.getnameinfo",
    "socket.sendmsg",
    "socket.sendto",
)

_lock = RLock()
_settings: "list[str]" = []
_seal: "Seal | None" = None


def begin() -> None:
    """Hide the seal from this process, and wait for the first thing that it has to judge."""
    settings = os.environ.get("LLMKIT_SEAL", "")
    if not settings or not _has_llmkit():
        return  # another interpreter: it keeps the proxies
    audit = _module("recording", "audit")
    _settings[:] = settings.split("\x1f")
    _hide(_settings[3:])
    for event in _LEAVING:
        audit.listen(event, partial(_wake_by_traffic, event))
    sys.meta_path.insert(0, _Finder)
    if "subprocess" in sys.modules:
        _wake_by_popen(sys.modules["subprocess"])


def load() -> "Seal | None":
    """Return the seal, which is closed when it is first loaded; None while that is going on."""
    global _seal
    with _lock:
        if _seal is None and _settings:
            report, hosts, refused, *_ = _settings
            _settings.clear()  # importing may bring us here again
            from llmkit.recording.sealing.seal import inherit

            _seal = inherit(report=report, allowed_hosts=hosts.split(), refused_ports=map(int, refused.split()))
            if _Finder in sys.meta_path:
                sys.meta_path.remove(_Finder)
    return _seal


def _module(package: str, name: str) -> "Any":
    """Import a module of llmkit's without the packages that it is in."""
    full_name = f"llmkit.{package}.{name}"
    module = type(sys)(full_name)
    SourceFileLoader(full_name, os.path.join(_LLMKIT, package, f"{name}.py")).exec_module(module)  # noqa: PTH118
    sys.modules[full_name] = module
    return module


def _has_llmkit() -> bool:
    """Tell whether this process would import the llmkit that its parent has."""
    found = (finder.find_spec("llmkit", None) for finder in sys.meta_path)
    origin = next((spec.origin for spec in found if spec is not None), None)
    return origin is not None and os.path.realpath(origin) == os.path.realpath(os.path.join(_LLMKIT, "__init__.py"))  # noqa: PTH118


def _hide(proxies: "list[str]") -> None:
    """Give this process the variables that it would have unsealed; its children inherit what it did."""
    before = dict(setting.partition("=")[::2] for setting in proxies if "=" in setting)
    path = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part not in ("", _HERE)]
    if path:
        before["PYTHONPATH"] = os.pathsep.join(path)
    for name in ["LLMKIT_SEAL", "PYTHONPATH", *(setting.partition("=")[0] for setting in proxies)]:
        inherited = os.environ.get(name)
        if inherited is None or not (name in ("LLMKIT_SEAL", "PYTHONPATH") or _MARK in inherited):
            continue  # a program between us and the sealed process set a proxy of its own
        if name in before:
            os.environ[name] = before[name]
        else:
            del os.environ[name]
        os.putenv(name, inherited)


def _wake_by_traffic(event: str, args: "tuple[Any, ...]") -> None:
    if _seal is None and event in _LEAVING and load() is not None:
        from llmkit.recording.sealing.hook import watch

        watch(event, args)


def _wake_by_popen(subprocess: "Any") -> None:
    """Load the seal before the first child; it then covers ``Popen`` itself."""
    real = subprocess.Popen.__init__

    def start(popen: "Any", *args: "Any", **options: "Any") -> None:
        if subprocess.Popen.__init__ is start:
            subprocess.Popen.__init__ = real
            load()
            subprocess.Popen.__init__(popen, *args, **options)
        else:  # a seal of this process's own stands above, and has called us
            load()
            real(popen, *args, **options)

    subprocess.Popen.__init__ = start


class _Finder:
    """Finds nothing by itself, and sees what is imported."""

    @staticmethod
    def find_spec(name: str, path: "Any" = None, target: "Any" = None) -> "Any":
        if name == "uvloop":
            load()
        elif name != "subprocess":
            return None
        found = (finder.find_spec(name, path, target) for finder in list(sys.meta_path) if finder is not _Finder)
        spec = next((spec for spec in found if spec is not None), None)
        if name == "subprocess" and spec is not None and _seal is None:
            _run_then(spec.loader, _wake_by_popen)
        return spec


def _run_then(loader: "Any", act: "Any") -> None:
    run = loader.exec_module

    def exec_module(module: "Any") -> None:
        vars(loader).pop("exec_module", None)
        run(module)
        if _seal is None:
            act(module)

    loader.exec_module = exec_module
