"""Environments for other people's code, made once and kept until what they hold changes."""

import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

_INSTALL_S = 900


class Absent(Exception):
    """What a run needs can't be had here: an index, npm, Node. The message says which."""


@dataclass(frozen=True)
class Workshop:
    """The folder that all environments are in; it keeps itself out of git."""

    root: Path

    def python(self, name: str, requirements: Sequence[str]) -> Path:
        """The interpreter of an environment that holds the requirements; Absent if they can't be installed."""

        def make(place: Path) -> None:
            _run([sys.executable, "-m", "venv", str(place)])
            _run([str(_python_of(place)), "-m", "pip", "install", "--quiet", *requirements])

        return _python_of(self._made(f"python-{name}", [platform.python_version(), *requirements], make))

    def node(self, name: str, packages: Sequence[str], *, least: int) -> tuple[str, Path]:
        """A Node of that major version or newer and the folder with the packages' node_modules.

        Where the Node on PATH is older, npm brings one. Absent without npm, or if it can't install.
        """
        found, npm = shutil.which("node"), shutil.which("npm")
        if found is None or npm is None:
            raise Absent("node and npm are not both on PATH; install Node 20 or newer")
        fits = _major(found) >= least
        wanted = [*packages, *([] if fits else [f"node@{least}"])]

        def make(place: Path) -> None:
            place.mkdir(parents=True)
            (place / "package.json").write_text('{"private": true}', encoding="utf-8")
            _run([npm, "install", "--no-audit", "--no-fund", "--no-save", "--prefix", str(place), *wanted])

        place = self._made(f"node-{name}", wanted, make)
        return (found if fits else str(place / "node_modules" / ".bin" / "node")), place

    def sdist(self, name: str, version: str, *, python: Path) -> Path:
        """The unpacked source distribution; Absent if pip can't fetch it."""

        def make(place: Path) -> None:
            fetch = [str(python), "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", name]
            _run([*fetch, "--dest", str(place), f"{name}=={version}"])
            for archive in place.glob("*.tar.gz"):
                with tarfile.open(archive) as packed:
                    packed.extractall(place, filter="data")

        return self._made(f"sdist-{name}", [version], make) / f"{name}-{version}"

    def _made(self, name: str, holds: Sequence[str], make: Callable[[Path], None]) -> Path:
        """The folder of that name; made anew unless it was made, to its end, to hold the same."""
        place = self.root / name.replace(" ", "-").lower()
        stamp, wanted = place / ".made", json.dumps(holds)
        if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
            print(f"installing {name} …", file=sys.stderr)
            self._own_folder()
            shutil.rmtree(place, ignore_errors=True)
            make(place)
            stamp.write_text(wanted, encoding="utf-8")
        return place

    def _own_folder(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        (self.root / ".gitignore").write_text("*\n", encoding="utf-8")


def _python_of(place: Path) -> Path:
    return place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _major(node: str) -> int:
    return int(_run([node, "--version"]).strip().removeprefix("v").partition(".")[0])


def _run(command: Sequence[str]) -> str:
    env = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    shown = " ".join([Path(command[0]).name, *command[1:]])
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=_INSTALL_S, check=False)
    except subprocess.TimeoutExpired as exc:
        raise Absent(f"`{shown}` did not end within {_INSTALL_S} s") from exc
    if done.returncode:
        raise Absent(f"`{shown}` failed: {_reason(done.stderr)}")
    return done.stdout


def _reason(stderr: str) -> str:
    lines = [line for line in stderr.splitlines() if line.strip()] or ["it does not say why"]
    said = [line for line in lines if "error" in line.lower()]
    return (said or lines[-1:])[0].strip()
