"""Keys stay out of the log, also where a server echoes them."""

import logging
import os

_KEYS = ("OPENAI_API_KEY", "AZURE_OPENAI_KEY", "AZURE_OPENAI_API_KEY")
_SHORTEST_KEY = 8  # a shorter one is a placeholder, and may well be a word of the message


class WithoutKeys(logging.Filter):
    """Writes *** for every key of the environment; lets every record pass."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record where it holds a key."""
        said = record.getMessage()
        hidden = hide(said)
        if hidden != said:
            record.msg, record.args = hidden, ()
        return True


def hide(text: str) -> str:
    """`text` with *** for each key."""
    keys = [os.environ.get(name, "") for name in _KEYS]
    for key in sorted(keys, key=len, reverse=True):
        if len(key) >= _SHORTEST_KEY:
            text = text.replace(key, "***")
    return text
