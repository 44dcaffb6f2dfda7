"""Realtime sessions over WebSocket: text in, text (or a hum) out, and calls of functions.

Events and their order as recorded of api.openai.com and Azure by pydantic-ai (`tests/realtime/cassettes`), which is
where the shapes in these modules come from; those of the older interface ("beta") as recorded of Azure Voice Live in
the same place, which kept them. What was never recorded is documented at
https://platform.openai.com/docs/api-reference/realtime-server-events, or marked unverified.
"""
