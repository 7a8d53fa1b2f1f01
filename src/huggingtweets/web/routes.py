"""Routes beside Gradio's: static files, login, short links, downloads, actions of post cards.

The service decides who may access what: another visitor's private run is answered like one that
doesn't exist.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Body, Form, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.background import BackgroundTask

from huggingtweets import publish
from huggingtweets.errors import BotError, HuggingTweetsError, StorageError
from huggingtweets.serving.schemas import SAMPLE, TrainingRequest
from huggingtweets.storage import files
from huggingtweets.web import uploads
from huggingtweets.web.sessions import LoginDelays, SessionAuth, Visitor
from huggingtweets.web.templating import link_to, render
from huggingtweets.web.wording import for_browser

if TYPE_CHECKING:
    from collections.abc import Callable

    from huggingtweets.serving.service import Service
    from huggingtweets.web.clients import Client

_STATIC = Path(__file__).parent / "static"
_CARD_PICTURES = Path(publish.__file__).parent / "templates"
_FONTS = Path(__file__).parent.parent / "fonts"
_FILES = {
    "app.css": (_STATIC / "app.css", "text/css"),
    "pipeline.svg": (_CARD_PICTURES / "pipeline.svg", "image/svg+xml"),
    "app.js": (_STATIC / "app.js", "text/javascript"),
    "Inter-Regular.otf": (_FONTS / "Inter-Regular.otf", "font/otf"),
    "Inter-SemiBold.otf": (_FONTS / "Inter-SemiBold.otf", "font/otf"),
}
_PRIVATE = {"cache-control": "private, no-store"}
_REPORT = {
    **_PRIVATE,
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "sandbox",
}
_Value = Annotated[Any, Body()]
"""A field of a JSON body; the service checks it."""


def routes(service: Service, auth: SessionAuth) -> APIRouter:
    """All routes."""
    router = APIRouter()
    _add_files(router)
    router.include_router(uploads.routes(service))
    _add_login(router, auth)
    _add_links(router)
    _add_downloads(router, service)
    _add_reports(router, service)
    _add_card_actions(router, service)
    _add_run_actions(router, service)
    return router


def _add_files(router: APIRouter) -> None:
    @router.get("/ui/alive")
    def alive() -> dict[str, bool]:
        return {"alive": True}

    @router.get("/ui/{name}")
    def file(name: str) -> Response:
        if name not in _FILES:
            return _not_found()
        path, kind = _FILES[name]
        return FileResponse(path, media_type=kind, headers={"cache-control": "max-age=600"})


def _add_login(router: APIRouter, auth: SessionAuth) -> None:
    delays = LoginDelays()

    def form(next_page: str, message: str = "", status: int = 200) -> HTMLResponse:
        return HTMLResponse(render("login", next=next_page, message=message), status)

    @router.get("/login")
    def login_form(request: Request, next: str = "/") -> Response:  # noqa: A002 - query parameter
        return _redirect("/") if _visitor(request).may_enter else form(_local_path(next))

    @router.post("/login")
    async def login(
        request: Request,
        password: Annotated[str, Form(max_length=1000)] = "",
        next: Annotated[str, Form(max_length=2000)] = "/",  # noqa: A002
    ) -> Response:
        client = _client(request)
        is_page = "text/html" in request.headers.get("accept", "")
        if not auth.is_shared:
            return _redirect("/") if is_page else _success()
        wait = delays.take_turn(client.address)
        error, status = "Wrong password.", 401
        if wait > delays.LONGEST_WAIT:
            error, status = f"Too many wrong passwords; try again in {wait:.0f} seconds.", 429
        else:
            await asyncio.sleep(wait)  # holds no thread
            if auth.is_password(password):
                delays.succeeded(client.address)
                response = _redirect(_local_path(next)) if is_page else _success()
                response.headers["set-cookie"] = auth.header(
                    _visitor(request).id, logged_in=True, encrypted=client.is_encrypted
                )
                return response
        path = _local_path(next)
        response = form(path, error, status) if is_page else _error(error, status)
        if status == 429:
            response.headers["retry-after"] = f"{wait:.0f}"
        return response

    @router.post("/leave")
    def logout(request: Request) -> Response:
        def respond() -> Response:
            auth.log_out(visitor)
            return _redirect("/login")

        visitor, client = _visitor(request), _client(request)
        response = _handle_errors(respond)
        response.headers["set-cookie"] = auth.header(
            visitor.id, logged_in=False, encrypted=client.is_encrypted
        )
        return response


def _add_links(router: APIRouter) -> None:
    @router.get("/run/{name}")
    def run(name: str) -> Response:
        return _redirect(link_to("train", run=name))

    @router.get("/bot/{name}")
    def bot(name: str) -> Response:
        return _redirect(link_to("bot", name=name))


def _add_downloads(router: APIRouter, service: Service) -> None:
    @router.get("/picture/{name}")
    def picture(request: Request, name: str, dark: bool = False) -> Response:
        def respond() -> Response:
            path = service.picture(_visitor(request).id, name, dark=dark)
            if path is None:
                return _not_found()
            return FileResponse(path, media_type="image/png", headers=_PRIVATE)

        return _handle_errors(respond)

    @router.get("/download/{name}")
    def download(request: Request, name: str) -> Response:
        def respond() -> Response:
            path = service.export(_visitor(request).id, name)
            return FileResponse(
                path,
                media_type="application/zip",
                filename=f"{name}.zip",
                headers=_PRIVATE,
                background=BackgroundTask(shutil.rmtree, path.parent, ignore_errors=True),
            )

        return _handle_errors(respond)


def _add_reports(router: APIRouter, service: Service) -> None:
    @router.get("/report/{name}")
    def report(request: Request, name: str) -> Response:
        def respond() -> Response:
            path = service.report_page(_visitor(request).id, name)
            if path is None:
                return _not_found()
            return HTMLResponse(path.read_text("utf-8"), headers=_REPORT)

        return _handle_errors(respond)

    @router.get("/exploration/{page_id}")
    def exploration(request: Request, page_id: str) -> Response:
        def respond() -> Response:
            page = service.exploration_page(_visitor(request).id, page_id)
            return _not_found() if page is None else HTMLResponse(page, headers=_REPORT)

        return _handle_errors(respond)


def _add_card_actions(router: APIRouter, service: Service) -> None:
    @router.post("/do/favourite")
    def favourite(request: Request, bot: _Value, text: _Value, on: _Value) -> Response:
        def respond() -> Response:
            service.favourite(_visitor(request).id, bot, text, on)
            return JSONResponse({"on": on})

        return _handle_errors(respond)

    @router.post("/do/draw")
    def draw(request: Request, bot: _Value, text: _Value, prompt: _Value = "") -> Response:
        def respond() -> Response:
            png = service.draw_picture(_visitor(request).id, bot, text, prompt)
            return Response(png, media_type="image/png", headers=_PRIVATE)

        return _handle_errors(respond)

    @router.post("/do/picture")
    def picture(request: Request, bot: _Value, text: _Value, prompt: _Value = "") -> Response:
        def respond() -> Response:
            service.set_picture(_visitor(request).id, bot, text, prompt)
            return JSONResponse({"done": True})

        return _handle_errors(respond)


def _add_run_actions(router: APIRouter, service: Service) -> None:
    @router.post("/do/example")
    def example(request: Request) -> Response:
        def respond() -> Response:
            order = TrainingRequest((SAMPLE,), base=service.settings.fastest_base)
            name = service.submit(_visitor(request).id, order, _client(request).address)
            return JSONResponse({"go": link_to("train", run=name)})

        return _handle_errors(respond)

    @router.post("/do/rollback")
    def rollback(request: Request, bot: _Value, version: _Value) -> Response:
        def respond() -> Response:
            service.roll_back(_visitor(request).id, bot, version)
            return JSONResponse({"go": link_to("bot", name=bot)})

        return _handle_errors(respond)


def explain_invalid_request(request: Request, error: Exception) -> Response:
    """Answer a request that lacks a field. The values aren't repeated: one may be a password."""
    del request
    faults = error.errors() if isinstance(error, RequestValidationError) else ()
    names = ", ".join(sorted({str(fault["loc"][-1]) for fault in faults}))
    return _error(f"Missing or invalid in this request: {names[:200]}.", 400)


def _handle_errors(respond: Callable[[], Response]) -> Response:
    """Turn the service's errors into JSON responses."""
    try:
        return respond()
    except BotError as error:
        return _error(str(error), 404)
    except StorageError as error:
        return _error(str(error), 507 if files.is_full(error) else 400)
    except HuggingTweetsError as error:
        return _error(str(error), 400)


def _visitor(request: Request) -> Visitor:
    visitor: Visitor = request.state.visitor
    return visitor


def _client(request: Request) -> Client:
    client: Client = request.state.client
    return client


def _success() -> Response:
    return JSONResponse({"success": True})


def _local_path(address: str) -> str:
    """The address if it is a path on this server, else the first page."""
    is_local = address.startswith("/") and address[1:2] not in ("/", "\\")
    return address if is_local and address.isprintable() else "/"


def _redirect(address: str) -> Response:
    return RedirectResponse(address, 303)


def _not_found() -> Response:
    return _error("Not found.", 404)


def _error(message: str, status: int) -> Response:
    return JSONResponse({"error": for_browser(message)}, status)
