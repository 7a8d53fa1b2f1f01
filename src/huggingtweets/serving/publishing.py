"""Publishing to the Hub with the visitor's own token, which is never stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from huggingtweets.errors import InputError

if TYPE_CHECKING:
    from huggingtweets.storage.run_folder import RunFolder


def publish(run: RunFolder, repo: str, token: str, *, private: bool, consent: bool) -> str:
    """Upload a bot and its card and return the address of its page.

    Args:
        run: a finished run.
        repo: repository, with or without its owner; empty derives it from the authors.
        token: a Hub token with write permission.
        private: create the repository as private. A public one stays public.
        consent: whether the author is the visitor or has agreed.

    Raises:
        InputError: consent or token is missing, or the bot or repository can't be published.
        PublishError: the upload failed.
    """
    from huggingtweets.publish import hub
    from huggingtweets.publish.repository import hub_token

    if not consent:
        raise InputError("Confirm that you are the author or that the author has agreed.")
    if not token.strip():
        raise InputError(
            "Enter a Hugging Face access token with write permission; create one at "
            "https://huggingface.co/settings/tokens."
        )
    with hub_token(token.strip()):
        planned = hub.plan(run, repo.strip() or None, public=not private)
        if planned.does_nothing:
            return planned.publication.url
        return hub.execute(planned).url
