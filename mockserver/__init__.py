"""A fake OpenAI and Azure OpenAI over real sockets, that answers like the real ones and misbehaves on command.

with MockServer() as server:
server.script(fault.rate_limited(retry_after_s=1), reply("Hello"))
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mockserver import faults as fault
    from mockserver.scripting.reading import ScriptError, script
    from mockserver.scripting.replies import reply
    from mockserver.server import MockServer

__all__ = ["MockServer", "ScriptError", "fault", "reply", "script"]

# loaded at first use: merely importing this package must not import aiohttp
_HOMES = {
    "MockServer": "server",
    "ScriptError": "scripting.reading",
    "fault": "faults",
    "reply": "scripting.replies",
    "script": "scripting.reading",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mockserver' has no attribute {name!r}; it has {', '.join(__all__)}")
    try:
        home = importlib.import_module(f"mockserver.{_HOMES[name]}")
    except ModuleNotFoundError as exc:
        message = f"mockserver.{name} needs {exc.name}: pip install 'llmkit[testing]'"
        raise ModuleNotFoundError(message, name=exc.name) from exc
    return home if name == "fault" else getattr(home, name)


def __dir__() -> list[str]:
    return __all__
