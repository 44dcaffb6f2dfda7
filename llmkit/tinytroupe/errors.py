"""The two exceptions that a client's own `_raw_model_call` raises to steer `send_message`."""


class InvalidRequestError(Exception):
    """The API refuses this request and will again: `send_message` gives up at once."""


class NonTerminalError(Exception):
    """Something went wrong that may not go wrong again: `send_message` waits, longer each time, and tries again."""
