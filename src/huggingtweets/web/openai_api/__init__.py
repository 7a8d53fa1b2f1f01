"""An HTTP API in the shape of OpenAI's, over :mod:`huggingtweets.serving.completions`."""

from huggingtweets.web.openai_api.server import PORT, ApiOptions, serve

__all__ = ["PORT", "ApiOptions", "serve"]
