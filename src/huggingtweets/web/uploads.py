"""The route that receives files, in place of Gradio's.

Gradio's keeps whatever arrives, in a folder of all visitors, and answers with the file's path. Ours
reserves room before the first byte, writes into the visitor's own folder, leaves nothing behind
when anything fails, and answers with an id that means nothing to anybody else.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from huggingtweets.errors import InputError, StorageError
from huggingtweets.storage import files
from huggingtweets.web.security import UPLOAD

if TYPE_CHECKING:
    from huggingtweets.serving.service import Service
    from huggingtweets.serving.uploads import Arrivals

_SECONDS_WITHOUT_BYTES = 60.0
_SECONDS_IN_ALL = 3600.0
_MOST_FILES = 3


def routes(service: Service) -> APIRouter:
    """The route, and one that Gradio's page asks for the progress of an upload."""
    router = APIRouter()

    @router.post(UPLOAD)
    async def upload(request: Request) -> Response:
        try:
            async with asyncio.timeout(_SECONDS_IN_ALL):
                return JSONResponse(await _receive(request, service))
        except TimeoutError:
            return PlainTextResponse("The upload took too long; try again.", 408)
        except ClientDisconnect:
            return PlainTextResponse("The upload was cut off.", 400)
        except StorageError as error:
            return PlainTextResponse(str(error), 507)
        except InputError as error:
            return PlainTextResponse(str(error), 413 if "too large" in str(error) else 400)

    @router.get(f"{UPLOAD}_progress")
    async def progress() -> Response:
        """What Gradio's page waits for; the page shows no progress of uploads."""
        return Response('data: {"msg": "done"}\n\n', media_type="text/event-stream")

    return router


async def _receive(request: Request, service: Service) -> list[str]:
    """Write the files of a form to disk and return their ids."""
    visitor, client = request.state.visitor.id, request.state.client.address
    size = int(request.headers.get("content-length", "0"))
    with ExitStack() as stack:
        receiving = service.receiving(visitor, client, size)
        arrivals = await run_in_threadpool(stack.enter_context, receiving)
        with files.wrap_os_errors(Path("the upload")):
            form = _Form(request.headers.get("content-type", ""), arrivals)
            stack.callback(form.close)
            chunks = request.stream()
            while chunk := await asyncio.wait_for(anext(chunks, b""), _SECONDS_WITHOUT_BYTES):
                await run_in_threadpool(form.write, chunk)
            return await run_in_threadpool(form.finish)


class _Form:
    """A form with files, parsed and written to disk as it arrives.

    Args:
        content_type: of the request, with the boundary.
        arrivals: where the files go.

    Raises:
        InputError: it is no such form.
    """

    def __init__(self, content_type: str, arrivals: Arrivals) -> None:
        from python_multipart.multipart import MultipartParser, parse_options_header

        kind, options = parse_options_header(content_type)
        if kind != b"multipart/form-data" or b"boundary" not in options:
            raise InputError("An upload must be a form with a file.")
        self._arrivals = arrivals
        self._stack = ExitStack()
        self._file: BinaryIO | None = None
        self._field, self._disposition, self._value = b"", b"", b""
        self._count, self._ended = 0, False
        self._parser = MultipartParser(
            options[b"boundary"],
            {
                "on_part_begin": self._begin,
                "on_header_field": self._add_field,
                "on_header_value": self._add_value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._open,
                "on_part_data": self._add_data,
                "on_part_end": self._end,
                "on_end": self._finished,
            },
        )

    def write(self, chunk: bytes) -> None:
        """Parse the next bytes."""
        from python_multipart.exceptions import FormParserError

        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise InputError("The upload is not a valid form.") from error

    def finish(self) -> list[str]:
        """Keep the files, all of which must be complete."""
        if not self._ended or not self._count:
            raise InputError("The upload is incomplete or has no file; add it again.")
        return [file.parent.name for file in self._arrivals.finish()]

    def close(self) -> None:
        """Close a file that was not received completely; it is deleted."""
        with suppress(OSError, InputError):
            self._stack.close()

    def _begin(self) -> None:
        self._disposition = b""
        self._file = None

    def _add_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._field.lower() == b"content-disposition":
            self._disposition = self._value
        self._field, self._value = b"", b""

    def _open(self) -> None:
        from python_multipart.multipart import parse_options_header

        _, options = parse_options_header(self._disposition)
        if b"filename" not in options:
            return  # another field, whose value nobody needs
        self._count += 1
        if self._count > _MOST_FILES:
            raise InputError(f"Upload at most {_MOST_FILES} files at a time.")
        name = options[b"filename"].decode("utf-8", "replace")
        self._file = self._stack.enter_context(self._arrivals.create(name))

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file.write(data[start:end])

    def _end(self) -> None:
        self._file = None
        self._stack.close()  # flushes it to disk, and checks its size

    def _finished(self) -> None:
        self._ended = True
