"""Is this the same request? And if none is: which is nearest, and why."""
