"""Where a server listens: its socket, and what its address means."""

from __future__ import annotations

import socket

from huggingtweets.errors import InputError


def is_local(host: str) -> bool:
    """Whether only this machine can reach a server that listens on ``host``."""
    return host in ("127.0.0.1", "localhost", "::1")


def address(host: str, port: int) -> str:
    """Return the address of a server for people."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def listen(host: str, port: int) -> socket.socket:
    """Open the listening socket, before the slow imports, so that a taken port fails at once.

    Raises:
        InputError: the address can't be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise InputError(
            f"Can't listen on {host}, port {port}: {error.strerror or error}. "
            "Choose another --port, or 0 for a free one."
        ) from error
    return listener
