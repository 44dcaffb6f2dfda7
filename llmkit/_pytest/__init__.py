"""What `llmkit.pytest_plugin` is made of; it is imported only where recording is installed."""
