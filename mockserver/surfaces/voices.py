"""Replies of models that speak: `message.audio` in place of the text.

Fields as in https://platform.openai.com/docs/api-reference/chat/object; how many audio tokens a text takes, about three
for each of its own, as billed by gpt-audio in recorded traffic of maruel/genai.
"""

import base64
from dataclasses import replace
from typing import Any

from mockserver.calls import Call
from mockserver.generating.sound import hum
from mockserver.surfaces import Setting
from mockserver.surfaces.choice import Choice

_TOKENS = 3
_LIFE_S = 3_600


def speaks(call: Call, setting: Setting) -> bool:
    """Whether the reply is to be spoken."""
    return "audio" in setting.model.family and "audio" in (call.body.get("modalities") or ())


def spoken(choice: Choice, call: Call, setting: Setting, index: int) -> Choice:
    """The choice with its text spoken, where the request wants that and there is a text."""
    if not choice.text or not speaks(call, setting):
        return choice
    wanted = call.body.get("audio") or {}
    tokens = _TOKENS * choice.tokens
    voice: dict[str, Any] = {
        "id": f"audio_{setting.dice(call, f'audio {index}').hexadecimal(32)}",
        "data": base64.b64encode(hum(choice.tokens, encoding=str(wanted.get("format")))).decode(),
        "expires_at": setting.created + _LIFE_S,
        "transcript": choice.text,
    }
    return replace(choice, voice=voice, audio=tokens, tokens=choice.tokens + tokens)
