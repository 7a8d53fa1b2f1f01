"""Weights of ``smollm2-posts``, the default base of huggingtweets; there is no code here."""
