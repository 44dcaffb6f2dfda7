"""What a server is told to say or to do wrong: steps, which request each is for, and how scripts are written."""
