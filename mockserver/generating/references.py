"""Where the references of a JSON Schema lead: by pointer, by anchor, by the id of a part.

As in https://json-schema.org/understanding-json-schema/structuring; nothing is ever fetched.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin


class Dangling(Exception):
    """The reference leads to nothing in the schema."""


@dataclass
class References:
    """The named parts of one schema, found when they are first asked for."""

    root: Any
    named: dict[str, Any] = field(default_factory=dict)
    base: str = ""

    def target(self, reference: str) -> Any:
        """What `reference` leads to; Dangling if it leads to nothing."""
        if not self.named:
            self.base = _id_of(self.root, "")
            self._name(self.root, self.base)
        whole = urljoin(self.base, reference)
        if whole in self.named:
            return self.named[whole]
        document, fragment = urldefrag(whole)
        target = self.named.get(document, self.root if document == self.base else None)
        if target is None or (fragment and not fragment.startswith("/")):
            raise Dangling(f"{reference!r} refers to nothing in the schema")
        for step in fragment.split("/")[1:]:
            target = _step(target, unquote(step).replace("~1", "/").replace("~0", "~"), reference)
        return target

    def _name(self, part: Any, base: str) -> None:
        """Remember what ids and anchors stand for, in this part and below."""
        if isinstance(part, Mapping):
            base = _id_of(part, base)
            self.named.setdefault(base, part)
            for keyword in ("$anchor", "$dynamicAnchor"):
                if isinstance(part.get(keyword), str):
                    self.named[f"{base}#{part[keyword]}"] = part
        if isinstance(part, Mapping | list):
            for below in part.values() if isinstance(part, Mapping) else part:
                self._name(below, base)


def _id_of(part: Any, base: str) -> str:
    name = part.get("$id") if isinstance(part, Mapping) else None
    return urldefrag(urljoin(base, name))[0] if isinstance(name, str) else base


def _step(target: Any, key: str, reference: str) -> Any:
    try:
        return target[int(key)] if isinstance(target, list) else target[key]
    except (KeyError, IndexError, ValueError, TypeError) as exc:
        raise Dangling(f"{reference!r} refers to nothing in the schema") from exc
