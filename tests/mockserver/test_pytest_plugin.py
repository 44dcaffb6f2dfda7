"""The fixture, in projects of their own."""

import pytest

pytest_plugins = ["pytester"]

TEST = """
import urllib.request

def test_it_is_served(mockserver):
    with urllib.request.urlopen(mockserver.url + "/__admin/health") as response:
        assert response.status == 200

def test_each_test_has_its_own(mockserver):
    assert len(mockserver.journal) == 0
"""


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", *arguments)


def test_a_test_gets_a_server(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TEST)
    run(pytester).assert_outcomes(passed=2)


def test_it_works_without_a_recorder(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TEST)
    run(pytester, "-p", "no:llmkit").assert_outcomes(passed=2)


def test_the_recorder_is_told_to_let_it_through(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        class Allowance:
            def __init__(self):
                self.addresses = []
            def allow(self, host, port):
                self.addresses.append((host, port))

        @pytest.fixture
        def network_allowance():
            return Allowance()

        def test_it(network_allowance, mockserver):
            assert network_allowance.addresses == [(mockserver.host, mockserver.port)]
        """
    )
    run(pytester).assert_outcomes(passed=1)


def test_without_aiohttp_it_says_what_to_install(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("import sys; sys.modules['aiohttp'] = None")
    pytester.makepyfile(TEST)
    result = run(pytester)
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*mockserver.MockServer needs aiohttp: pip install 'llmkit?testing?'*"])


def test_importing_it_in_a_test_file_warns_of_nothing(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("from mockserver import MockServer, fault, reply, script\n" + TEST)
    result = run(pytester, "-W", "error", "-p", "no:asyncio")  # which warns of its own options
    result.assert_outcomes(passed=2)
    assert "warning" not in result.stdout.str().lower()
