"""Explain the errors of the X API."""

from __future__ import annotations

import re
from dataclasses import dataclass

from huggingtweets.errors import SourceError
from huggingtweets.sources._fields import as_dict, as_list
from huggingtweets.sources._x_client import PROXY_HINT

_CONSOLE = "https://console.x.com"


@dataclass(frozen=True, slots=True)
class XErrors:
    """Error messages for one account.

    Attributes:
        handle: of the account.
        token_place: where the token was found.
    """

    handle: str
    token_place: str

    def explain(self, status: int, answer: object) -> str | None:
        """Explain a status and the problem in the JSON of the response; None if unknown."""
        problem = _problem(answer)
        if status == 402 or re.search(r"credit|spend", problem):
            return (
                "The developer account of your token for X has no credits left, or has reached its "
                f"spending limit; see {_CONSOLE}. The archive that X offers you is free."
            )
        if re.search(r"usage.?cap", problem):
            return (
                "The developer account of your token for X has reached its monthly usage cap; "
                f"see {_CONSOLE}."
            )
        return self._by_status(status, problem)

    def _by_status(self, status: int, problem: str) -> str | None:
        if status == 400 and "pagination_token" in problem:
            return (
                "X no longer accepts the position where the last download stopped; delete "
                "state.json in the folder of the download to start again from the newest posts."
            )
        if status == 401:
            return (
                f"X rejects the token in {self.token_place}; copy the bearer token of your app "
                f"again from {_CONSOLE}."
            )
        if status == 403:
            return (
                f"The app of the token in {self.token_place} may not read posts; at {_CONSOLE} "
                "move it into a project whose plan has read access, such as pay-per-use."
            )
        return self._not_found if status in (404, 410) else None

    def missing_data(self, answer: dict[str, object]) -> SourceError:
        """Return the error for a response without data, which X sends with status 200."""
        problem = _problem(answer)
        if "suspended" in problem:
            return SourceError(f"@{self.handle} is suspended on X; there is nothing to read.")
        if "not-authorized" in problem or "not authorized" in problem:
            return self.protected
        if "not-found" in problem or "not find" in problem:
            return SourceError(self._not_found)
        return SourceError(f"X sent a response without posts. {PROXY_HINT}")

    @property
    def protected(self) -> SourceError:
        """The error for an account that shows its posts only to followers."""
        return SourceError(
            f"@{self.handle} shows posts only to followers, so they can't be read from X; "
            "if it is your account, give the archive that X offers you."
        )

    @property
    def _not_found(self) -> str:
        return f"@{self.handle} is not on X; check the handle."


def _problem(answer: object) -> str:
    """Join everything X says about problems into one text, for searching only."""
    body = as_dict(answer)
    problems = [body, *map(as_dict, as_list(body.get("errors")))]
    names = ("title", "detail", "type", "message", "reason")
    return " ".join(str(problem.get(name, "")) for problem in problems for name in names).lower()
