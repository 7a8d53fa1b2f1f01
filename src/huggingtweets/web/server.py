"""The server: pages, routes and the guard around them, run by uvicorn until Ctrl-C."""

from __future__ import annotations

import importlib.util
import os
import socket
import warnings
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from huggingtweets.errors import InputError
from huggingtweets.serving.schemas import Settings
from huggingtweets.web.context import PageContext, arriving
from huggingtweets.web.security import OWN_NAMES, SecurityMiddleware, SecurityPolicy
from huggingtweets.web.sessions import SessionAuth
from huggingtweets.web.upload_guard import UploadPathMiddleware

if TYPE_CHECKING:
    from collections.abc import Callable

    from huggingtweets.serving.service import Service

PORT = 7860
"""Gradio's, which Spaces and Colab look for."""

_SHORTEST_PASSWORD = 8


@dataclass(frozen=True)
class Options:
    """How the app is served; all faults are told at once.

    Attributes:
        settings: of the service.
        host: the address it listens on; any but this machine's own takes a password.
        port: 0 takes one that is free.
        password: what visitors are asked for; None for one person alone.
        origins: hosts of proxies that show the page under their own name, such as Colab's.
        frames: who may show it in a frame, as a CSP source; None for nobody.
    """

    settings: Settings = field(default_factory=Settings)
    host: str = "127.0.0.1"
    port: int = PORT
    password: str | None = field(default=None, repr=False)
    origins: tuple[str, ...] = ()
    frames: str | None = None

    def __post_init__(self) -> None:
        faults = []
        if not 0 <= self.port <= 65535:
            faults.append(f"--port must be from 0 to 65535, not {self.port}")
        if self.settings.max_upload_mb <= 0:
            faults.append(f"--max-upload-mb must be over 0, not {self.settings.max_upload_mb:g}")
        if self.password is None and self.host not in ("127.0.0.1", "localhost", "::1"):
            faults.append(
                f"with --host {self.host} others can reach it, so it needs a password: give "
                "--password, or put one into $HUGGINGTWEETS_PASSWORD"
            )
        if self.password is not None and len(self.password) < _SHORTEST_PASSWORD:
            faults.append(f"the password must have at least {_SHORTEST_PASSWORD} characters")
        if self.settings.share_gallery and self.password is None:
            faults.append("--share-gallery is for servers with a password")
        if faults:
            text = "; ".join(faults) + "."
            raise InputError(text[0].upper() + text[1:] if text[0] != "-" else text)


def make_app(options: Options, service: Service) -> Any:  # noqa: ANN401 - an ASGI app
    """The whole app: guard, routes, pages.

    Args:
        options: how it is served.
        service: is to be started and stopped by the caller.

    Raises:
        InputError: the extra ``app`` isn't installed.
    """
    _check_packages()
    _quieten(options)
    import gradio as gr
    from fastapi import FastAPI

    from huggingtweets.web.pages.site import build
    from huggingtweets.web.routes import routes

    door = SessionAuth(service.secret(), options.password, framed=options.frames is not None)

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(routes(service, door))
    with warnings.catch_warnings():  # that it does without the server-side rendering we don't want
        warnings.simplefilter("ignore", UserWarning)
        _mount(gr, app, build(PageContext(service, options.settings)), options)
    return SecurityMiddleware(
        UploadPathMiddleware(app, arriving(options.settings)), door, _rules(options)
    )


def _mount(gr: Any, app: Any, site: Any, options: Options) -> None:  # noqa: ANN401 - heavy packages
    from huggingtweets.web.pages.theme import theme

    gr.mount_gradio_app(
        app,
        site,
        path="/",
        footer_links=[],
        run_history=False,
        max_file_size=int(options.settings.max_upload_mb * 1e6),
        ssr_mode=False,
        enable_monitoring=False,
        show_error=False,
        mcp_server=False,
        pwa=False,
        theme=theme(),
        head='<link rel="stylesheet" href="/ui/app.css"><script src="/ui/app.js"></script>',
    )


def serve(options: Options, tell: Callable[[str], None]) -> None:
    """Serve until Ctrl-C.

    Args:
        options: how.
        tell: is given the address once it can be opened.

    Raises:
        InputError: the address can't be listened on, or a package is missing.
    """
    _check_packages()
    listening = _listen(options.host, options.port)
    import uvicorn

    from huggingtweets.serving.service import Service

    service = Service(options.settings)
    with listening:
        app = make_app(options, service)
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,  # addresses hold the names of people's bots
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=3,
            ws="none",
        )
        port = listening.getsockname()[1]
        host = f"[{options.host}]" if ":" in options.host else options.host
        service.start()
        try:
            tell(f"http://{host}:{port}")
            with suppress(KeyboardInterrupt):
                uvicorn.Server(config).run(sockets=[listening])
        finally:
            service.stop()


def _rules(options: Options) -> SecurityPolicy:
    alone = options.password is None
    return SecurityPolicy(
        hosts=(*OWN_NAMES, *options.origins) if alone else None,
        origins=options.origins,
        frames=options.frames or "'none'",
        most_bytes=int(options.settings.max_upload_mb * 1e6) + 1_000_000,
    )


def _check_packages() -> None:
    wanted = ("gradio", "fastapi", "uvicorn", "huey")
    if missing := [name for name in wanted if importlib.util.find_spec(name) is None]:
        raise InputError(
            f"The app needs packages that are not installed ({', '.join(missing)}): "
            "pip install 'huggingtweets[app]'"
        )


def _listen(host: str, port: int) -> socket.socket:
    """A socket that listens, so that a port which is taken is told before anything is loaded."""
    kind = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(kind, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
        made.listen(128)
    except OSError as error:
        made.close()
        raise InputError(
            f"Can't listen on {host}, port {port}: {error.strerror or error}; "
            "choose another --port, or 0 for any that is free."
        ) from error
    return made


def _quieten(options: Options) -> None:
    """Gradio asks for its newest version and counts its users unless it is told not to."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_RUN_HISTORY"] = "False"
    folder = arriving(options.settings)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.environ["GRADIO_TEMP_DIR"] = str(folder)  # where uploads wait until they are kept
