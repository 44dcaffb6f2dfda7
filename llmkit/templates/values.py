"""How a value reads in a prompt: as people and models write it, never as Python prints it."""

import json
import math
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from llmkit.errors import TemplateInvalid, excerpt
from llmkit.messages import Dumpable


def text_of(value: object) -> str:
    """A text as it is; numbers as Python writes them; true and false; dates in ISO 8601; lists and mappings as JSON.

    Raises TemplateInvalid for None and for what has no such text, so that no `<object at 0x…>` reaches a model.
    """
    if isinstance(value, str):
        return _plain(value)
    if isinstance(value, Mapping | list | tuple | Dumpable) and not isinstance(value, type):
        return _json(value)
    return str(_scalar(value))


def escape(text: str) -> str:
    """What stands for exactly this text in a template, whatever it holds: roles, braces, blanks at its edges."""
    quoted = text.encode("unicode_escape").decode("ascii").replace('"', '\\"')
    return f'{{{{ "{quoted}" }}}}'


def _plain(value: str) -> str:
    value = value.value if isinstance(value, Enum) else value
    return value if type(value) is str else str.__str__(value)


def _scalar(value: object) -> str | int | float:
    """A value as JSON or text would have it."""
    if isinstance(value, Enum):
        return _scalar(value.value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Decimal | UUID):
        return str(value)
    if value is None:
        raise TemplateInvalid("the value is None: pass a text, or write {{ … or '' }}")
    raise TemplateInvalid(
        f"the value is {excerpt(value)}, of type {type(value).__name__}, which has no text: pass a text, number, date, "
        "list, mapping or Image"
    )


def _json(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, default=_encodable)
    except RecursionError:
        raise TemplateInvalid("the value is nested too deeply") from None
    except (TypeError, ValueError) as error:
        raise TemplateInvalid(f"the value cannot be written as JSON: {error}") from None


def _encodable(value: object) -> Any:
    if isinstance(value, Dumpable) and not isinstance(value, type):
        return value.model_dump(mode="json", exclude_unset=True)
    return dict(value) if isinstance(value, Mapping) else _scalar(value)
