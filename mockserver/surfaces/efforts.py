"""How much a reasoning model may be told to think: what each family takes, as the refusals recorded of each say.

That gpt-5-pro takes `high` alone is its page's word: https://platform.openai.com/docs/models/gpt-5-pro; what the other
"pro" and "codex" models and gpt-6 take is that of theirs, and was never recorded.
"""

from mockserver.catalogue import Model

_EFFORTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    # family, what it takes: the first that fits
    ("gpt-5.1-codex-max", ("low", "medium", "high", "xhigh")),
    ("gpt-5.1-codex", ("low", "medium", "high")),
    ("gpt-5.2-codex", ("low", "medium", "high", "xhigh")),
    ("gpt-5.2-chat", ("medium",)),
    ("gpt-5.2-pro", ("medium", "high", "xhigh")),
    ("gpt-5.1", ("none", "low", "medium", "high")),
    ("gpt-5.", ("none", "low", "medium", "high", "xhigh")),
    *((name, ("low", "medium", "high", "xhigh", "max")) for name in ("gpt-6.2", "gpt-6.1-sol", "gpt-6-astra")),
    ("gpt-6", ("none", "low", "medium", "high", "xhigh", "max")),
    ("gpt-5-pro", ("high",)),
    ("gpt-5-codex", ("low", "medium", "high")),
    ("gpt-5", ("minimal", "low", "medium", "high")),
    ("o", ("low", "medium", "high")),
)


def efforts_of(model: Model) -> tuple[str, ...]:
    """What `model` takes; nothing if it does not reason."""
    if model.kind != "reasoning":
        return ()
    return next((words for start, words in _EFFORTS if model.family.startswith(start)), ())
