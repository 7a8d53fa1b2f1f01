"""``python -m huggingtweets``: the command line, where its script isn't on the path."""

from huggingtweets.cli import main

if __name__ == "__main__":
    main()
