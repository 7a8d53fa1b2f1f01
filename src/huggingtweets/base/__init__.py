"""The embedded base model, ``pocket``: a Llama-shaped model of 30.9 million weights."""
