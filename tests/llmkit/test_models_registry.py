"""Models that the application adds or corrects, and what the data itself has to hold.

Rows 2.I1, 2.I2, 2.T3, H2.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit import ConfigError, models
from llmkit.models import ModelSpec, spec_for
from llmkit.models.facts import FACTS, check, check_limits


@pytest.fixture(autouse=True)
def pristine() -> Iterator[None]:
    yield
    models.reset()


def test_the_models_of_the_task_are_there() -> None:
    """Row 2.I2: gpt-4.1 present; H2: more than one family of endpoints."""
    assert {"gpt-3.5-turbo", "gpt-4", "gpt-4o", "gpt-4.1", "o3", "gpt-5", "gpt-5.6-sol", "gpt-6.2-sol"} <= set(
        models.registry()
    )
    assert {spec.family for spec in models.registry().values()} == {"chat", "reasoning", "completion", "embedding"}


def test_a_model_says_what_it_can_do_takes_and_costs() -> None:
    """Row 2.I1: context window, output limit, encoding, capabilities."""
    spec = spec_for("gpt-5-mini-2025-08-07")
    assert (spec.context_window, spec.max_output, spec.encoding) == (400_000, 128_000, "o200k_base")
    assert {"tools", "vision", "json_schema", "streaming"} <= spec.capabilities
    assert "max_tokens" in spec.refused
    assert spec.efforts == ("minimal", "low", "medium", "high")
    assert spec.retires == date(2026, 12, 11)
    assert spec.price is not None
    assert spec.price.cost(input_tokens=1_000_000, cached_tokens=400_000, output_tokens=100_000) == pytest.approx(
        0.6 * 0.25 + 0.4 * 0.025 + 0.1 * 2
    )


def test_a_long_prompt_costs_more_altogether() -> None:
    price = spec_for("gpt-5.6-sol").price
    assert price is not None
    assert price.cost(input_tokens=272_000) == pytest.approx(0.272 * 4)
    assert price.cost(input_tokens=272_001, output_tokens=1000) == pytest.approx(0.272001 * 8 + 0.001 * 30)


def test_a_registered_model_is_found_in_every_spelling() -> None:
    models.register("house", like="gpt-4o", context_window=32_000, price=[1, 0.5, 2])
    for name in ("house", "House", "house-2026-01-01", "ft:house:acme::1"):
        spec = spec_for(name)
        assert (spec.name, spec.known, spec.context_window, spec.max_output) == ("house", True, 32_000, 16_384)
    assert spec_for("house").source == "the application"
    assert spec_for("house").retires is None  # the day of another model says nothing of this one


def test_a_fine_tuned_model_has_the_limits_of_its_base_and_the_price_that_it_is_given() -> None:
    """It costs more than its base; no price is guessed."""
    name = "ft:gpt-4o-mini-2024-07-18:acme::7p4lURel"
    assert (spec_for(name).max_output, spec_for(name).price, spec_for(name).sources.price) == (16_384, None, None)
    models.register(name, price=[0.3, 0.15, 1.2])
    models.register(name, replace=True, max_output=1_000)
    found = spec_for(name)
    assert found.price is not None
    assert (found.name, found.context_window, found.max_output, found.price.input) == (
        name.lower(),
        128_000,
        1_000,
        0.3,
    )
    assert spec_for("ft:gpt-4o-mini:acme::other").price is None
    assert spec_for("gpt-4o-mini").max_output == 16_384


def test_what_was_looked_up_before_is_forgotten() -> None:
    assert not spec_for("house").known
    models.register("house", like="gpt-4o")
    assert spec_for("house").known


def test_a_model_that_is_like_none_is_guessed_by_its_name() -> None:
    assert models.register("gpt-9-nova", context_window=5).family == "reasoning"
    assert models.register("llama", encoding="cl100k_base").encoding == "cl100k_base"


def test_a_known_model_is_corrected_on_request_only() -> None:
    with pytest.raises(ConfigError, match=r"'gpt-4o' is registered already.*replace=True"):
        models.register("gpt-4o", context_window=64_000)
    before = spec_for("gpt-4o-mini")
    models.register("gpt-4o", context_window=64_000, replace=True)
    assert (spec_for("gpt-4o").context_window, spec_for("gpt-4o").max_output) == (64_000, 16_384)
    assert spec_for("gpt-4o").retires == date(2027, 1, 14)
    assert spec_for("gpt-4o-mini") == before
    models.reset()
    assert spec_for("gpt-4o").context_window == 128_000


@pytest.mark.parametrize(
    ("facts", "complaint"),
    [
        ({"context_window": 0}, "context_window = 0: it has to be a number of tokens above 0"),
        ({"context_window": "8k"}, "'8k'"),
        ({"max_output": True}, "max_output = True"),
        ({"price": [1, 2]}, "three prices"),
        ({"price": [1, -1, 2]}, "three prices"),
        ({"capabilities": ["sight"]}, "vision"),
        ({"family": "chatty"}, "one of chat, reasoning"),
        ({"encoding": "p99k"}, "o200k_base"),
        ({"retires": "2027-01-14"}, "a date"),
        ({"image_tokens": [85]}, "fewest and the most"),
        ({"image_tokens": [85, 70]}, "fewest and the most"),
        ({"image_tokens": [-5, 70]}, "fewest and the most"),
        ({"image_tokens": {1, 2}}, "fewest and the most"),
        ({"price": {1, 2, 3}}, "three prices"),
        ({"efforts": {"low", "high"}}, "in their order"),
        ({"contextwindow": 5}, "did you mean context_window"),
        ({"like": "gpt-4oo"}, "did you mean 'gpt-4o'"),
        ({"context_window": 10, "max_output": 11}, "more than its context_window = 10"),
        ({"efforts": ["low"], "default_effort": "high"}, "none of its efforts: low"),
    ],
)
def test_a_wrong_fact_is_named_with_what_it_has_to_be(facts: dict[str, Any], complaint: str) -> None:
    """Row 2.T3: invalid model configurations."""
    with pytest.raises(ConfigError, match="the application: the model 'mine'") as caught:
        models.register("mine", **facts)
    assert complaint in str(caught.value)
    assert not spec_for("mine").known


def test_a_file_adds_models_and_corrects_them(tmp_path: Path) -> None:
    file = tmp_path / "ours.toml"
    file.write_text(
        '[models.a]\nlike = "gpt-4o"\n[models.b]\nlike = "a"\nmax_output = 5\n[models.gpt-4o]\nmax_output = 9\n'
    )
    models.load(file)
    assert (spec_for("b").max_output, spec_for("b").context_window, spec_for("gpt-4o").max_output) == (5, 128_000, 9)
    assert spec_for("gpt-4o").source == str(file)


@pytest.mark.parametrize(
    "text", ["models = 3\n", "[models]\na = 1\n", "not toml", "[models.a]\n[models.a]\n", "[models.a]\nlike = 'zzz'\n"]
)
def test_a_wrong_file_is_named(text: str, tmp_path: Path) -> None:
    """Duplicates are an error of TOML itself."""
    file = tmp_path / "ours.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"ours\.toml"):
        models.load(file)


def test_the_same_table_again_changes_nothing() -> None:
    table = {"house": {"like": "gpt-4o", "context_window": 32_000}}
    models.register_all(table, origin="here")
    before = spec_for("house")
    models.register_all(table, origin="here")
    assert spec_for("house") is before


def test_an_unknown_model_comes_with_advice() -> None:
    advice = spec_for("my-deployment").advice
    assert advice is not None
    for hint in ('[azure.deployments] "my-deployment"', '[models."my-deployment"]', "models.register", "o200k_base"):
        assert hint in advice
    assert spec_for("gpt-4o").advice is None


def test_a_server_that_makes_up_names_does_not_fill_the_memory() -> None:
    for number in range(5000):
        spec_for(f"made-up-{number}")
    assert len(models.catalogue._loaded().found) <= 4096


def test_long_names_that_somebody_makes_up_are_not_remembered() -> None:
    name = "made-up-" * 1000
    assert not spec_for(name).known
    assert name not in models.catalogue._loaded().found


def test_a_lookup_takes_no_longer_among_thousands_of_models() -> None:
    """Steps of the interpreter, not seconds: a busy machine has no say."""
    models.register_all({f"house-{number}": {"context_window": 5} for number in range(3000)}, origin="here")
    steps = 0

    def count(*_: object) -> None:
        nonlocal steps
        steps += 1

    sys.setprofile(count)
    try:
        spec_for("something-nobody-knows")
    finally:
        sys.setprofile(None)
    assert steps < 300


@pytest.mark.parametrize("name", ["", "  ", " mine", "mine\n", None, 5])
def test_what_is_no_name_is_refused(name: Any) -> None:
    with pytest.raises(ConfigError, match="name"):
        models.register(name, context_window=5)
    with pytest.raises(ConfigError, match="name"):
        models.register_all({name: {"context_window": 5}}, origin="here")


def test_a_fact_whose_name_is_no_text_is_refused() -> None:
    with pytest.raises(ConfigError, match="has 5, which is nothing that is said of a model"):
        models.register_all({"mine": {5: 1}}, origin="here")


def test_the_order_of_a_file_does_not_matter() -> None:
    models.register_all(
        {"c": {"like": "b"}, "b": {"like": "gpt-4o"}, "gpt-4o": {"context_window": 64_000}}, origin="here"
    )
    assert (spec_for("c").context_window, spec_for("c").max_output) == (64_000, 16_384)


def test_models_that_are_like_each_other_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"here: the model '[ab]' is like '[ab]', which is like it"):
        models.register_all({"a": {"like": "b"}, "b": {"like": "a"}}, origin="here")


def test_one_model_in_two_spellings_is_refused() -> None:
    with pytest.raises(ConfigError, match="here: the model 'gpt-4o' stands there twice"):
        models.register_all({"GPT-4o": {"max_output": 5}, "gpt-4o": {"max_output": 6}}, origin="here")


def test_a_model_may_be_like_a_dated_version() -> None:
    assert models.register("mine", like="gpt-4o-2024-08-06").context_window == 128_000


@pytest.mark.parametrize("data", [b"x = " + b"[" * 100_000, b"[models.mine]\nmax_output = " + b"9" * 5000])
def test_a_file_that_breaks_the_reader_is_named(data: bytes, tmp_path: Path) -> None:
    file = tmp_path / "ours.toml"
    file.write_bytes(data)
    with pytest.raises(ConfigError, match=r"ours\.toml"):
        models.load(file)


def test_a_path_that_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        models.load("a\0b")


def test_a_file_that_begins_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    file = tmp_path / "ours.toml"
    file.write_bytes(b"\xef\xbb\xbf[models.mine]\nmax_output = 5\n")
    models.load(file)
    assert spec_for("mine").max_output == 5


def test_threads_that_look_up_while_others_register_see_one_or_the_other() -> None:
    seen: set[bool] = set()
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            seen.add(spec_for("race").known)

    reader = threading.Thread(target=look)
    reader.start()
    models.register("race", like="gpt-4o")
    stop.set()
    reader.join()
    assert seen <= {True, False}
    assert spec_for("race").known


@given(st.text(), st.text())
def test_a_lookup_is_stable_and_prefixes_do_not_bleed(name: str, suffix: str) -> None:
    """A law: the same name gives the same spec, and no suffix turns a model into a known other one."""
    assert spec_for(name) == spec_for(name)
    found = spec_for(f"gpt-4o{suffix}")
    assert not found.known or found.name.startswith("gpt-4o")


def test_every_entry_of_the_data_is_what_an_application_could_register() -> None:
    data = tomllib.loads((resources.files("llmkit") / "models.toml").read_text(encoding="utf-8"))
    about = {"sources"}  # names of sources, which the data alone has
    for table in (data["families"], data["models"]):
        for name, row in table.items():
            facts = {key: value for key, value in row.items() if key not in about}
            for key in ("max_input", "long_prompt", "replacement"):
                if not facts.get(key, True):
                    del facts[key]  # a zero, or "", takes back what was taken over
            check(facts, name)
            assert set(row.get("sources", {}).values()) <= set(data["sources"]), name
    assert {"like", "price", "refused"} <= set(FACTS)


@pytest.mark.parametrize("spec", models.registry().values(), ids=lambda spec: spec.name)
def test_every_model_has_what_it_takes(spec: ModelSpec) -> None:
    check_limits(spec, spec.name)
    assert spec.context_window, "no context window"
    assert spec.max_output or spec.family == "embedding", "no limit of output"
    assert spec.surfaces, "no endpoint"
    assert spec.price is not None, "no price"
    assert spec.price.cached_input <= spec.price.input, "a cached token costs more"
    for about in ("limits", "price", "parameters") if spec.family != "embedding" else ("limits", "price"):
        source = getattr(spec.sources, about)
        assert source is not None, f"no source of {about}"
        assert source.read_on is not None, f"no day on which the source of {about} was read"
    assert (spec.retires is None) == (spec.sources.retires is None), "a retirement without a source"
    assert not (spec.refused & spec.fixed), "a parameter is refused, and fixed"


def test_the_data_is_read_when_it_is_asked_for_and_fast() -> None:
    """At most 10 ms; the first of several tries that is fast enough will do, for the machine has other work."""
    code = (
        "import sys, time, llmkit.models as models\n"
        "assert 'pydantic' not in sys.modules and 'openai' not in sys.modules\n"
        "assert models.catalogue._registry is None\n"
        "began = time.process_time(); models.spec_for('gpt-4o'); first = time.process_time() - began\n"
        "took = [first]\n"
        "for _ in range(5):\n"
        "    models.reset(); began = time.process_time()\n"
        "    models.spec_for('gpt-4o'); took.append(time.process_time() - began)\n"
        "print(min(took))"
    )
    unmeasured = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    took = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=unmeasured
    ).stdout
    assert float(took) < 0.010
