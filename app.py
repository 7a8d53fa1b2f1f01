"""The web app for places that run a file of this name: Hugging Face Spaces, and Colab.

On Spaces, put a password into the secret ``HUGGINGTWEETS_PASSWORD``: others can reach it there.
In Colab, run ``%run app.py``; the page opens below the cell, for you alone.
"""

import importlib.util
import os
from pathlib import Path

from huggingtweets.serving.schemas import Settings
from huggingtweets.web import PORT, Options, serve

COLAB = ("*.colab.googleusercontent.com", "*.colab.dev", "colab.research.google.com")
ON_SPACES = "SPACE_ID" in os.environ
IN_COLAB = importlib.util.find_spec("google") is not None and "COLAB_RELEASE_TAG" in os.environ


def options() -> Options:
    """How this place wants to be served."""
    password = os.environ.get("HUGGINGTWEETS_PASSWORD")
    out = Path(os.environ.get("HUGGINGTWEETS_OUT", "runs"))
    if ON_SPACES:
        settings = Settings(out=out, shared=True)
        return Options(settings, "0.0.0.0", PORT, password, frames="https://huggingface.co")  # noqa: S104
    settings = Settings(out=out, shared=password is not None)
    if IN_COLAB:
        frames = "https://*.colab.googleusercontent.com https://colab.research.google.com"
        return Options(settings, "127.0.0.1", PORT, password, origins=COLAB, frames=frames)
    return Options(settings, "127.0.0.1", PORT, password)


def show(address: str) -> None:
    """Say where it is; in Colab, open it below the cell."""
    print(f"The app is at {address}")
    if IN_COLAB:
        output = importlib.import_module("google.colab.output")
        output.serve_kernel_port_as_iframe(PORT, height=900)


if __name__ == "__main__":
    serve(options(), show)
