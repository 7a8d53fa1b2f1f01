"""The web app: pages over :mod:`huggingtweets.serving`, with no logic of their own."""

from huggingtweets.web.server import PORT, Options, make_app, serve

__all__ = ["PORT", "Options", "make_app", "serve"]
