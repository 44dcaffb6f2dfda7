"""The `mockserver` fixture. Nothing but pytest is imported until a test asks for it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from mockserver.server import MockServer


@pytest.fixture
def mockserver(request: pytest.FixtureRequest) -> "Iterator[MockServer]":
    """A mock server of the test's own, on a free port; set it up with `mockserver.script(…)`.

    Steps that the test leaves over do not fail it: they show in `mockserver.script_left`.
    """
    try:
        from mockserver import MockServer
    except ModuleNotFoundError as exc:
        pytest.fail(str(exc), pytrace=False)
    with MockServer() as server:
        _let_through(request, server)
        yield server


def _let_through(request: pytest.FixtureRequest, server: "MockServer") -> None:
    """Where a recorder watches the network, traffic to this server is none of its business."""
    try:
        allowance = request.getfixturevalue("network_allowance")
    except pytest.FixtureLookupError:
        return
    allowance.allow(server.host, server.port)
