"""Bytes → frames → events → Completion: where a reply is read piece by piece."""

from llmkit.streaming.chat import ChatReader
from llmkit.streaming.events import StreamEvent, StreamReader
from llmkit.streaming.frames import Frame, FrameDecoder
from llmkit.streaming.responses import ResponseReader

__all__ = ["ChatReader", "Frame", "FrameDecoder", "ResponseReader", "StreamEvent", "StreamReader"]
