"""What is known of each model: limits, parameters, capabilities, prices, tokenizer. The data is `models.toml`.

A model that nobody knows gets a spec too, guessed after its nearest relative and with `known=False`. `register` and the
table `[models]` of `llmkit.toml` add models, and correct what is said of one:

    models.register("house-model", like="gpt-4o", context_window=32_000, price=[0.1, 0.1, 0.4])
"""

from llmkit.models.catalogue import base_name, load, register, register_all, registry, reset, spec_for
from llmkit.models.parameters import fitting, problems
from llmkit.models.problem import Problem
from llmkit.models.spec import Capability, Family, Framing, ModelSpec, Price, Source, Sources, Surface

__all__ = [
    "Capability",
    "Family",
    "Framing",
    "ModelSpec",
    "Price",
    "Problem",
    "Source",
    "Sources",
    "Surface",
    "base_name",
    "fitting",
    "load",
    "problems",
    "register",
    "register_all",
    "registry",
    "reset",
    "spec_for",
]
