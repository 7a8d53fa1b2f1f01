"""The ASGI app: who may ask, the routes, and the way from a request to its parts."""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from huggingtweets.errors import HuggingTweetsError
from huggingtweets.serving.completions import Order, PartQueue, abandon
from huggingtweets.serving.rate_limit import SlidingWindow
from huggingtweets.web.clients import TrustedProxies
from huggingtweets.web.openai_api import requests, responses
from huggingtweets.web.openai_api.errors import ApiError, bad_value, from_ours, too_many
from huggingtweets.web.openai_api.metrics import Metrics
from huggingtweets.web.security import OWN_NAMES, SecurityPolicy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from huggingtweets.generation.completions import Part
    from huggingtweets.serving.completions import Asked
    from huggingtweets.serving.replicas import AnyService
    from huggingtweets.web.openai_api.requests import CompletionOrder
    from huggingtweets.web.security import App, Message, Receive, Send

_log = logging.getLogger("uvicorn.error")
_MOST_BYTES = 1_000_000  # of a request
_BODY_SECONDS = 10.0
_MOST_OPEN = 256
"""Requests for completions at a time; each holds a connection."""

_PATHS = ("/v1/models", "/v1/completions", "/v1/chat/completions", "/healthz", "/metrics")


@dataclass(frozen=True)
class Access:
    """Who may ask.

    Attributes:
        key: that clients must send; None for clients of this machine, without one.
        requests_a_minute: limit for each network address; 0 for none.
        origins: sites whose pages may ask, such as ``https://example.org``; ``*`` for all.
        proxies: that may name the client of a request.
    """

    key: str | None = field(default=None, repr=False)
    requests_a_minute: int = 0
    origins: tuple[str, ...] = ()
    proxies: TrustedProxies = field(default_factory=TrustedProxies)


class _Gate:
    """Outermost ASGI middleware: host, origin, size and key of every request."""

    def __init__(self, app: App, access: Access, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics
        self._key, self._origins = access.key, access.origins
        self._checked: App = self._check
        if self._origins:  # it answers the browser's questions, which have no key
            self._checked = CORSMiddleware(
                self._check,
                allow_origins=self._origins,
                allow_methods=("GET", "POST"),
                allow_headers=("*",),
                allow_private_network=True,
                expose_headers=("retry-after",),
            )
        self._policy = SecurityPolicy(hosts=OWN_NAMES if access.key is None else None)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Refuse a request, or pass it on; count it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return

        async def count(message: Message) -> None:
            if message["type"] == "http.response.start":
                path = next((p for p in _PATHS if scope["path"].startswith(p)), "other")
                self._metrics.requests.labels(path, str(message["status"])).inc()
                message["headers"] = [
                    *message["headers"],
                    (b"x-content-type-options", b"nosniff"),
                    (b"cache-control", b"no-store"),
                ]
            await send(message)

        await self._checked(scope, receive, count)

    async def _check(self, scope: Message, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope)
        await (refusal.response() if refusal else self._app)(scope, receive, send)

    def _refusal(self, scope: Message) -> ApiError | None:
        headers = {key.decode("latin1"): value.decode("latin1") for key, value in scope["headers"]}
        if "*" in self._origins or headers.get("origin") in self._origins:
            for name in ("origin", "sec-fetch-site"):  # that site may ask
                headers.pop(name, None)
        refused = self._policy.refusal(scope, headers, _MOST_BYTES)
        if refused is not None:
            return ApiError(*refused)
        if self._key is None or scope["path"] == "/healthz":
            return None
        scheme, _, given = headers.get("authorization", "").partition(" ")
        is_right = hmac.compare_digest(given.strip().encode(), self._key.encode())
        if scheme.lower() == "bearer" and is_right:
            return None
        return ApiError(
            401,
            "This server needs its key: send it as the client's api_key, or in the header "
            "Authorization: Bearer KEY.",
            code="invalid_api_key",
        )


class _Api:
    """The routes."""

    def __init__(self, service: AnyService, access: Access, metrics: Metrics) -> None:
        self._service, self._metrics = service, metrics
        self._proxies, self._reported_proxy = access.proxies, False
        limit = access.requests_a_minute
        self._rate = SlidingWindow(limit) if limit else None
        self._open = 0

    def routes(self) -> list[Route]:
        """Return all routes."""
        return [
            Route("/v1/models", self.models),
            Route("/v1/models/{name:path}", self.model),
            Route("/v1/completions", self.completions, methods=["POST"]),
            Route("/v1/chat/completions", self.chat, methods=["POST"]),
            Route("/healthz", self.health),
            Route("/metrics", self.metrics),
        ]

    async def models(self, request: Request) -> Response:
        """List the bots: all, or a page of ``limit`` bots that follow the one named ``after``."""
        created = self._service.created
        names = list(created)
        limit, after = (request.query_params.get(name) for name in ("limit", "after"))
        if after is not None:
            if after not in created:
                raise bad_value("after must be the id of a model, the last one you have.", "after")
            names = names[names.index(after) + 1 :]
        if limit is None:
            page = names
        elif limit.isascii() and limit.isdigit() and int(limit[:9]) >= 1:
            page = names[: int(limit[:9])]
        else:
            raise bad_value("limit must be a whole number of 1 or more.", "limit")
        found = [_model(name, created[name]) for name in page]
        return JSONResponse({"object": "list", "data": found, "has_more": len(page) < len(names)})

    async def model(self, request: Request) -> Response:
        """Describe one bot."""
        try:
            name = self._service.find(request.path_params["name"])
        except HuggingTweetsError as error:
            raise from_ours(error) from error
        return JSONResponse(_model(name, self._service.created[name]))

    async def completions(self, request: Request) -> Response:
        """Continue prompts."""
        return await self._complete(request, chat=False)

    async def chat(self, request: Request) -> Response:
        """Answer a message with a post that begins with it."""
        return await self._complete(request, chat=True)

    async def health(self, _: Request) -> Response:
        """Tell a supervisor whether new requests are taken."""
        if problem := await run_in_threadpool(self._service.problem):
            return JSONResponse({"status": problem}, 503)
        return JSONResponse({"status": "ok"})

    async def metrics(self, _: Request) -> Response:
        """Show the counters."""
        return Response(self._metrics.page(), media_type=CONTENT_TYPE_LATEST)

    async def _complete(self, request: Request, *, chat: bool) -> Response:
        client = self._client(request)
        self._check_limits(client)
        order = requests.read(await _body(request), chat=chat)
        try:
            order = replace(order, model=self._service.find(order.model))
        except HuggingTweetsError as error:
            raise from_ours(error) from error
        started = time.monotonic()
        parts = PartQueue()
        wanted = Order(
            order.model,
            tuple(order.prompts),
            order.sampling,
            order.wanted,
            client,
            hashtag=order.hashtag,
        )
        try:
            asked = await run_in_threadpool(self._service.submit, wanted, parts)
        except HuggingTweetsError as error:
            raise from_ours(error, order.field) from error
        answer = responses.Answer(
            order,
            [one.shown_prompt for one in asked],
            sum(one.prompt_tokens for one in asked),
        )
        counted = self._counted(order, answer, asked, parts.of(asked), started)
        if order.wanted.stream:
            return StreamingResponse(
                _events(answer, counted),
                media_type="text/event-stream",
                headers={"X-Accel-Buffering": "no"},
            )
        return await self._whole(request, answer, counted)

    async def _whole(
        self, request: Request, answer: responses.Answer, parts: AsyncIterator[Part]
    ) -> Response:
        """Collect all parts, unless the client leaves."""

        async def collect() -> None:
            async for part in parts:
                answer.add(part)

        collecting = asyncio.ensure_future(collect())
        leaving = asyncio.ensure_future(_until_left(request))
        try:
            await asyncio.wait({collecting, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not collecting.done():
                return Response(status_code=499)  # nobody reads it
            await collecting
        finally:
            for task in (collecting, leaving):
                task.cancel()
        return JSONResponse(answer.whole())

    async def _counted(
        self,
        order: CompletionOrder,
        answer: responses.Answer,
        asked: Sequence[Asked],
        parts: AsyncIterator[Part],
        started: float,
    ) -> AsyncIterator[Part]:
        """Pass parts on and count them; whoever stops reading frees their places in the batch."""
        self._open += 1
        self._metrics.open_requests.inc()
        is_first = True
        label = self._service.label(order.model)
        try:
            async for part in parts:
                if is_first:
                    elapsed = time.monotonic() - started
                    self._metrics.first_token.labels(label).observe(elapsed)
                    is_first = False
                yield part
        except HuggingTweetsError as error:
            raise from_ours(error) from error
        finally:
            abandon(asked)
            self._open -= 1
            self._metrics.open_requests.dec()
            self._metrics.seconds.labels(label).observe(time.monotonic() - started)
            tokens = self._metrics.tokens
            tokens.labels(label, "prompt").inc(answer.prompt_tokens)
            tokens.labels(label, "completion").inc(answer.completion_tokens)
            self._metrics.count_rejected(label, asked)

    def _client(self, request: Request) -> str:
        """Return the network address that limits count by; warn once of an undeclared proxy."""
        peer = request.client.host if request.client else ""
        found = self._proxies.client(peer, request.url.scheme, request.headers.raw)
        if found.proxy and not self._reported_proxy:
            self._reported_proxy = True
            _log.warning(
                "Requests are forwarded by %s; if that is your proxy, declare it: "
                "--trusted-proxy %s. Until then all clients behind it share one client's limits.",
                found.proxy,
                found.proxy,
            )
        return found.address

    def _check_limits(self, client: str) -> None:
        if self._open >= _MOST_OPEN:
            raise too_many(f"{self._open} requests are open; try again in a moment.", 5)
        if self._rate is None:
            return
        if wait := self._rate.seconds_to_wait(client):
            raise too_many(
                f"Too many requests: the limit is {self._rate.limit} a minute for each network "
                f"address. Try again in {max(1, round(wait))} s.",
                wait,
            )
        self._rate.record(client)


def make_app(service: AnyService, access: Access) -> App:
    """Build the ASGI app.

    Args:
        service: started and stopped by the caller.
        access: who may ask.
    """
    metrics = Metrics(service)
    handlers: dict[Any, Any] = {
        ApiError: lambda _, error: error.response(),
        HTTPException: _http_error,
        Exception: lambda *_: ApiError(
            500, "The server made an error; its log says which.", kind="server_error"
        ).response(),
    }
    app = Starlette(routes=_Api(service, access, metrics).routes(), exception_handlers=handlers)
    app.router.redirect_slashes = False
    return _Gate(app, access, metrics)


async def _events(answer: responses.Answer, parts: AsyncIterator[Part]) -> AsyncIterator[str]:
    for opening in answer.opening_events():
        yield opening
    try:
        async for part in parts:
            yield answer.event(answer.add(part))
    except ApiError as error:  # the status was sent long ago
        yield responses.event(error.body())
        return
    finally:
        await parts.aclose()  # type: ignore[attr-defined]  # a generator
    for closing in answer.closing_events():
        yield closing


async def _body(request: Request) -> bytes:
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            return await request.body()
    except TimeoutError:
        message = f"The request didn't arrive within {_BODY_SECONDS:.0f} seconds."
        raise ApiError(408, message) from None
    except ClientDisconnect:
        raise ApiError(400, "The request ended too early.") from None


async def _until_left(request: Request) -> None:
    while not await request.is_disconnected():
        await asyncio.sleep(0.5)


def _http_error(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    path = request.url.path[:200]
    message = {
        404: f"Unknown address: {request.method} {path}. There is {', '.join(_PATHS)}.",
        405: f"{path} doesn't take {request.method}.",
    }.get(status, "The request can't be answered.")
    return ApiError(status, message).response()


def _model(name: str, made: int) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": made, "owned_by": "huggingtweets"}
