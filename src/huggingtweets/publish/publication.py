"""Where a bot and its page are published: ``published.json`` and ``published-space.json``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from huggingtweets.decoding import decode
from huggingtweets.errors import BotError
from huggingtweets.storage import files

if TYPE_CHECKING:
    from huggingtweets.storage.run_folder import RunFolder


@dataclass(frozen=True, slots=True)
class Publication:
    """The Hub repository of a run's bot.

    Attributes:
        repo: name with owner.
        url: address of its page.
        public: whether everybody can see it.
        reason: why it was published although it copies too much, or None.
        commit: newest commit from this run; None until the first upload is complete.
    """

    repo: str
    url: str
    public: bool = False
    reason: str | None = None
    commit: str | None = None

    @classmethod
    def of(cls, run: RunFolder, *, space: bool = False) -> Publication | None:
        """Read where a run's bot, or the Space with its page, is published; None if it isn't.

        Raises:
            BotError: the file is damaged.
        """
        file = run.space_file if space else run.published_file
        try:
            return decode(file.read_bytes(), cls)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise BotError(
                f"{file} is damaged. Delete it and name the repository with --repo."
            ) from error

    def save(self, run: RunFolder, *, space: bool = False) -> None:
        """Write the file atomically."""
        files.write_json(run.space_file if space else run.published_file, asdict(self))
