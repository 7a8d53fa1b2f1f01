"""Where a bot was published: ``published.json`` in its run, so that a rerun finds its place."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

from huggingtweets.errors import BotError
from huggingtweets.storage import files

if TYPE_CHECKING:
    from huggingtweets.storage.run_folder import RunFolder


@dataclass(frozen=True, slots=True)
class Publication:
    """A repository on the Hub that holds the bot of a run.

    Attributes:
        repo: its name with its owner.
        url: its page.
        public: whether everybody can see it.
        reason: why it was published although it copies too much, or None.
        commit: the newest that was made from this run; None until an upload has ended.
    """

    repo: str
    url: str
    public: bool = False
    reason: str | None = None
    commit: str | None = None

    @classmethod
    def of(cls, run: RunFolder) -> Publication | None:
        """Where a run's bot was published, None if it never was.

        Raises:
            BotError: the file that says so is damaged.
        """
        file = run.published_file
        try:
            values = json.loads(file.read_text("utf-8"))
            known = {field.name for field in fields(cls)}
            return cls(**{name: value for name, value in values.items() if name in known})
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise BotError(
                f"{file} is damaged; delete it, and name the repository with --repo."
            ) from error

    def save(self, run: RunFolder) -> None:
        """Write it into the run, atomically."""
        files.write_json(run.published_file, asdict(self))
