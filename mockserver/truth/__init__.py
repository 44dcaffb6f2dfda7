"""What really happened: every exchange, what was generated, what reached the socket, and what a client made of it."""
