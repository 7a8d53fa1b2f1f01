"""Requests to the API for programs, without a socket."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx

from huggingtweets.web.openai_api.app import Access, make_app

if TYPE_CHECKING:
    from huggingtweets.serving.replicas import AnyService

KEY = "a-key-for-these-tests"


def ask(service: AnyService, access: Access, *requests: httpx.Request) -> list[httpx.Response]:
    """Send requests to an app without a socket."""

    async def send() -> list[httpx.Response]:
        transport = httpx.ASGITransport(make_app(service, access))
        async with httpx.AsyncClient(transport=transport) as one:
            return [await one.send(request) for request in requests]

    return asyncio.run(send())
