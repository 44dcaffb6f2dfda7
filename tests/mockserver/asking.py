"""Requests that many tests make."""

from typing import Any

CHAT = "/v1/chat/completions"
EMBEDDINGS = "/v1/embeddings"
AZURE_CHAT = "/openai/deployments/chat/chat/completions?api-version=2024-10-21"


def user(text: str = "Tell me about sea otters and kelp forests") -> list[Any]:
    """One message of the user."""
    return [{"role": "user", "content": text}]


def chat(**parameters: Any) -> dict[str, Any]:
    """The body of a chat request."""
    return {"model": "gpt-4o", "messages": user(), **parameters}


WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"enum": ["celsius", "fahrenheit"]}},
            "required": ["city", "unit"],
            "additionalProperties": False,
        },
    },
}
MAIL = {
    "type": "function",
    "function": {
        "name": "send_mail",
        "description": "Send an email to somebody",
        "parameters": {"type": "object", "properties": {"to": {"type": "string", "format": "email"}}},
    },
}
