"""trackio's dashboard, reachable from this machine only."""

from __future__ import annotations

import importlib
import io
import time
import webbrowser
from contextlib import redirect_stdout, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from huggingtweets.errors import InputError
from huggingtweets.track.sync import checked

if TYPE_CHECKING:
    from types import TracebackType


class Dashboard:
    """A context manager that serves the dashboard.

    Args:
        project: the project to show.
        port: None for a free one.

    Raises:
        InputError: trackio isn't installed, or the port is taken.
    """

    def __init__(self, project: str, port: int | None) -> None:
        checked("trackio")
        if port is not None and not 1 <= port <= 65535:
            raise InputError(f"--port must be from 1 to 65535, not {port}.")
        self._project, self._port = project, port
        self._server: Any = None
        self.address = ""
        self._full_address = ""

    def __enter__(self) -> Dashboard:
        trackio: Any = importlib.import_module("trackio")
        try:
            with redirect_stdout(io.StringIO()):  # the command prints its own line
                self._server, url, _, self._full_address = trackio.show(
                    project=self._project,
                    open_browser=False,
                    block_thread=False,
                    server_port=self._port,
                    share=False,
                )
        except (OSError, RuntimeError, ValueError) as error:
            raise InputError(f"Can't open trackio's dashboard: {error}") from error
        self.address = f"{url.rstrip('/')}/?project={quote(self._project)}"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(Exception):
            self._server.close()

    def stay(self, *, browser: bool) -> None:
        """Serve, and open the dashboard in a browser if asked to.

        Raises:
            KeyboardInterrupt: the user pressed Ctrl-C. There is no other end.
        """
        if browser:
            webbrowser.open(self._full_address)
        while True:
            time.sleep(3600)
