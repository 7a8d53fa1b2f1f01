"""Where things are kept: files written whole or not at all, run folders, the user's folders."""
