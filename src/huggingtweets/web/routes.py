"""What isn't Gradio's: login, links that find a run again, downloads, and what cards do.

Whose something is, the service says: a name that isn't the visitor's is answered as one that
doesn't exist.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Body, Form, Request
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.background import BackgroundTask

from huggingtweets.errors import BotError, HuggingTweetsError
from huggingtweets.web.sessions import LoginThrottle, SessionAuth, Visitor
from huggingtweets.web.templating import link_to, render

if TYPE_CHECKING:
    from collections.abc import Callable

    from huggingtweets.serving.service import Service

_STATIC = Path(__file__).parent / "static"
_FONTS = Path(__file__).parent.parent / "fonts"
_FILES = {
    "app.css": (_STATIC / "app.css", "text/css"),
    "app.js": (_STATIC / "app.js", "text/javascript"),
    "Inter-Regular.otf": (_FONTS / "Inter-Regular.otf", "font/otf"),
    "Inter-SemiBold.otf": (_FONTS / "Inter-SemiBold.otf", "font/otf"),
}
_PRIVATE = {"cache-control": "private, no-store"}
_Post = Annotated[str, Body(max_length=5_000)]  # as a card sends it back


def routes(service: Service, door: SessionAuth) -> APIRouter:
    """All of them."""
    router = APIRouter()
    _files(router)
    _login(router, door)
    _links(router)
    _downloads(router, service)
    _acts(router, service)
    return router


def _files(router: APIRouter) -> None:
    @router.get("/ui/alive")
    def alive() -> dict[str, bool]:
        return {"alive": True}

    @router.get("/ui/{name}")
    def file(name: str) -> Response:
        if name not in _FILES:
            return _not_found()
        path, kind = _FILES[name]
        return FileResponse(path, media_type=kind, headers={"cache-control": "max-age=600"})


def _login(router: APIRouter, door: SessionAuth) -> None:
    attempts = LoginThrottle()

    def form(next_page: str, message: str = "", status: int = 200) -> HTMLResponse:
        return HTMLResponse(render("login", next=next_page, message=message), status)

    @router.get("/login")
    def ask(request: Request, next: str = "/") -> Response:  # noqa: A002 - stands in the address
        return _redirect("/") if _visitor(request).may_enter else form(_local(next))

    @router.post("/login")
    def enter(
        request: Request,
        password: Annotated[str, Form(max_length=1000)] = "",
        next: Annotated[str, Form(max_length=2000)] = "/",  # noqa: A002
    ) -> Response:
        address = request.client.host if request.client else ""
        is_page = "text/html" in request.headers.get("accept", "")
        fault, status = "", 200
        if not door.is_shared:
            return _redirect("/") if is_page else JSONResponse({"success": True})
        if attempts.too_many(address):
            fault, status = "Too many wrong passwords; wait a minute.", 429
        elif not door.is_password(password):
            attempts.failed(address)
            fault, status = "That is not the password.", 401
        if fault:
            return form(_local(next), fault, status) if is_page else _refused(fault, status)
        answer = _redirect(_local(next)) if is_page else JSONResponse({"success": True})
        answer.headers["set-cookie"] = door.header(_visitor(request).id, entered=True)
        return answer

    @router.post("/leave")
    def leave(request: Request) -> Response:
        answer = _redirect("/login")
        answer.headers["set-cookie"] = door.header(_visitor(request).id, entered=False)
        return answer


def _links(router: APIRouter) -> None:
    @router.get("/run/{name}")
    def run(name: str) -> Response:
        return _redirect(link_to("train", run=name))

    @router.get("/bot/{name}")
    def bot(name: str) -> Response:
        return _redirect(link_to("bot", name=name))


def _downloads(router: APIRouter, service: Service) -> None:
    @router.get("/picture/{name}")
    def picture(request: Request, name: str) -> Response:
        def found() -> Response:
            path = service.picture(_visitor(request).id, name)
            return (
                _not_found()
                if path is None
                else FileResponse(path, media_type="image/png", headers=_PRIVATE)
            )

        return _answered(found)

    @router.get("/download/{name}")
    def download(request: Request, name: str) -> Response:
        def found() -> Response:
            path = service.export(_visitor(request).id, name)
            return FileResponse(
                path,
                media_type="application/zip",
                filename=f"{name}.zip",
                headers=_PRIVATE,
                background=BackgroundTask(shutil.rmtree, path.parent, ignore_errors=True),
            )

        return _answered(found)

    @router.get("/report/{name}")
    def report(request: Request, name: str) -> Response:
        def found() -> Response:
            path = service.report_page(_visitor(request).id, name)
            if path is None:
                return _not_found()
            policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"
            headers = {**_PRIVATE, "content-security-policy": policy}
            return HTMLResponse(path.read_text("utf-8"), headers=headers)

        return _answered(found)


def _acts(router: APIRouter, service: Service) -> None:
    @router.post("/do/favourite")
    def favourite(
        request: Request, bot: Annotated[str, Body()], text: _Post, on: Annotated[bool, Body()]
    ) -> Response:
        def done() -> Response:
            service.favourite(_visitor(request).id, bot, text, on)
            return JSONResponse({"on": on})

        return _answered(done)

    @router.post("/do/picture")
    def picture(
        request: Request, bot: Annotated[str, Body()], text: _Post, prompt: _Post = ""
    ) -> Response:
        def done() -> Response:
            service.set_picture(_visitor(request).id, bot, text, prompt)
            return JSONResponse({"done": True})

        return _answered(done)


def _answered(ask: Callable[[], Response]) -> Response:
    try:
        return ask()
    except BotError as error:
        return _refused(str(error), 404)
    except HuggingTweetsError as error:
        return _refused(str(error), 400)


def _visitor(request: Request) -> Visitor:
    visitor: Visitor = request.state.visitor
    return visitor


def _local(address: str) -> str:
    """The address if it is a page of ours, else the first page."""
    fine = address.startswith("/") and address[1:2] not in ("/", "\\") and address.isprintable()
    return address if fine else "/"


def _redirect(address: str) -> Response:
    return RedirectResponse(address, 303)


def _not_found() -> Response:
    return _refused("There is nothing here.", 404)


def _refused(sentence: str, status: int) -> Response:
    content: dict[str, Any] = {"error": sentence}
    return JSONResponse(content, status)
