"""What a server needs around the pipeline: a queue of trainings, open bots, and whose is what."""
