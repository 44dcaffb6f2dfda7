"""`python -m llmkit`: the command line."""

from llmkit.cli import main

if __name__ == "__main__":
    main()
