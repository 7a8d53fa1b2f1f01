"""Errors in the shape of OpenAI's: what clients turn into their own exceptions."""

from __future__ import annotations

import math
from typing import Any

from starlette.responses import JSONResponse

from huggingtweets.errors import BotError, HuggingTweetsError, InputError
from huggingtweets.serving.batch_scheduler import BusyError

_INVALID = "invalid_request_error"


class ApiError(Exception):
    """An error response.

    Attributes:
        status: of the response.
        param: field of the request at fault, if one is.
        kind: OpenAI's ``type``.
        code: OpenAI's ``code``.
        wait: seconds after which the same request may succeed.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        kind: str = _INVALID,
        code: str | None = None,
        wait: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.param, self.kind, self.code = status, param, kind, code
        self.wait = wait

    def body(self) -> dict[str, Any]:
        """The response's JSON."""
        error = {"message": str(self), "type": self.kind, "param": self.param, "code": self.code}
        return {"error": error}

    def response(self) -> JSONResponse:
        """The response."""
        headers = {} if self.wait is None else {"Retry-After": str(math.ceil(self.wait))}
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return JSONResponse(self.body(), self.status, headers)


def bad_value(message: str, param: str, code: str | None = "invalid_value") -> ApiError:
    """The error for a field with a wrong value."""
    return ApiError(400, message, param=param, code=code)


def too_many(message: str, wait: float) -> ApiError:
    """The error for a client above its limit; clients wait and try again by themselves."""
    return ApiError(429, message, kind="requests", code="rate_limit_exceeded", wait=wait)


def from_ours(error: HuggingTweetsError, param: str | None = None) -> ApiError:
    """Turn an error of ours into OpenAI's shape.

    Args:
        error: whose message is meant for users.
        param: field that is too long, if the error is about that.
    """
    if isinstance(error, BusyError):
        return ApiError(503, str(error), kind="server_error", code="overloaded", wait=5)
    if isinstance(error, BotError):
        return ApiError(404, str(error), param="model", code="model_not_found")
    if isinstance(error, InputError):
        code = "context_length_exceeded" if param else "invalid_value"
        return ApiError(400, str(error), param=param, code=code)
    return ApiError(500, str(error), kind="server_error")
