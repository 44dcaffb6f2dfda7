"""Other people's code against the mock server: ``python -m tests.conformance [suite|node|clients|all]``.

The suite is openai-python's own; the clients are SDKs and frameworks that each hold a few conversations. What they need
is installed once, into `.conformance/`.
"""
