"""The page at `/__admin/ui`, in headless Chromium, with real traffic. One browser and one server for all."""

import json
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait

from mockserver import MockServer, fault, reply
from tests.mockserver.asking import CHAT, chat

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
)
KEY = {"authorization": "Bearer sk-test-0123456789abcdef"}
VIEWS = ("journal", "script", "limits", "verdict", "plots")

pytestmark = [
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver: scripts/install_browser.sh"),
    pytest.mark.xdist_group("browser"),
]


class Page:
    """The page in a browser, and what a test does with it."""

    def __init__(self, browser: webdriver.Chrome, server: MockServer) -> None:
        self.browser, self.server = browser, server

    def open(self, view: str = "journal") -> None:
        self.browser.get("about:blank")
        self.browser.get(f"{self.server.url}/__admin/ui#{view}")
        self.until(lambda: "live" in self.text("#pulse"))

    def until(self, holds: Callable[[], Any]) -> Any:
        return WebDriverWait(self.browser, 10, poll_frequency=0.05).until(lambda _: holds())

    def run(self, script: str, *arguments: Any) -> Any:
        return self.browser.execute_script(script, *arguments)

    def find(self, selector: str) -> Any:
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def count(self, selector: str) -> int:
        return int(self.run("return document.querySelectorAll(arguments[0]).length", selector))

    def text(self, selector: str) -> str:
        return str(self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector))

    def click(self, selector: str) -> None:
        self.until(lambda: self.count(selector))
        self.find(selector).click()

    def press(self, *keys: str) -> None:
        for key in keys:
            webdriver.ActionChains(self.browser, duration=0).send_keys(key).perform()

    def focused(self) -> str:
        return str(self.run("return document.activeElement.id || document.activeElement.className"))

    def complaints(self) -> list[dict[str, Any]]:
        """What the console says since the last time."""
        said: list[dict[str, Any]] = self.browser.get_log("browser")  # type: ignore[no-untyped-call]
        return said

    def resize(self, width: int, height: int, *, scheme: str = "light") -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)

    def choose(self, number: int) -> None:
        self.click(f"#exchange-{number}")
        self.until(lambda: f"#{number}" in self.text(".facts"))


@pytest.fixture(scope="module")
def server() -> Iterator[MockServer]:
    with MockServer(seed=7) as started:
        yield started


@pytest.fixture(scope="module")
def service() -> Service:
    return Service(DRIVER)


@pytest.fixture(scope="module")
def chromium() -> list[webdriver.Chrome]:
    """The browser, once a test has started it: only within a test may its driver be spoken to."""
    return []


@pytest.fixture(scope="module", autouse=True)
def _closed(chromium: list[webdriver.Chrome], service: Service) -> Iterator[None]:
    yield
    if chromium:
        service.stop()  # the driver takes its browser with it


@pytest.fixture
def page(
    server: MockServer,
    service: Service,
    chromium: list[webdriver.Chrome],
    network_allowance: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Page]:
    network_allowance.allow(server.host, server.port)
    for host in ("127.0.0.1", "localhost", "::1"):
        network_allowance.allow(host, service.port)
    if not chromium:
        chromium.append(_started(service, tmp_path_factory.mktemp("profile")))
    server.reset()
    server.clock.run()
    page = Page(chromium[0], server)
    page.resize(1280, 860)
    page.complaints()
    yield page
    severe = [each for each in page.complaints() if each["level"] == "SEVERE"]
    assert [each for each in severe if "status of 400" not in each["message"]] == []
    asked = page.run("return performance.getEntriesByType('resource').map(each => each.name)")
    assert [url for url in asked if not url.startswith(f"{server.url}/__admin/")] == []


def _started(service: Service, profile: Path) -> webdriver.Chrome:
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options, service)


@pytest.fixture
def http(server: MockServer, network_allowance: Any) -> Iterator[httpx.Client]:
    network_allowance.allow(server.host, server.port)
    with httpx.Client(base_url=server.url, headers=KEY, timeout=20) as client:
        yield client


def say(http: httpx.Client, words: str, **parameters: Any) -> httpx.Response:
    return http.post(CHAT, json=chat(messages=[{"role": "user", "content": words}], **parameters))


def latest(server: MockServer) -> int:
    return server.journal[-1].number


def test_an_empty_page_tells_what_to_do_first(page: Page) -> None:
    page.open()
    assert f"OPENAI_BASE_URL={page.server.url}/v1" in page.text(".detail")


def test_the_journal_fills_while_one_looks(page: Page, http: httpx.Client) -> None:
    page.open()
    assert "Nothing has been asked" in page.text(".detail")
    say(http, "one")
    page.until(lambda: page.count(".entry") == 1)
    assert "Choose an exchange" in page.text(".detail")
    page.server.script(fault.rate_limited())
    say(http, "two")
    page.until(lambda: "rate_limited" in page.text(".list"))
    http.post("/__admin/reset")
    page.until(lambda: page.count(".entry") == 0)


def test_an_exchange_shows_its_conversation_its_bodies_and_near_misses(page: Page, http: httpx.Client) -> None:
    page.server.script(reply("never").match(model="other"), reply("The answer is 42."))
    say(http, "What is the answer?")
    page.open()
    page.choose(latest(page.server))
    talk = page.text(".talk")
    assert "What is the answer?" in talk
    assert "The answer is 42." in talk
    assert "model is 'gpt-4o', not 'other'" in page.text(".misses")
    assert '"messages": [' in page.text(".pair > :first-child pre")
    assert '"choices": [' in page.text(".pair > :last-child pre")


def test_a_stream_is_shown_chunk_by_chunk_also_while_it_is_open(page: Page, http: httpx.Client) -> None:
    page.server.script(fault.drip(interval_s=0.2))
    asking = threading.Thread(target=say, args=(http, "slowly"), kwargs={"stream": True})
    asking.start()
    page.open()
    page.until(lambda: page.count(".entry"))
    page.choose(latest(page.server))
    page.until(lambda: page.count(".chunks button") > 3)
    first = page.count(".chunks button")
    page.until(lambda: page.count(".chunks button") > first)
    page.server.clock.stop()
    while asking.is_alive():
        page.server.clock.advance(1)
        asking.join(0.01)
    page.until(lambda: "[DONE]" in page.run("return document.querySelector('.pair > :last-child pre').textContent"))
    page.find(".chunks button[tabindex='0']").send_keys(Keys.ARROW_RIGHT)
    assert "2 of" in page.text(".readout")
    assert "data: {" in page.text(".readout pre")


def test_a_fault_set_by_the_form_acts_on_the_next_request(page: Page, http: httpx.Client) -> None:
    page.open("script")
    page.until(lambda: page.count("#fault-choice option") > 10)
    Select(page.find("#fault-choice")).select_by_visible_text("server_error")
    page.find("#field-status").send_keys("503")
    page.click("#add-step")
    page.until(lambda: "server_error" in page.text(".steps"))
    assert say(http, "x").status_code == 503
    page.until(lambda: "None" in page.text(".steps"))


def test_every_fault_has_a_form_with_its_parameters(page: Page, http: httpx.Client) -> None:
    page.open("script")
    page.until(lambda: page.count("#fault-choice option") > 10)
    for kind in http.get("/__admin/faults").json()["faults"]:
        Select(page.find("#fault-choice")).select_by_visible_text(kind["name"])
        shown = page.run(
            "return [...document.querySelectorAll('form .fields')[0].querySelectorAll('[id]')].map(e => e.id)"
        )
        assert shown == [f"field-{name}" for name in kind["parameters"]]


def test_the_servers_error_stands_beside_the_field(page: Page) -> None:
    page.open("script")
    page.click("#field-retry_after_s")
    page.press("soon", Keys.ENTER)
    page.until(lambda: "retry_after_s is 'soon'" in page.text("form .said"))
    assert page.find("#field-retry_after_s").get_attribute("aria-invalid") == "true"


def test_a_script_is_written_as_json_and_comes_back_from_its_token(page: Page, http: httpx.Client) -> None:
    page.open("script")
    page.run("document.querySelector('#script-editor').value = arguments[0]", '{"steps": [{"fault": "nope"}]}')
    page.click("#install-raw")
    page.until(lambda: "unknown fault 'nope'" in page.text("#panel-script"))
    page.run("document.querySelector('#script-editor').value = arguments[0]", json.dumps([{"reply": "Hello"}]))
    page.click("#install-raw")
    page.until(lambda: '{"reply":"Hello"}' in page.text(".steps"))
    token = page.find("#token").get_attribute("value")
    assert http.get("/__admin/script").json()["token"] == token
    http.delete("/__admin/script")
    page.until(lambda: "None" in page.text(".steps"))
    page.run("document.querySelector('#token').value = arguments[0]", token)
    page.find("#token").find_element(By.XPATH, "../following-sibling::div/button[2]").click()
    page.until(lambda: '{"reply":"Hello"}' in page.text(".steps"))


def test_quotas_are_set_and_their_gauges_move(page: Page, http: httpx.Client) -> None:
    page.open("limits")
    page.click("#rpm")
    page.press("2", Keys.ENTER)
    page.until(lambda: http.get("/__admin/quotas").json()["rpm"] == 2)
    assert [say(http, str(each)).status_code for each in range(3)] == [200, 200, 429]
    page.until(lambda: "0 of 2 requests left" in page.text(".account"))
    page.run("document.querySelector('#rpm').value = 'many'")
    page.click("#set-quotas")
    page.until(lambda: "rpm is 'many'" in page.text("#panel-limits"))


def test_the_clock_is_stopped_and_advanced(page: Page) -> None:
    page.open("limits")
    page.click("#advance-clock")
    page.until(lambda: "cannot be advanced" in page.text("#panel-limits"))
    page.click("#stop-clock")
    page.until(lambda: "stands still" in page.text("#panel-limits"))
    before = page.server.clock.now()
    page.click("#advance-clock")
    page.until(lambda: page.server.clock.now() == before + 60)
    page.click("#run-clock")
    page.until(lambda: "real time" in page.text("#panel-limits .chip"))


def test_verdict_and_ledger_lead_to_the_exchange(page: Page, http: httpx.Client) -> None:
    page.server.script(fault.rate_limited(retry_after_s=60))
    say(http, "x")
    spent = say(http, "x").json()["usage"]["total_tokens"]
    page.open("verdict")
    page.until(lambda: "retry_after_ignored" in page.text(".findings"))
    assert f"{spent} tokens billed" in page.text("#panel-verdict")
    page.click(".finding .link")
    page.until(lambda: page.text(".title .chip") == "429")


def test_plots_draw_a_dot_for_each_answer_and_a_bar_for_each_model(page: Page, http: httpx.Client) -> None:
    say(http, "one")
    say(http, "two", model="gpt-4o-mini")
    page.open("plots")
    page.until(lambda: page.count("circle") == 2)
    assert page.count("rect.first") == 2


def test_what_a_prompt_says_is_never_markup(page: Page, http: httpx.Client) -> None:
    evil = "<script>window.evil = 1</script><img src=x onerror='window.evil = 1'>"
    page.server.script(reply(evil))
    say(http, evil, model=evil)
    page.server.script(reply(evil).match(model=evil))
    say(http, evil)
    page.open()
    page.choose(latest(page.server))
    assert page.text(".talk").count(evil) == 2
    for number in range(1, 6):
        page.press(str(number))
    assert page.run("return window.evil === undefined && !document.querySelector('main script, main img')")
    policy = http.get("/__admin/ui").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_everything_is_reached_by_keyboard(page: Page, http: httpx.Client) -> None:
    for each in range(3):
        say(http, str(each))
    first, *_, last = [each.number for each in page.server.journal]
    page.open()
    page.until(lambda: page.count(".entry") == 3)
    page.press("?")
    assert page.run("return document.querySelector('#help').open")
    page.press(Keys.ESCAPE)
    for number, view in enumerate(VIEWS, start=1):
        page.press(str(number))
        assert page.focused() == f"tab-{view}"
        assert page.run("return !document.querySelector(arguments[0]).hidden", f"#panel-{view}")
    page.press(Keys.ARROW_RIGHT)
    assert page.focused() == "tab-journal"
    page.press("/")
    assert page.run("return document.activeElement.type") == "search"
    page.press(Keys.ESCAPE)
    assert page.focused() == "journal-list"
    page.press(Keys.HOME)
    page.until(lambda: f"#{first}" in page.text(".facts"))
    page.press("j", "j")
    page.until(lambda: f"#{last}" in page.text(".facts"))
    page.press(Keys.ENTER)
    assert "detail" in page.focused()
    outline = page.run(
        "document.querySelector('#tab-plots').focus(); return getComputedStyle(document.activeElement).outline"
    )
    assert "solid 2px" in outline


def test_a_narrow_window_never_scrolls_sideways(page: Page, http: httpx.Client) -> None:
    page.server.script(fault.rate_limited(), reply("x" * 3000))
    for each in range(3):
        say(http, "unbroken" * 300 + str(each), stream=each == 2)
    page.resize(360, 740)
    page.open()
    page.choose(latest(page.server))
    widths = []
    for number in range(1, 6):
        page.press(str(number))
        page.until(lambda: page.text("main"))
        widths.append(
            page.run("const { scrollWidth, clientWidth } = document.documentElement; return scrollWidth - clientWidth")
        )
    assert widths == [0] * 5


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_what_is_behind_it(page: Page, http: httpx.Client, scheme: str) -> None:
    page.server.script(fault.rate_limited(), fault.server_error(), reply("x").match(model="none"))
    for each in range(4):
        say(http, str(each), stream=each == 3)
    page.resize(1280, 860, scheme=scheme)
    page.open()
    page.choose(latest(page.server))
    page.run("for (const panel of document.querySelectorAll('[role=tabpanel]')) panel.hidden = false")
    page.run(
        "for (const name of ['script', 'limits', 'verdict', 'plots']) document.querySelector(`#tab-${name}`).click()"
    )
    page.until(lambda: page.count("circle"))
    page.run("for (const panel of document.querySelectorAll('[role=tabpanel]')) panel.hidden = false")
    colours = page.run(COLOURS)
    assert len(colours) > 50
    assert {text: worst for text, front, back in colours if (worst := contrast(front, back)) < 4.5} == {}


COLOURS = """
const found = [];
for (const node of document.querySelectorAll("body *")) {
  const said = [...node.childNodes].some(each => each.nodeType === 3 && each.textContent.trim());
  if (!said || !node.getClientRects().length) continue;
  let behind = node;
  while (behind && ["rgba(0, 0, 0, 0)", "transparent"].includes(getComputedStyle(behind).backgroundColor))
    behind = behind.parentElement;
  const style = getComputedStyle(node);
  const front = node instanceof SVGElement ? style.fill : style.color;
  found.push([node.textContent.slice(0, 40), front, getComputedStyle(behind ?? document.body).backgroundColor]);
}
return found;
"""


def contrast(front: str, back: str) -> float:
    """https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio."""
    light, dark = sorted((luminance(front), luminance(back)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    channels = [int(each) / 255 for each in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_five_thousand_exchanges_are_a_few_rows(page: Page) -> None:
    journal = page.server._state.journal  # 5,000 requests would take longer than all other tests
    for each in range(5000):
        number = journal.open(started_at=1.0, method="POST", path=f"/v1/many/{each}")
        journal.update(number, status=200, model="gpt-4o")
        journal.ended(number, 1.5)
    page.open()
    page.until(lambda: "5,000" in page.text("#pulse") and page.count(".entry"))
    assert page.count(".entry") < 60
    longest = """
      const done = arguments[0], list = document.querySelector("#journal-list");
      let last = performance.now(), longest = 0, turns = 0;
      const turn = (now) => {
        longest = Math.max(longest, now - last); last = now; turns += 1;
        list.scrollTop = turns * 9000;
        if (turns < 30) requestAnimationFrame(turn); else done(longest);
      };
      requestAnimationFrame(turn);"""
    assert page.browser.execute_async_script(longest) < 1000
    page.find("input[type=search]").send_keys("many/4321")
    page.until(lambda: page.count(".entry") == 1)
