"""What models that search the web add to their words: links, and annotations that say where they stand.

As in replies of gpt-4o-mini-search-preview recorded by crmne/ruby_llm: `([site](url))` in the text, and an annotation
from the link's first letter to its last.
"""

from typing import Any

from mockserver.generating.dice import Dice
from mockserver.generating.prose import words_of


def cited(text: str, prompt: str, dice: Dice) -> tuple[str, tuple[dict[str, Any], ...]]:
    """The text with a link after its first sentence, and the annotation of it."""
    words = list(dict.fromkeys(words_of(prompt)))[:3] or ["news"]
    site = f"{words[0].lower()}.example.com" if words[0].isascii() else "www.example.com"
    url = f"https://{site}/{dice.hexadecimal(6)}?utm_source=openai"
    head, dot, rest = text.partition(". ")
    start = len(head) + len(dot)
    link = f"([{site}]({url}))"
    where = {"end_index": start + len(link), "start_index": start, "title": " ".join(words).title(), "url": url}
    return f"{head}{dot}{link} {rest}", ({"type": "url_citation", "url_citation": where},)
