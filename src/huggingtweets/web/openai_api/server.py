"""Run the API until Ctrl-C or SIGTERM, which let open requests finish."""

from __future__ import annotations

import asyncio
import importlib.util
import re
import signal
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from huggingtweets.errors import InputError
from huggingtweets.web.clients import TrustedProxies, problems_of_proxies
from huggingtweets.web.listener import address, is_local, listen

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import uvicorn

    from huggingtweets.serving.replicas import AnyService

PORT = 8000
"""The port that other servers with OpenAI's API take."""

_MIN_KEY_LENGTH = 16
_ORIGIN = re.compile(r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:]+\])(?::[0-9]{1,5})?")
"""As browsers send it: in lower case, without the port that is the scheme's own."""

_PACKAGES = ("prometheus_client", "starlette", "uvicorn")


@dataclass(frozen=True)
class ApiOptions:
    """How bots are served to programs. Invalid values raise one error that lists all problems.

    Attributes:
        bots: run folders, bot folders, Hub ids or built-in bases.
        host: address to listen on; any but this machine's own needs a key.
        port: 0 for a free one.
        key: that clients must send; None for clients of this machine.
        memory_gb: memory for bots.
        requests_a_minute: limit for each network address; 0 for none.
        grace_seconds: how long open requests may take to finish when the server is stopped.
        fleet: a folder of small bots of one base, or None.
        ray: whether replicas on a Ray cluster write.
        replicas: how many.
        origins: sites whose pages may ask, such as ``https://example.org``; ``*``, for all, needs
            a key.
        trusted_proxies: addresses or networks of proxies that name the client of a request.
    """

    bots: tuple[str, ...]
    host: str = "127.0.0.1"
    port: int = PORT
    key: str | None = field(default=None, repr=False)
    memory_gb: float = 2.0
    requests_a_minute: int = 600
    grace_seconds: float = 30.0
    fleet: Path | None = None
    ray: bool = False
    replicas: int = 1
    origins: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        problems = [
            *([] if self.bots or self.fleet else ["name a bot, or a folder of bots with --fleet"]),
            *self._problems_of_key(),
            *(
                []
                if 0 <= self.port <= 65535
                else [f"--port must be from 0 to 65535, not {self.port}"]
            ),
            *(
                []
                if self.memory_gb > 0
                else [f"--memory-gb must be over 0, not {self.memory_gb:g}"]
            ),
        ]
        if self.replicas < 1:
            problems.append(f"--replicas must be 1 or more, not {self.replicas}")
        if self.replicas > 1 and not self.ray:
            problems.append("--replicas needs --ray")
        if self.requests_a_minute < 0:
            problems.append(
                f"--requests-a-minute must be 0 (no limit) or more, not {self.requests_a_minute}"
            )
        if not 0 <= self.grace_seconds <= 3600:
            problems.append(f"--grace-seconds must be from 0 to 3600, not {self.grace_seconds:g}")
        problems += self._problems_of_origins() + problems_of_proxies(self.trusted_proxies)
        if problems:
            text = "; ".join(problems) + "."
            raise InputError(text[0].upper() + text[1:] if text[0] != "-" else text)

    def _problems_of_origins(self) -> list[str]:
        if "*" in self.origins and self.key is None:
            return ["--allow-origin '*' lets every web page ask, so it needs a key"]
        return [
            "--allow-origin must be a site's address like https://example.org or "
            f"http://localhost:3000, without a path, not {origin[:80]!r}"
            for origin in self.origins
            if origin != "*" and not _ORIGIN.fullmatch(origin)
        ]

    def _problems_of_key(self) -> list[str]:
        if self.key is None:
            if is_local(self.host):
                return []
            return [
                f"with --host {self.host} others can reach the server, so it needs a key: set "
                "$HUGGINGTWEETS_API_KEY or give --api-key"
            ]
        if len(self.key) < _MIN_KEY_LENGTH:
            return [f"the API key must have at least {_MIN_KEY_LENGTH} characters"]
        if not (self.key.isascii() and self.key.isprintable()) or " " in self.key:
            return ["the API key must be letters, digits and signs without spaces"]
        return []


def serve(options: ApiOptions, on_ready: Callable[[str, AnyService], None]) -> None:
    """Serve bots until Ctrl-C or SIGTERM.

    Args:
        options: how they are served.
        on_ready: called with the server's address as soon as it answers.

    Raises:
        InputError: the port can't be used, a bot can't be opened, or a package is missing.
    """
    if missing := [name for name in _PACKAGES if importlib.util.find_spec(name) is None]:
        raise InputError(
            f"serve needs packages that are not installed ({', '.join(missing)}): "
            "pip install 'huggingtweets[serve]'"
        )
    with listen(options.host, options.port) as listener:
        service = make_service(options)
        service.start()
        try:
            with suppress(KeyboardInterrupt):
                on_ready(address(options.host, listener.getsockname()[1]), service)
                with _quiet_end(), _rolling_restarts(service):
                    make_server(options, service).run(sockets=[listener])
        finally:
            service.stop()


def make_service(options: ApiOptions) -> AnyService:
    """Open the bots, here or on replicas.

    Raises:
        InputError: a bot can't be used, or Ray can't.
    """
    from huggingtweets.serving.completions import ServiceOptions
    from huggingtweets.serving.replicas import ReplicatedService

    to_others = not is_local(options.host)
    served = ServiceOptions(options.bots, options.fleet, options.memory_gb, to_others)
    return ReplicatedService(served, options.replicas) if options.ray else served.open()


@contextmanager
def _rolling_restarts(service: AnyService) -> Iterator[None]:
    """Let SIGHUP replace the replicas one after another."""
    from huggingtweets.serving.replicas import ReplicatedService

    if not isinstance(service, ReplicatedService) or not hasattr(signal, "SIGHUP"):
        yield
        return
    restart = service.restart
    before = signal.signal(
        signal.SIGHUP, lambda *_: threading.Thread(target=restart, daemon=True).start()
    )
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


def make_server(options: ApiOptions, service: AnyService) -> uvicorn.Server:
    """Build the server, which can also run in a thread.

    When it is told to stop, it takes no new connections; open requests go on for
    ``grace_seconds``, then end with an error.
    """
    import uvicorn

    from huggingtweets.web.openai_api.app import Access, make_app

    class Server(uvicorn.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            service.stopping = True
            ending = asyncio.get_running_loop().call_later(
                options.grace_seconds, threading.Thread(target=service.stop, daemon=True).start
            )
            await super().shutdown(sockets)
            ending.cancel()

    access = Access(
        options.key,
        options.requests_a_minute,
        options.origins,
        TrustedProxies(options.trusted_proxies),
    )
    config = uvicorn.Config(
        make_app(service, access),
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=int(options.grace_seconds) + 5,
        ws="none",
    )
    return Server(config)


@contextmanager
def _quiet_end() -> Iterator[None]:
    """Let SIGTERM end the server like Ctrl-C: uvicorn raises it again when it has stopped."""
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
