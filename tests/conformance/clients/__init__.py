"""One script a client, run in an environment of its own."""
