"""To the Hub with a visitor's own token, which is kept nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from huggingtweets.errors import InputError

if TYPE_CHECKING:
    from huggingtweets.storage.run_folder import RunFolder


def publish(run: RunFolder, repo: str, token: str, *, private: bool, consent: bool) -> str:
    """Upload a bot and its card; returns the address of its page.

    Args:
        run: a finished run.
        repo: name of the repository, with or without its owner; empty for the authors' handles.
        token: of the Hub, one that may write.
        private: whether only the token's owner sees it; what is public already stays so.
        consent: whether the author agreed or is the visitor.

    Raises:
        InputError: there is no consent or no token, or it must not be published, or not there.
        PublishError: the Hub can't be reached.
    """
    from huggingtweets.publish import hub
    from huggingtweets.publish.repository import hub_token

    if not consent:
        raise InputError("Publish a bot only if the author agreed, or is you; then say so.")
    if not token.strip():
        raise InputError(
            "Give a token of the Hugging Face Hub that may write; make one at "
            "https://huggingface.co/settings/tokens."
        )
    with hub_token(token.strip()):
        planned = hub.plan(run, repo.strip() or None, public=not private)
        if planned.does_nothing:
            return planned.publication.url
        return hub.execute(planned).url
