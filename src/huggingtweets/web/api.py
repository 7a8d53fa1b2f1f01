"""HTTP endpoints for programs. They use the same service as the pages and return plain JSON.

The annotations here are what clients are told; the service checks the values.

.. code-block:: python

    from gradio_client import Client

    client = Client("http://127.0.0.1:7860")  # a shared server: auth=("", PASSWORD)
    name = client.predict(sources=["sample"], api_name="/submit")
    client.predict(name=name, api_name="/status")["state"]
    client.predict(name=name, prompt="My dream is", api_name="/write")
"""

from __future__ import annotations

from collections.abc import Callable, Iterator  # noqa: TC003 - Gradio reads annotations
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import gradio as gr
from gradio.events import api

from huggingtweets.arguments import Text, check
from huggingtweets.errors import HuggingTweetsError
from huggingtweets.serving.schemas import TrainingRequest
from huggingtweets.web.waiting import until_done

T = TypeVar("T")

if TYPE_CHECKING:
    from huggingtweets.web.context import PageContext


def add(context: PageContext) -> None:
    """Add the endpoints to the Gradio app that is being built."""
    service, visitor = context.service, context.visitor

    def upload(request: gr.Request, file: gr.FileData) -> str:
        """Upload a file with posts. Returns a source for the other endpoints."""
        return _call(lambda: _upload_id(context, request, file))

    def inspect(  # noqa: PLR0917 - Gradio calls by position
        request: gr.Request,
        sources: list[str],
        author: str = "",
        speaker: str = "",
        join: bool = False,
        keep_names: bool = False,
    ) -> Iterator[dict[str, Any] | None]:
        """Preview sources: counts, example posts, dropped posts, expected training time.

        Yields null once a second while it reads, and the preview last.
        """
        with _gradio_errors():
            options = {"author": author, "speaker": speaker, "join": join}
            order = _order(sources, keep_names=keep_names, **options)
            for found in until_done(partial(service.inspect, visitor(request), order)):
                yield None if found is None else asdict(found)

    def submit(  # noqa: PLR0917 - Gradio calls by position
        request: gr.Request,
        sources: list[str],
        base: str = "",
        recipe: str = "fast",
        epochs: int = 0,
        name: str = "",
        author: str = "",
        speaker: str = "",
        join: bool = False,
        keep_names: bool = False,
    ) -> str:
        """Queue a training. Returns the name of the run."""
        options = {"epochs": epochs, "name": name, "author": author, "speaker": speaker}
        options |= {"join": join, "keep_names": keep_names}
        return _call(
            lambda: service.submit(
                visitor(request),
                _order(sources, base=base, recipe=recipe, **options),
                context.client(request),
            )
        )

    def status(request: gr.Request, name: str) -> dict[str, Any]:
        """The status of a run."""
        return _call(lambda: asdict(service.status(visitor(request), name)))

    def write(  # noqa: PLR0917
        request: gr.Request,
        name: str,
        prompt: str = "",
        n: int = 10,
        temperature: float = 0.7,
        max_chars: int = 280,
        seed: int = -1,
        blend: str = "",
        share: float = 0.5,
        hashtag: str = "",
    ) -> Iterator[list[dict[str, Any]]]:
        """Generate posts; yields all posts so far after each one. -1 is a random seed.

        blend names another bot of the same base, whose probabilities are mixed in by its share.
        hashtag is one of the author's, with or without #, that each post shall have.
        """
        posts: list[dict[str, Any]] = []
        fixed_seed = None if seed == -1 else seed
        with _gradio_errors():
            for post in service.write(
                visitor(request),
                name,
                prompt,
                n,
                temperature,
                max_chars,
                fixed_seed,
                client=context.client(request),
                blend=blend,
                share=share,
                hashtag=hashtag,
            ):
                posts = [*posts, asdict(post)]
                yield posts

    def gallery(request: gr.Request) -> list[dict[str, Any]]:
        """All bots, newest first."""
        return _call(lambda: [asdict(bot) for bot in service.gallery(visitor(request))])

    for function in (upload, inspect, submit, status, write, gallery):
        api(function, api_name=function.__name__, concurrency_limit=None)


def _order(sources: Any, **options: Any) -> TrainingRequest:  # noqa: ANN401 - it checks them
    """A request for a training; options that are 0 or empty keep their default."""
    return TrainingRequest(sources, **{name: value for name, value in options.items() if value})


def _upload_id(context: PageContext, request: gr.Request, file: Any) -> str:  # noqa: ANN401
    values = file if isinstance(file, dict) else {}  # Gradio passes a dict, despite the annotation
    given = check({"path": values.get("path")}, {"path": Text})
    return context.uploaded_file(request, given["path"]).parent.name


def _call(endpoint: Callable[[], T]) -> T:
    """Call the service and turn its errors into Gradio's."""
    with _gradio_errors():
        return endpoint()


@contextmanager
def _gradio_errors() -> Iterator[None]:
    try:
        yield
    except HuggingTweetsError as error:
        raise gr.Error(str(error), print_exception=False) from error
