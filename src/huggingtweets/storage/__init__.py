"""Files on disk: atomic writes, checkpoints, run folders, the user's folders."""
