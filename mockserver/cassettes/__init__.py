"""Cassettes in the recorder's own format: served to any client, and recorded from a real API for any client.

What a cassette holds, when two requests are the same and how secrets are taken out is `llmkit.recording`'s to say; a
second implementation here would drift from it.
"""
