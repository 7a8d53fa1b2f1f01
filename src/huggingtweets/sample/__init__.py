"""The bundled sample: 3,200 tweets by @NASA, May to December 2015, as an X archive zip.

The tweets come from sxywu/tweety, which fetched them from the API in 2015, retweets (770) and
replies (341) included. They are a work of the US government and as such in the public domain in the
United States. ``scripts/make_sample.py`` writes the zip.
"""

from __future__ import annotations

from pathlib import Path


def sample_path() -> Path:
    """Return the path of the sample, which any command takes as its SOURCE."""
    return Path(__file__).with_name("NASA.zip")
