"""Writes docs/models.md, and the table of settings in docs/guides/configuration.md, from what the code says.

python scripts/document_models.py, after a change of llmkit/models.toml or of a setting. A test compares.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

from llmkit import models
from llmkit.config import AzureSettings, OpenAISettings, Settings
from llmkit.models import ModelSpec, Price, Source

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "models.md"
GUIDE = ROOT / "docs" / "guides" / "configuration.md"
BEGIN, END = "<!-- settings: python scripts/document_models.py -->", "<!-- end of settings -->"

HEAD = """# Models

What llmkit knows of each model. Generated from `llmkit/models.toml` by `python scripts/document_models.py`; how to add
one: [adding a model](adding/a-model.md). Any other name is called too, unchecked: see
[configuration](guides/configuration.md#models).

Names are the API's, without a date: dated versions, `ft:` models and Azure's `gpt-35-` are found under them. Tokens are
in thousands, prices in US dollars for a million tokens: input / cached input / output; ↑ costs more for prompts beyond
272 thousand tokens. Until when is OpenAI's day for shutting the model down, and what it advises instead; Azure has days
of its own. The last column has the sources of limits, price, parameters and day, a star at those that are not the
provider's own.
"""


def page() -> str:
    """Return the whole of docs/models.md."""
    specs = list(models.registry().values())
    seen = sources(specs)
    parts = [HEAD]
    for family, title in (
        ("reasoning", "Reasoning"),
        ("chat", "Chat"),
        ("completion", "Completion"),
        ("embedding", "Embeddings"),
    ):
        mine = [spec for spec in specs if spec.family == family]
        columns = ["model", "context", "output", "price", "reasons", "can", "refuses", "until", "sources"]
        rows = [row(spec, seen) for spec in sorted(mine, key=order)]
        parts += [f"\n## {title}\n", *table(columns, rows)]
    parts.append("\n## Sources\n")
    for number, source in enumerate(seen, start=1):
        star = "" if source.verified else " \\*"
        parts.append(f"{number}. {source.url}, read on {source.read_on}{star}")
    return "\n".join(parts) + "\n"


def order(spec: ModelSpec) -> tuple[object, ...]:
    """Return what the rows of a table are sorted by: those that stay longest first."""
    return -(spec.retires or date.max).toordinal(), spec.name


def sources(specs: list[ModelSpec]) -> list[Source]:
    """Return every source that some fact has, those of most facts first."""
    found: dict[Source, int] = {}
    for spec in specs:
        for source in of(spec):
            found[source] = found.get(source, 0) + 1
    return sorted(found, key=lambda source: (-found[source], source.url))


def of(spec: ModelSpec) -> list[Source]:
    """Return the sources of a model: limits, price, parameters, day."""
    told = spec.sources
    return [source for source in (told.limits, told.price, told.parameters, told.retires) if source is not None]


def row(spec: ModelSpec, seen: list[Source]) -> list[str]:
    """Return the cells of a model."""
    until = f"{spec.retires}{f', then {spec.replacement}' if spec.replacement else ''}" if spec.retires else ""
    numbers = [f"{seen.index(source) + 1}{'' if source.verified else '*'}" for source in of(spec)]
    endpoints = "" if "chat" in spec.surfaces else f"{', '.join(spec.surfaces)} only"
    hidden = {"streaming", "system", "reasoning", "prompt_caching"}
    can = ", ".join(filter(None, [endpoints, *sorted(spec.capabilities - hidden)]))
    return [
        f"`{spec.name}`",
        thousands(spec.context_window),
        thousands(spec.max_output) if spec.max_output else f"{spec.dimensions} dimensions",
        price(spec.price),
        efforts(spec),
        can,
        ", ".join(f"`{name}`" for name in sorted(spec.refused)),
        until,
        " ".join(numbers).replace("*", "\\*"),
    ]


def efforts(spec: ModelSpec) -> str:
    """Return what `reasoning_effort` may be, its default in bold."""
    return " ".join(f"**{one}**" if one == spec.default_effort else one for one in spec.efforts)


def thousands(tokens: int | None) -> str:
    """Return tokens in thousands."""
    return "" if tokens is None else f"{tokens / 1000:,.0f}"


def price(found: Price | None) -> str:
    """Return a price as it stands in the table."""
    if found is None:
        return ""
    return f"{found.input:g} / {found.cached_input:g} / {found.output:g}{' ↑' if found.long else ''}"


def settings() -> str:
    """Return the table of settings: name, variable, default, what it is."""
    rows = [*fields(Settings), *fields(OpenAISettings, of="OpenAI"), *fields(AzureSettings, of="Azure")]
    return "\n".join(table(["setting", "variable", "default", "what it is"], rows))


def fields(kind: type[Settings], of: str = "") -> list[list[str]]:
    """Return the rows of the settings that this class adds."""
    parent = {} if kind is Settings else Settings.model_fields
    rows = []
    for name, field in kind.model_fields.items():
        if name in parent:
            continue
        variable = "" if name == "token_provider" else f"`{kind.variable(name)}`"
        default = "" if field.is_required() or name == "api_key" else str(field.default)
        shown = "" if default in ("None", "{}", "()") else f"`{default}`" if default else "needed"
        rows.append([f"`{name}`{f' ({of})' if of else ''}", variable, shown, str(field.description)])
    return rows


def table(columns: list[str], rows: list[list[str]]) -> list[str]:
    """Return the lines of a table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |" for cells in lines]


def guide(text: str) -> str:
    """Return the guide ``text`` with its table of settings as it has to be."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{settings()}\n\n{END}{after}"


def main() -> None:
    """Write both files."""
    PAGE.write_text(page(), encoding="utf-8")
    GUIDE.write_text(guide(GUIDE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
