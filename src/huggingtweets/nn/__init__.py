"""The language model: loading, devices, attention, losses, precision and optimizers."""
