"""Prompt files: a head that says what they take, and messages with variables in them.

from llmkit import Client
from llmkit.templates import Template

template = Template.load("prompts/support.md")
client.chat(template.render(question="Why?"), **template.parameters)
"""

from llmkit.templates.content import Image, Part
from llmkit.templates.inputs import UNSET, Input
from llmkit.templates.template import Template
from llmkit.templates.values import escape

__all__ = ["UNSET", "Image", "Input", "Part", "Template", "escape"]
