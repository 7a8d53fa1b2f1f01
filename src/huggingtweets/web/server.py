"""The web server: pages, routes and middleware, run by uvicorn until Ctrl-C."""

from __future__ import annotations

import importlib.util
import os
import warnings
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from huggingtweets.errors import InputError
from huggingtweets.serving.schemas import Settings
from huggingtweets.storage import files
from huggingtweets.web.clients import TrustedProxies, problems_of_proxies
from huggingtweets.web.context import PageContext, incoming_uploads
from huggingtweets.web.listener import address, is_local, listen
from huggingtweets.web.missing_pages import MissingPageMiddleware
from huggingtweets.web.security import OWN_NAMES, SecurityMiddleware, SecurityPolicy
from huggingtweets.web.sessions import RevokedSessions, SessionAuth
from huggingtweets.web.upload_guard import UploadPathMiddleware

if TYPE_CHECKING:
    from collections.abc import Callable

    from huggingtweets.serving.service import Service

PORT = 7860
"""Gradio's port, which Spaces and Colab expect."""

_MIN_PASSWORD_LENGTH = 8


@dataclass(frozen=True)
class Options:
    """How the app is served. Invalid values raise one error that lists all problems.

    Attributes:
        settings: of the service.
        host: address to listen on; any but this machine's own needs a password.
        port: 0 for a free one.
        password: that visitors must enter; None for one person alone.
        origins: hosts of proxies that show the page under their own name, such as Colab's.
        frames: sites that may show the page in a frame, as a CSP source; None for no site.
        trusted_proxies: addresses or networks of proxies that name the client of a request.
    """

    settings: Settings = field(default_factory=Settings)
    host: str = "127.0.0.1"
    port: int = PORT
    password: str | None = field(default=None, repr=False)
    origins: tuple[str, ...] = ()
    frames: str | None = None
    trusted_proxies: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        problems = []
        if not 0 <= self.port <= 65535:
            problems.append(f"--port must be from 0 to 65535, not {self.port}")
        if self.settings.max_upload_mb <= 0:
            problems.append(f"--max-upload-mb must be over 0, not {self.settings.max_upload_mb:g}")
        if self.password is None and not is_local(self.host):
            problems.append(
                f"with --host {self.host} others can reach the app, so it needs a password: give "
                "--password or set $HUGGINGTWEETS_PASSWORD"
            )
        if self.password is not None and len(self.password) < _MIN_PASSWORD_LENGTH:
            problems.append(f"the password must have at least {_MIN_PASSWORD_LENGTH} characters")
        problems += problems_of_proxies(self.trusted_proxies)
        if self.settings.share_gallery and self.password is None:
            problems.append("--share-gallery needs a password")
        if problems:
            text = "; ".join(problems) + "."
            raise InputError(text[0].upper() + text[1:] if text[0] != "-" else text)


def make_app(options: Options, service: Service) -> Any:  # noqa: ANN401 - an ASGI app
    """Build the ASGI app: middleware, routes and pages.

    Args:
        options: how it is served.
        service: started and stopped by the caller.

    Raises:
        InputError: the extra ``app`` isn't installed.
    """
    _check_packages()
    _configure_gradio(options)
    import gradio as gr
    from fastapi import FastAPI
    from fastapi.exceptions import RequestValidationError

    from huggingtweets.web.pages.site import build
    from huggingtweets.web.routes import explain_invalid_request, routes

    auth = SessionAuth(
        service.secret(),
        options.password,
        framed=options.frames is not None,
        revoked=RevokedSessions(service.home / "revoked"),
    )

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_exception_handler(RequestValidationError, explain_invalid_request)
    app.include_router(routes(service, auth))
    with warnings.catch_warnings():  # Gradio warns that server-side rendering is off, as intended
        warnings.simplefilter("ignore", UserWarning)
        _mount(gr, app, build(PageContext(service, options.settings)), options)
    return SecurityMiddleware(
        UploadPathMiddleware(
            MissingPageMiddleware(app), incoming_uploads(options.settings), service.upload
        ),
        auth,
        _policy(options),
    )


def _mount(gr: Any, app: Any, site: Any, options: Options) -> None:  # noqa: ANN401 - heavy packages
    from huggingtweets.web.pages.site import theme

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
    # Gradio looks for clicks every millisecond, which takes 6.5 % of a core while nobody is there.
    # These are the intervals that it has on Windows.
    queue = site._queue  # noqa: SLF001
    queue.sleep_when_free, queue.progress_update_sleep_when_free = 0.05, 0.1


def serve(options: Options, on_ready: Callable[[str], None]) -> None:
    """Serve the app until Ctrl-C.

    Args:
        options: how it is served.
        on_ready: called with the app's address as soon as it can be opened.

    Raises:
        InputError: the port can't be used, or a package is missing.
    """
    _check_packages()
    listener = listen(options.host, options.port)
    import uvicorn

    from huggingtweets.serving.service import Service

    os.umask(0o077)  # Gradio writes the visitors' files
    service = Service(options.settings)
    with listener:
        app = make_app(options, service)
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,  # addresses contain the names of visitors' bots
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=3,
            ws="none",
        )
        port = listener.getsockname()[1]
        service.start()
        try:
            with suppress(KeyboardInterrupt):
                on_ready(address(options.host, port))
                uvicorn.Server(config).run(sockets=[listener])
        finally:
            service.stop()


def _policy(options: Options) -> SecurityPolicy:
    return SecurityPolicy(
        hosts=(*OWN_NAMES, *options.origins) if options.password is None else None,
        origins=options.origins,
        frames=options.frames or "'none'",
        max_upload_bytes=int(options.settings.max_upload_mb * 1e6) + 1_000_000,
        proxies=TrustedProxies(options.trusted_proxies),
    )


def _check_packages() -> None:
    packages = ("gradio", "fastapi", "uvicorn", "itsdangerous")
    if missing := [name for name in packages if importlib.util.find_spec(name) is None]:
        raise InputError(
            f"The app needs packages that are not installed ({', '.join(missing)}): "
            "pip install 'huggingtweets[app]'"
        )


def _configure_gradio(options: Options) -> None:
    """Turn off Gradio's telemetry and version check, and set its upload folder."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_RUN_HISTORY"] = "False"
    folder = incoming_uploads(options.settings)
    files.make_folder(folder)
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
