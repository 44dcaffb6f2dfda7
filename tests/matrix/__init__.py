"""25 faults, and what each client makes of them: ``python -m tests.matrix``.

Every client meets the same faults of our mock server over real sockets, each in an environment of its own, made once
and kept in `.conformance/`. What came of it is written into `docs/fault-matrix.md`.
"""
