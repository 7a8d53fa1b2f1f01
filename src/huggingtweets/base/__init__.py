"""The embedded base model, ``pocket``: a Llama-shaped model of 13.8 million weights."""
