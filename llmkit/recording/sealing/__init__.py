"""The parts of the seal: what it lets through, and the ways that traffic has out of a process."""
