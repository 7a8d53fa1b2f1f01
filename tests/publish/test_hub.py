"""Publishing with the Hub's real client to a local Hub server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.helpers.runs import finished_run, likeness
from tests.servers.hub import HubServer
from tests.servers.local import Reply, as_json

from huggingtweets.errors import BotError, HuggingTweetsError, InputError, PublishError
from huggingtweets.publish import hub as hubs
from huggingtweets.publish import write_card
from huggingtweets.publish.publication import Publication
from huggingtweets.publish.repository import default_repo_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from huggingtweets.storage.run_folder import RunFolder

TOKEN = "hf_secret"  # noqa: S105 - opens nothing
NAME = ("models", "me/nasa")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "hf"


@pytest.fixture
def hub(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A Hub with an account ``me``, and a client that doesn't wait between retries."""
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    with HubServer({TOKEN: "me", "hf_reads": "me"}) as server:
        server.read_only = {"hf_reads"}
        server.use(monkeypatch, home, TOKEN)
        yield server


@pytest.fixture
def run(tmp_path: Path, tiny_base: Path) -> RunFolder:
    made = finished_run(tmp_path / "runs" / "me", tiny_base)
    write_card(made)
    return made


def publish(run: RunFolder, repo: str | None = None, *, public: bool = False) -> Publication:
    return hubs.execute(hubs.plan(run, repo, public=public))


def there(hub: HubServer) -> dict[str, bytes]:
    repo = hub.repos[NAME]
    return repo.commits[repo.refs["main"]]


def test_bot_is_uploaded_in_one_commit(hub: HubServer, run: RunFolder) -> None:
    (run.bot / "posts.csv").write_text("secret")
    (run.bot / ".env").write_text("secret")
    (run.bot / "vocab.json").symlink_to(run.path / "data" / "kept.parquet")
    (run.bot / "predictions.png").write_bytes(b"\x89PNG")
    planned = hubs.plan(run)
    assert not hub.asked_for("POST|PUT|DELETE")
    assert (planned.new, planned.publication.public) == (True, False)
    done = hubs.execute(planned)
    assert (done.repo, done.url, done.public) == ("me/nasa", f"{hub.url}/me/nasa", False)
    files = there(hub)
    assert sorted(files) == [
        *(".gitattributes", "README.md", "config.json", "generation_config.json"),
        *("model.safetensors", "pipeline.svg", "predictions.png"),
        *("tokenizer.json", "tokenizer_config.json"),
    ]
    for name in set(files) - {".gitattributes"}:
        assert files[name] == (run.bot / name).read_bytes(), name
    assert len(hub.asked_for("POST .*/commit/")) == 1
    assert hub.repos[NAME].readers == frozenset({"me"})
    assert hub.repos[NAME].refs["main"] == done.commit
    card = files["README.md"].decode()
    assert 'model="me/nasa")' in card
    assert f"thumbnail: {hub.url}/me/nasa/resolve/main/predictions.png" in card
    assert Publication.of(run) == done
    everything = "".join(path.read_text(errors="replace") for path in run.path.glob("*.json"))
    assert TOKEN not in everything


def test_second_publication_does_nothing(hub: HubServer, run: RunFolder) -> None:
    publish(run)
    commits = len(hub.repos[NAME].commits)
    write_card(run)  # as `evaluate` does
    assert hubs.plan(run).does_nothing
    publish(run)
    assert len(hub.repos[NAME].commits) == commits


def test_only_changes_are_uploaded(hub: HubServer, run: RunFolder) -> None:
    (run.bot / "merges.txt").write_text("a b")
    publish(run)
    hub.add("models", "me/nasa", {"notes.md": b"of the owner"})
    (run.bot / "merges.txt").unlink()
    (run.bot / "config.json").write_text((run.bot / "config.json").read_text() + "\n")
    planned = hubs.plan(run)
    assert (list(planned.changes), planned.gone) == (["config.json"], ["merges.txt"])
    sent = len(hub.asked_for("PUT /lfs"))
    done = hubs.execute(planned)
    assert done.commit == hub.repos[NAME].refs["main"]
    assert "merges.txt" not in there(hub)
    assert there(hub)["notes.md"] == b"of the owner"
    assert len(hub.asked_for("PUT /lfs")) == sent


def test_private_bot_can_become_public(hub: HubServer, run: RunFolder) -> None:
    publish(run)
    planned = hubs.plan(run, public=True)
    assert planned.opens
    assert not planned.does_nothing
    assert hubs.execute(planned).public
    assert hub.repos[NAME].readers is None
    again = hubs.plan(run)
    assert (again.publication.public, again.does_nothing) == (True, True)


def test_new_bot_can_be_public_in_another_namespace(hub: HubServer, run: RunFolder) -> None:
    assert publish(run, "me/space.bot", public=True).repo == "me/space.bot"
    assert hub.repos["models", "me/space.bot"].readers is None
    assert hubs.plan(run).publication.repo == "me/space.bot"  # the existing repository


# -- what must not be published ------------------------------------------------------------------


def test_too_many_copies_need_a_reason_on_the_card(hub: HubServer, run: RunFolder) -> None:
    hubs.check(run)
    run.report_json.write_text(json.dumps(likeness("NASA", copied=0.021).to_json()))
    for reason in (None, "", " \n"):
        with pytest.raises(InputError, match=r"2\.1 % of the bot's unfiltered posts are copies"):
            hubs.check(run, reason)
    with pytest.raises(InputError, match="--force REASON"):
        hubs.plan(run)
    assert not hub.asked
    done = hubs.execute(hubs.plan(run, reason="slogans\nof <b>NASA</b>"))
    assert done.reason == "slogans of <b>NASA</b>"
    assert b"publish the bot anyway: slogans of &lt;b&gt;NASA" in there(hub)["README.md"]


def test_unneeded_reason_is_not_shown(hub: HubServer, run: RunFolder) -> None:
    hubs.execute(hubs.plan(run, reason="whatever"))
    assert b"all the same" not in there(hub)["README.md"]


def test_opted_out_author_is_not_published(hub: HubServer, run: RunFolder, config: Path) -> None:
    config.mkdir()
    (config / "opt-out.txt").write_text("@nasa\n")
    with pytest.raises(InputError, match="asked not to be imitated"):
        hubs.plan(run)
    assert not hub.asked


def test_unfinished_run_is_not_published(run: RunFolder) -> None:
    run.save(replace(run.record(), state="trained"))
    with pytest.raises(BotError, match="is not finished"):
        hubs.check(run)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer_config.json"])
@pytest.mark.parametrize("link", [False, True])
def test_incomplete_bot_is_not_published(
    hub: HubServer, run: RunFolder, name: str, *, link: bool
) -> None:
    (run.bot / name).rename(run.path / name)
    if link:
        (run.bot / name).symlink_to(run.path / name)
    with pytest.raises(BotError, match="not a complete bot"):
        hubs.plan(run)
    assert not hub.asked_for("POST")


def test_symlinked_bot_is_refused(hub: HubServer, run: RunFolder) -> None:
    run.bot.rename(run.path / "elsewhere")
    run.bot.symlink_to(run.path / "elsewhere")
    with pytest.raises(BotError, match="is not a bot folder"):
        hubs.plan(run)
    assert not hub.asked_for("POST")


# -- where it may go -----------------------------------------------------------------------------


def test_other_repository_is_not_changed(hub: HubServer, run: RunFolder) -> None:
    hub.add("models", "me/nasa", {"README.md": b"---\ntags: [mine]\n---\n", "model.bin": b"x"})
    with pytest.raises(InputError, match=r"is not a huggingtweets bot\. Choose another --repo"):
        hubs.plan(run)


@pytest.mark.parametrize(
    "files",
    [
        {".gitattributes": b""},  # from an interrupted upload
        {"README.md": b"---\ntags: [huggingtweets]\n---\n", "model.safetensors": b"x"},
    ],
)
def test_empty_repository_and_older_bot_are_updated(
    hub: HubServer, run: RunFolder, files: dict[str, bytes]
) -> None:
    hub.add("models", "me/nasa", files)
    assert publish(run).public  # unchanged
    assert there(hub)["config.json"] == (run.bot / "config.json").read_bytes()


@pytest.mark.parametrize(
    ("authors", "name"),
    [
        (["NASA"], "nasa"),
        (["Ann", "bob"], "ann-bob"),
        (["ann@mastodon.social"], "ann-mastodon.social"),
        (["a..b--c  d/e"], "a.b-c-d-e"),
        (["-_.x._-"], "x"),
        (["x" * 200], "x" * 80),
        (["日本x"], "x"),
    ],
)
def test_default_name_is_the_authors_handles(authors: list[str], name: str) -> None:
    assert default_repo_name(authors) == name


def test_unusable_handle_needs_a_repo_name() -> None:
    with pytest.raises(InputError, match="Name one with --repo"):
        default_repo_name(["日本", "../.."])


@pytest.mark.parametrize("name", ["a/b/c", "-x", "a b", "a--b", "x.git", "é", "../x", "x" * 100])
def test_invalid_repo_name_is_refused(hub: HubServer, run: RunFolder, name: str) -> None:
    with pytest.raises(InputError, match="is not a valid repository name"):
        hubs.plan(run, name)
    assert not hub.asked_for("POST")


# -- what goes wrong -----------------------------------------------------------------------------


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize(
    ("token", "told"),
    [
        (None, "not logged in to the Hugging Face Hub: run `hf auth login`"),
        ("hf_wrong", "does not accept your token"),
        ("hf_reads", "has no write access"),
    ],
)
def test_invalid_token_is_refused(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, token: str | None, told: str
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(InputError, match=told) as caught:
        hubs.plan(run)
    assert token is None or token not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("hub")
def test_repository_of_another_user_is_refused(run: RunFolder) -> None:
    planned = hubs.plan(run, "nasa/nasa")
    with pytest.raises(
        InputError, match=r"no write access to nasa/nasa \(You don't have the rights"
    ):
        hubs.execute(planned)
    assert Publication.of(run) is None


def test_name_taken_meanwhile_is_refused(hub: HubServer, run: RunFolder) -> None:
    planned = hubs.plan(run)
    hub.add("models", "me/nasa", {"README.md": b"mine"})
    with pytest.raises(InputError, match=r"me/nasa can't be created \(You already created"):
        hubs.execute(planned)
    assert there(hub) == {"README.md": b"mine"}


def test_concurrent_change_is_reported(hub: HubServer, run: RunFolder) -> None:
    publish(run)
    (run.bot / "config.json").write_text("{}")
    planned = hubs.plan(run)
    hub.add("models", "me/nasa", {"README.md": b"mine"})
    with pytest.raises(PublishError, match="changed by someone else meanwhile"):
        hubs.execute(planned)


@pytest.mark.parametrize("where", ["GET /api/whoami", "GET /api/models", "POST /api/repos", "tree"])
@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (Reply(b"<h1>Service Unavailable</h1>", 503), r"internal error \(503\)"),
        (as_json({}, 429), "Too many requests"),
        (Reply(fault="cut"), "can't be reached or closed the connection"),
    ],
)
def test_hub_error_is_reported(
    hub: HubServer, run: RunFolder, where: str, reply: Reply, told: str
) -> None:
    hub.fail(where, reply)
    if where == "tree":
        hub.add("models", "me/nasa", {})
    with pytest.raises(PublishError, match=told) as caught:
        publish(run)
    assert caught.value.exit_code == 1
    assert "\n" not in str(caught.value)
    assert Publication.of(run) is None


@pytest.mark.parametrize(
    ("where", "reply"),
    [
        ("POST /api/validate-yaml", Reply(b"<h1>Bad Gateway</h1>", 502)),
        ("POST .*/preupload/", Reply(b"", 500)),
        ("POST .*/objects/batch", Reply(b"", 503)),
        ("PUT /lfs/", Reply(fault="cut")),
        ("PUT /lfs/", Reply(b"", 500)),
        ("POST .*/commit/", Reply(fault="cut")),
        ("POST .*/commit/", Reply(b"", 504)),
    ],
)
def test_interrupted_upload_continues(
    hub: HubServer, run: RunFolder, where: str, reply: Reply
) -> None:
    hub.fail(where, reply)
    with pytest.raises(PublishError, match="run the same command again"):
        publish(run)
    assert set(there(hub)) == {".gitattributes"}
    hub.heal()
    sent = len(hub.asked_for("PUT /lfs"))
    publish(run)
    assert set(there(hub)) > {"README.md", "model.safetensors"}
    # files that arrived before the interruption are not sent again
    assert len(hub.asked_for("PUT /lfs")) - sent == (0 if "commit" in where else 1)


def test_client_retries_short_errors(hub: HubServer, run: RunFolder) -> None:
    hub.fail("PUT /lfs/", Reply(fault="cut"), times=1)
    hub.fail("POST .*/objects/batch", Reply(b"", 503), times=2)
    publish(run)
    assert "model.safetensors" in there(hub)


@pytest.mark.usefixtures("hub")
def test_missing_network_is_reported(run: RunFolder) -> None:
    with HubServer() as other:
        hub_of_nobody = other.url
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("huggingface_hub.constants.ENDPOINT", hub_of_nobody)
        with pytest.raises(PublishError, match="can't be reached"):
            hubs.plan(run)
        patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        with pytest.raises(InputError, match="HF_HUB_OFFLINE is set"):
            hubs.plan(run)


def test_rejected_card_is_reported(hub: HubServer, run: RunFolder) -> None:
    answer = {"errors": [{"message": '"licence" is wrong'}], "warnings": []}
    hub.fail("POST /api/validate-yaml", as_json(answer, 400))
    with pytest.raises(HuggingTweetsError, match='"licence" is wrong'):
        publish(run)


# -- the picture ---------------------------------------------------------------------------------


def test_thumbnail_update(hub: HubServer, run: RunFolder) -> None:
    (run.bot / "predictions.png").write_bytes(b"one")
    with pytest.raises(InputError, match="has no bot yet"):
        hubs.thumbnail_plan(hubs.plan(run))
    publish(run)
    (run.bot / "predictions.png").write_bytes(b"two")
    (run.bot / "config.json").write_text("{}")
    planned = hubs.thumbnail_plan(hubs.plan(run))
    assert list(planned.changes) == ["predictions.png"]
    hubs.execute(planned)
    assert there(hub)["predictions.png"] == b"two"
    assert there(hub)["config.json"] != b"{}"


# -- and back ------------------------------------------------------------------------------------


def test_published_bot_loads_with_access(hub: HubServer, run: RunFolder, home: Path) -> None:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError

    publish(run)
    code = (
        "from transformers import pipeline\n"
        "generator = pipeline('text-generation', model='me/nasa')\n"
        "print(*(post['generated_text'] for post in generator('My dream is',"
        " num_return_sequences=2)), sep='\\n')"
    )
    plain = {name: text for name, text in os.environ.items() if not name.startswith("HF_")}
    fresh = hub.environment(home / "fresh", TOKEN) | {"TRANSFORMERS_VERBOSITY": "error"}
    loaded = subprocess.run(
        [sys.executable, "-c", code], env=plain | fresh, capture_output=True, text=True, check=False
    )
    assert loaded.returncode == 0, loaded.stderr
    assert loaded.stdout.count("My dream is") == 2
    with pytest.raises(RepositoryNotFoundError):  # it is private
        HfApi(token=False).model_info("me/nasa")


def test_the_page_is_published_as_a_static_space(
    hub: HubServer, run: RunFolder, tmp_path: Path
) -> None:
    page = tmp_path / "page"
    page.mkdir()
    head = "---\nsdk: static\ntags: [huggingtweets]\n---\n"
    for name in ("README.md", "index.html", "model-01-of-02.bin", "model-02-of-02.bin"):
        (page / name).write_text(head if name == "README.md" else name)
    done = hubs.execute(hubs.page_plan(run, page))
    assert (done.url, done.public) == (f"{hub.url}/spaces/me/nasa", False)
    space = hub.repos["spaces", "me/nasa"]
    assert set(space.commits[space.refs["main"]]) - {".gitattributes"} == {
        file.name for file in page.iterdir()
    }
    assert ("models", "me/nasa") not in hub.repos
    assert Publication.of(run) is None
    assert Publication.of(run, space=True) == done
    assert hubs.page_plan(run, page).does_nothing
    (page / "model-02-of-02.bin").unlink()
    planned = hubs.page_plan(run, page, public=True)
    assert (planned.gone, planned.opens) == (["model-02-of-02.bin"], True)
    assert hubs.execute(planned).public
    assert space.readers is None
