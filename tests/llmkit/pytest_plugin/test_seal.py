"""Nothing leaves the machine while nothing is recorded, and what stays on it is left alone."""

from __future__ import annotations

import os
import socket

import pytest

from mockserver import MockServer
from tests.llmkit.pytest_plugin.conftest import Project

pytest_plugins = ["pytester"]


def test_the_network_is_sealed_while_tests_are_collected(project: Project) -> None:
    project.write(test_it="import socket\nsocket.create_connection(('192.0.2.1', 80), 1)\ndef test_one(): pass\n")
    result = project.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*NetworkSealed: the network is sealed: traffic to 192.0.2.1 port 80 was refused*"])


def test_the_network_is_sealed_before_the_first_conftest(project: Project) -> None:
    project.write(conftest="import socket\nsocket.gethostbyname('example.com')\n", test_it="def test_one(): pass\n")
    result = project.run_anew()
    assert result.ret != 0
    assert "NetworkSealed" in str(result.stdout) + str(result.stderr)


def test_a_provider_on_loopback_is_sealed_while_tests_are_collected(project: Project, server: MockServer) -> None:
    project.write(test_it="from app import ask\nask()\ndef test_one(): pass\n")
    project.use(server)
    for options in ([], ["--record"]):
        project.run(*options).assert_outcomes(errors=1)
    assert len(server.journal) == 0


def test_traffic_that_is_no_http_request_fails_the_test(project: Project) -> None:
    project.write(
        test_it="""
        import socket
        def test_udp():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
                udp.sendto(b"x", ("192.0.2.1", 9))
        def test_connect_ex():
            with socket.socket() as tcp:
                tcp.connect_ex(("192.0.2.1", 9))
        """
    )
    result = project.run()
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*NetworkSealed: *192.0.2.1 port 9*"])


def test_an_allowed_host_can_be_reached(project: Project) -> None:
    project.write(
        test_it="""
        import socket
        def test_udp():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
                udp.connect(("192.0.2.1", 9))
        """
    )
    project.run("-o", "llmkit_allowed_hosts=192.0.2.1").assert_outcomes(passed=1)


def test_an_allowed_host_can_be_asked_over_http_unrecorded(project: Project, server: MockServer) -> None:
    project.write(
        test_it=f"""
        import httpx
        def test_one(): assert httpx.get("http://127.0.0.1:{server.port}/__admin/health").status_code == 200
        """
    )
    project.use(server)
    project.run("-o", "llmkit_allowed_hosts=localhost").assert_outcomes(passed=1)


def test_a_server_that_the_test_started_is_reached_also_by_its_variable(project: Project) -> None:
    project.write(
        test_it="""
        from app import ask
        from mockserver import fault, reply
        def test_survives(mockserver, monkeypatch):
            monkeypatch.setenv("OPENAI_BASE_URL", mockserver.openai_url)
            mockserver.script(reply("Hello"))
            assert ask() == "Hello"
            assert len(mockserver.journal) == 1
        """
    )
    project.run().assert_outcomes(passed=1)
    assert project.cassettes() == []


def test_other_servers_of_this_machine_are_left_alone(project: Project) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        project.write(
            test_it=f"import socket\ndef test_one(): socket.create_connection(('127.0.0.1', {port})).close()\n"
        )
        project.run().assert_outcomes(passed=1)


def test_the_environment_and_the_network_are_as_before_after_a_run_in_process(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile("import os\ndef test_one(): assert os.environ['OPENAI_API_KEY'] == 'dummy-key-for-replay'\n")
    plugins = ("-p", "no:cacheprovider", "-p", "llmkit.pytest_plugin")
    pytester.runpytest_inprocess(*plugins).assert_outcomes(passed=1)
    assert "OPENAI_API_KEY" not in os.environ
