"""Learning, while tests are collected, what each of them asks for and which cassettes the run has to do with."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from pathlib import Path

import pytest

from llmkit._pytest import cassette_paths
from llmkit._pytest.inventory import Inventory
from llmkit._pytest.settings import Settings, Wishes

_WISHES = pytest.StashKey[Wishes]()
_BAD_MARKER = pytest.StashKey[str]()
_LEAVES_OUT = ("collectonly", "ignore", "ignore_glob", "lf")
_COLLECTS_IN_PART = ("collectonly", "lf")


def wishes_of(item: pytest.Item, settings: Settings) -> Wishes:
    """Return what ``item`` asks for, which is read once."""
    wishes = item.stash.get(_WISHES, None)
    if wishes is None:
        wishes = item.stash[_WISHES] = settings.of_node(item)
    return wishes


class Collection:
    """The hooks of collection; what they learn goes into ``inventory``."""

    def __init__(self, settings: Settings, inventory: Inventory) -> None:
        self._settings = settings
        self.inventory = inventory
        self._collected: set[str] = set()
        self._not_collected: set[str] = set()

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Learn where the configuration lets tests be."""
        config = session.config
        is_here = config.invocation_params.dir == config.rootpath
        source = config.args_source
        self.inventory.is_by_command = source is source.ARGS or (source is source.INVOCATION_DIR and not is_here)
        self.inventory.test_files = tuple(config.getini("python_files"))
        self.inventory.not_entered = tuple(config.getini("norecursedirs"))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, session: pytest.Session, items: list[pytest.Item]
    ) -> Generator[None, None, None]:
        """Learn which tests there are, also those that others leave out, with the markers that others give them."""
        found = list(items)
        result = yield
        for item in found:
            self._list(item)
        self._note_choice(session.config)
        return result

    def _list(self, item: pytest.Item) -> None:
        wishes = item.stash[_WISHES] = self._wishes_of(item)
        path = str(self._settings.cassette_of(item, wishes))
        self.inventory.tests[path].append(item.nodeid)
        self._collected.add(str(item.path))
        if wishes.name:
            self.inventory.shared.add(path)
            self.inventory.naming.add(item.nodeid)
        if "unplayed" in wishes.allow:
            self.inventory.spared.add(path)
        self._spare_fixtures(item)
        if "collisions" in wishes.allow:
            self.inventory.alike.add(item.nodeid)

    def _spare_fixtures(self, item: pytest.Item) -> None:
        """Let recordings be unplayed of the fixtures of a class or module that says so."""
        for scope, kind in (("class", pytest.Class), ("module", pytest.Module)):
            node = item.getparent(kind)
            if node is not None and item.stash.get(_BAD_MARKER, None) is None:
                path = cassette_paths.of_scope(self._settings.cassettes, self._settings.root, scope, node)
                if "unplayed" in self._settings.of_node(node).allow:
                    self.inventory.spared.add(str(path))

    def _wishes_of(self, item: pytest.Item) -> Wishes:
        try:
            return self._settings.of_node(item)
        except pytest.UsageError as error:
            if not hasattr(item.config, "workerinput"):
                raise
            item.stash[_BAD_MARKER] = str(error)  # of what a worker raises while it collects, xdist shows nothing
            if not item.config.pluginmanager.has_plugin("llmkit-bad-markers"):
                item.config.pluginmanager.register(_BadMarkers(), "llmkit-bad-markers")
            return self._settings.wishes

    def _note_choice(self, config: pytest.Config) -> None:
        """Note which places were to be looked at, and which files there were collected whole."""
        here = config.invocation_params.dir
        chosen = {os.path.abspath(here / arg) for arg in config.args if "::" not in arg}  # noqa: PTH100 - without ".."
        self.inventory.chosen |= chosen
        self.inventory.is_partial |= any("::" in arg for arg in config.args)
        self.inventory.is_partial |= any(config.getoption(name, None) for name in _LEAVES_OUT)
        if not any(config.getoption(name, None) for name in _COLLECTS_IN_PART):
            seen = self._collected - self._not_collected
            self.inventory.modules |= {one for one in seen if any(Path(one).is_relative_to(place) for place in chosen)}

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Note that tests were left out."""
        self.inventory.is_partial |= bool(items)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note which files were collected, also those that have no test left, and which could not be."""
        file, _, inside = report.nodeid.partition("::")
        path = self._settings.root / file
        if report.failed or report.skipped:
            self.inventory.is_partial = True
            self._not_collected.add(str(path))
        elif not inside and path.is_file():
            self._collected.add(str(path))


class _BadMarkers:
    """Fails tests whose markers can't be read, before their fixtures ask anything."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Called inside of the wrappers, which can then end what they have begun."""
        if message := item.stash.get(_BAD_MARKER, ""):
            pytest.fail(message, pytrace=False)
