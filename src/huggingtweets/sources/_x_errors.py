"""What X means when it gives no posts."""

from __future__ import annotations

import re
from dataclasses import dataclass

from huggingtweets.errors import SourceError
from huggingtweets.sources._fields import as_dict, as_list
from huggingtweets.sources._x_client import NOT_IT

_CONSOLE = "https://console.x.com"


@dataclass(frozen=True, slots=True)
class XErrors:
    """Sentences about one account.

    Attributes:
        handle: whose.
        place: where the token was found.
    """

    handle: str
    place: str

    def explain(self, status: int, answer: object) -> str | None:
        """Tell what a status means, and the problem in the JSON that came with it."""
        problem = _problem(answer)
        if status == 402 or re.search(r"credit|spend", problem):
            return (
                "The developer account of your token for X has no credits left, or has reached its "
                f"spending limit; see {_CONSOLE}. The archive that X offers you costs nothing."
            )
        if re.search(r"usage.?cap", problem):
            return (
                "The developer account of your token for X has read as much as it may this month; "
                f"see {_CONSOLE}."
            )
        return self._by_status(status, problem)

    def _by_status(self, status: int, problem: str) -> str | None:
        if status == 400 and "pagination_token" in problem:
            return (
                "X no longer knows the place where the last download stopped; delete state.json "
                "in the folder of the download, and the newest posts are read first again."
            )
        if status == 401:
            return (
                f"X doesn't accept the token in {self.place}; copy the bearer token of your app "
                f"from {_CONSOLE} anew."
            )
        if status == 403:
            return (
                f"X doesn't let the app of the token in {self.place} read posts; at {_CONSOLE} put "
                "it into a project whose plan has read access, such as pay-per-use."
            )
        return self._not_there if status in (404, 410) else None

    def without_data(self, answer: dict[str, object]) -> SourceError:
        """Tell what an answer without data means: X sends these with the status 200."""
        problem = _problem(answer)
        if "suspended" in problem:
            return SourceError(f"@{self.handle} is suspended on X; there is nothing to read.")
        if "not-authorized" in problem or "not authorized" in problem:
            return self.protected
        if "not-found" in problem or "not find" in problem:
            return SourceError(self._not_there)
        return SourceError(f"X answered with something that is no posts. {NOT_IT}")

    @property
    def protected(self) -> SourceError:
        """The account shows its posts only to followers."""
        return SourceError(
            f"@{self.handle} shows their posts only to followers, so they can't be read from X; "
            "if it is you, give the archive that X offers you."
        )

    @property
    def _not_there(self) -> str:
        return f"@{self.handle} is not on X; check the handle."


def _problem(answer: object) -> str:
    """Put all that X says about problems into one text to search, never to be shown."""
    found = as_dict(answer)
    problems = [found, *map(as_dict, as_list(found.get("errors")))]
    names = ("title", "detail", "type", "message", "reason")
    return " ".join(str(one.get(name, "")) for one in problems for name in names).lower()
