from __future__ import annotations

import pytest

from examples.chat_assistant import assistant


async def test_an_answer_about_opening_hours_comes_from_the_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    look_up = assistant.opening_hours

    def noting(day: str) -> str:
        asked.append(day)
        return look_up(day)

    monkeypatch.setattr(assistant, "opening_hours", noting)
    pieces = [piece async for piece in assistant.answer("When are you open on saturday?")]
    assert asked == ["saturday"]
    assert len(pieces) > 1
    assert "16:00" in "".join(pieces) or "4" in "".join(pieces)
