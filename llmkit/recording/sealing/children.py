"""Child processes: the environment that seals them, which this process itself doesn't see.

``os.putenv`` changes what children inherit and not ``os.environ``; an environment that is made for a child gets the
same variables on the way to it. Proxies that nobody is behind stop clients of any language that honour them. A Python
child finds our ``sitecustomize`` by ``PYTHONPATH``: it takes all this out of its own ``os.environ`` and closes a seal,
if it has this very llmkit. Started with -S, -I or -E, or under another interpreter, it has the proxies only.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmkit.recording.addresses import Address, Provider
from llmkit.recording.patches import Patches, Replacement

VARIABLE = "LLMKIT_SEAL"
SPAWNS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn")
"""The audit events of starting a child, raised while there is time to change what it inherits."""

_MARK = "network-sealed-by-llmkit.localhost"
_PROXY = f"http://{_MARK}:9"  # the discard port
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
_NO_PROXY = ("NO_PROXY", "no_proxy")
_NEVER_PROXIED = ("localhost", ".localhost", "127.0.0.1", "::1", "[::1]", _MARK)
_NAMES = (VARIABLE, "PYTHONPATH", *_PROXIES, *_NO_PROXY)
_OURS = str(Path(__file__).parent / "inherited")
_SEPARATOR = "\x1f"
_POPEN_ENV = 10  # where Popen takes its env by position


@dataclass(frozen=True, slots=True, kw_only=True)
class Inheritance:
    """What children must know: hosts they may reach, which local addresses they may not, where to tell of refusals."""

    allowed_hosts: Iterable[str]
    is_allowed: Callable[[Address], bool]
    report: str

    def variables(self, environment: Mapping[str, str]) -> dict[str, str]:
        """Return what seals a child that would have ``environment``."""
        path = [part for part in environment.get("PYTHONPATH", "").split(os.pathsep) if part not in ("", _OURS)]
        return {
            VARIABLE: self._for_python(environment),
            "PYTHONPATH": os.pathsep.join([_OURS, *path]),
            **dict.fromkeys(_PROXIES, _PROXY),
            **dict.fromkeys(_NO_PROXY, ",".join([*_NEVER_PROXIED, *sorted(self.allowed_hosts)])),
        }

    def _for_python(self, environment: Mapping[str, str]) -> str:
        """Return all of this in one value, with what the proxies' variables were; `llmkit_inherited_seal` reads it."""
        provider = Provider.from_environment(environment).addresses
        refused = sorted(address.port for address in provider if address.is_local and not self.is_allowed(address))
        before = (
            f"{name}={environment[name]}" if _MARK not in environment.get(name, _MARK) else name
            for name in (*_PROXIES, *_NO_PROXY)
        )
        hosts = " ".join(sorted(self.allowed_hosts))
        return _SEPARATOR.join([self.report, hosts, " ".join(map(str, refused)), *before])


_inheritance: Inheritance | None = None


def cover(inheritance: Inheritance | None) -> None:
    """Seal children as ``inheritance`` says from now on; None leaves them what they had."""
    global _inheritance
    if inheritance is not None and _inheritance is None:
        _patches.put_in()
    elif inheritance is None:
        _patches.take_out()
    _inheritance = inheritance
    renew()


def renew() -> None:
    """Put the variables where children inherit them, which the process may have changed through ``os.environ``."""
    put = {} if _inheritance is None else _inheritance.variables(os.environ)
    for name in _NAMES:
        value = put.get(name, os.environ.get(name))
        if value is None:
            os.unsetenv(name)
        else:
            os.putenv(name, value)


def covered(env: Any) -> Any:
    """Return the environment ``env``, made for a child, with the variables that seal it; None stays None."""
    if _inheritance is None or not isinstance(env, Mapping):
        return env
    try:
        named = {os.fsdecode(name): value for name, value in env.items()}
        known = {name: os.fsdecode(value) for name, value in named.items()}
    except TypeError:
        return env  # whoever takes it says what is wrong with it
    return named | _inheritance.variables(known)


def _covers(*, at: int) -> Callable[[Any], Any]:
    """Return what makes a function cover its ``env``, by name or as argument number ``at``."""

    def make(real: Any) -> Any:
        @functools.wraps(real)
        def with_cover(*args: Any, **options: Any) -> Any:
            if len(args) > at:
                args = (*args[:at], covered(args[at]), *args[at + 1 :])
            elif "env" in options:
                options["env"] = covered(options["env"])
            return real(*args, **options)

        return with_cover

    return make


def _renews(real: Any) -> Any:
    @functools.wraps(real)
    def with_renewal(*args: Any, **options: Any) -> Any:
        renew()
        return real(*args, **options)

    return with_renewal


def _of_os(module: Any) -> Iterator[Replacement]:
    for name in ("execve", "posix_spawn", "posix_spawnp"):  # os.exec*e and os.spawn*e end in execve
        yield module, name, _covers(at=2)


def _of_subprocess(module: Any) -> Iterator[Replacement]:
    yield module.Popen, "__init__", _covers(at=1 + _POPEN_ENV)


def _of_multiprocessing(module: Any) -> Iterator[Replacement]:
    yield module, "spawnv_passfds", _renews  # raises no audit event


def _of_uvloop(module: Any) -> Iterator[Replacement]:
    for name in ("subprocess_exec", "subprocess_shell"):
        yield module.Loop, name, lambda real: _renews(_covers(at=1_000)(real))  # env by name only; no audit event


_patches = Patches(
    {"os": _of_os, "subprocess": _of_subprocess, "multiprocessing.util": _of_multiprocessing, "uvloop": _of_uvloop}
)
