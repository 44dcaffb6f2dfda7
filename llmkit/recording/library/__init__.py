"""Cassettes as a collection: listed, compared, checked, edited and moved, for the command line and for programs."""
