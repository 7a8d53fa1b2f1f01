"""Small bots of one base behind one server."""

from __future__ import annotations

import json
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.helpers.adapters import random_adapter
from tests.helpers.fleets import write_fleet
from tests.helpers.openai_api import ask

from huggingtweets.errors import BotError, InputError, OptedOutError
from huggingtweets.generation import bots
from huggingtweets.generation.batch_engine import BatchEngine
from huggingtweets.generation.copy_index import CopyIndex
from huggingtweets.nn import adapters, language_model
from huggingtweets.privacy import opt_out
from huggingtweets.serving import fleet as fleet_module
from huggingtweets.serving.batch_scheduler import BusyError
from huggingtweets.serving.completions import CompletionService
from huggingtweets.serving.fleet import Fleet
from huggingtweets.serving.schemas import LOCAL_USER
from huggingtweets.storage.run_folder import RunFolder
from huggingtweets.web.openai_api.app import Access

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from huggingtweets.serving.service import Service

AUTHORS = ("ann", "bob", "cat", "dan")
MEMORY = 1e9


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Path:
    return write_fleet(tmp_path_factory.mktemp("fleet") / "authors", tiny_base, AUTHORS).parent


@pytest.fixture
def own(folder: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    return Path(shutil.copytree(folder, tmp_path / "own"))


@pytest.fixture
def tight(folder: Path) -> Fleet:
    """A fleet with memory for two of its four bots."""
    fleet = Fleet(folder, MEMORY, device="cpu", precision="fp32")
    base = fleet.size
    fleet.open("ann")
    return Fleet(folder, base + 2.5 * (fleet.size - base), device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[CompletionService]:
    fleet = Fleet(folder, MEMORY, device="cpu", precision="fp32")
    made = CompletionService((), fleet=fleet)
    made.start()
    yield made
    made.stop()


def completion(model: str, **body: Any) -> httpx.Request:  # noqa: ANN401
    body = {"model": model, "prompt": "We", "seed": 3, "n": 4, "max_chars": 10_000, **body}
    return httpx.Request("POST", "http://localhost/v1/completions", json=body)


def listing(**query: str) -> httpx.Request:
    return httpx.Request("GET", "http://localhost/v1/models", params=query)


def test_clients_of_different_bots_get_what_each_bot_writes_alone(
    service: CompletionService, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = {}
    for author in AUTHORS:
        bot = bots.open_bot(folder / "authors" / author, "cpu", "fp32")
        posts = bot.generate("We", 4, seed=3, max_chars=10_000)
        alone[author] = {post.text.removeprefix("We").strip() for post in posts}
    assert len(set(map(frozenset, alone.values()))) == len(AUTHORS)

    mixed: set[int] = set()
    step = BatchEngine.step

    def watched(engine: BatchEngine) -> Any:  # noqa: ANN401
        mixed.add(len({row.slot for row in engine.rows}))
        return step(engine)

    monkeypatch.setattr(BatchEngine, "step", watched)
    found: dict[str, set[str]] = {}
    started = threading.Barrier(len(AUTHORS))

    def client(author: str) -> None:
        started.wait()
        (answer,) = ask(service, Access(), completion(author, temperature=0.7))
        found[author] = {choice["text"].strip() for choice in answer.json()["choices"]}

    threads = [threading.Thread(target=client, args=(author,)) for author in AUTHORS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == alone
    assert max(mixed) > 1  # they shared a batch


def test_models_are_listed_in_pages(service: CompletionService) -> None:
    whole, first, last, wrong, unknown = ask(
        service,
        Access(),
        listing(),
        listing(limit="3"),
        listing(limit="3", after="cat"),
        listing(limit="0"),
        listing(after="eve"),
    )
    assert [model["id"] for model in whole.json()["data"]] == list(AUTHORS)
    assert [model["id"] for model in first.json()["data"]] == ["ann", "bob", "cat"]
    assert [model["id"] for model in last.json()["data"]] == ["dan"]
    assert [page.json()["has_more"] for page in (whole, first, last)] == [False, True, False]
    assert wrong.status_code == unknown.status_code == 400


def test_bots_are_counted_as_one_fleet(service: CompletionService) -> None:
    request = httpx.Request("GET", "http://localhost/metrics")
    *_, page = ask(service, Access(), completion("ann"), completion("BOB"), request)
    assert 'huggingtweets_tokens_total{kind="completion",model="fleet"}' in page.text
    assert "bob" not in page.text


def test_names_of_many_bots_are_shortened(service: CompletionService) -> None:
    assert service.describe() == "ann, bob, cat, dan"
    assert service.describe(most=3).startswith("4 bots, such as ann, bob, cat (")
    with pytest.raises(BotError, match="no model 'eve'; it has ann, bob"):
        service.find("eve")


def test_each_bot_has_its_own_copy_index(folder: Path) -> None:
    fleet = Fleet(folder, MEMORY, device="cpu", precision="fp32")
    for author in AUTHORS:
        index = fleet.open(author).bot.index
        assert index is not None
        assert list(index.posts) == bots.training_posts(RunFolder(folder / "authors" / author))
        assert fleet.open(author).overhead > 1000


def test_copies_are_written_again(service: CompletionService) -> None:
    (before,) = ask(service, Access(), completion("ann"))
    written = ["We" + choice["text"] for choice in before.json()["choices"]]
    opened = service._open("ann")
    known = opened.bot.index
    object.__setattr__(opened.bot, "index", CopyIndex(written))
    try:
        (after,) = ask(service, Access(), completion("ann"))
    finally:
        object.__setattr__(opened.bot, "index", known)
    texts = {"We" + choice["text"] for choice in after.json()["choices"]}
    assert texts and not texts & set(written)


def test_the_least_recently_used_bots_are_dropped(tight: Fleet) -> None:
    ann = tight.open("ann")
    tight.open("bob")
    assert tight.open("ann") is ann
    tight.open("cat")
    assert list(tight._open) == [ann.key, tight.open("cat").key]  # bob was dropped
    for author in AUTHORS * 2:
        tight.open(author)
        assert tight.size <= tight._memory
    assert tight.open("ann") is ann  # still referred to here, so read only once


def test_bots_that_are_writing_stay(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_module, "_WAIT_SECONDS", 0.3)
    monkeypatch.setattr(fleet_module, "_ADAPTERS_SHARE", 0)  # room for one
    fleet = Fleet(folder, MEMORY, device="cpu", precision="fp32")
    writing = [fleet.open("ann")]
    with pytest.raises(BusyError, match="room for 1 bots, and all are writing"):
        fleet.open("bob")
    monkeypatch.setattr(fleet_module, "_WAIT_SECONDS", 60)
    assert fleet.open("ann") is writing[0]
    timer = threading.Timer(0.1, writing.clear)  # it has finished
    timer.start()
    assert fleet.open("bob").bot.index is not None
    timer.join()
    assert fleet.in_memory == 1


def test_authors_may_opt_out_while_their_bot_is_in_memory(
    service: CompletionService, config: Path
) -> None:
    assert ask(service, Access(), completion("bob"))[0].status_code == 200
    config.mkdir()
    opt_out.add(["@bob"])
    refused, other = ask(service, Access(), completion("bob"), completion("ann"))
    assert refused.status_code == 400
    assert "asked not to be" in refused.json()["error"]["message"]
    assert other.status_code == 200


def test_bots_with_deleted_posts_are_not_served_to_others(own: Path) -> None:
    for to_others in (False, True):
        fleet = Fleet(own, MEMORY, to_others=to_others, precision="fp32")
        run = RunFolder(own / "authors" / "ann")
        run.save(replace(run.record(), forgotten=0))
        fleet.open("ann")
        run.save(replace(run.record(), forgotten=2))
        if to_others:
            with pytest.raises(BotError, match="out of date"):
                fleet.open("ann")
        else:
            fleet.open("ann")


def test_a_bot_that_was_trained_again_is_read_again(own: Path, tiny_base: Path) -> None:
    fleet = Fleet(own, MEMORY, precision="fp32")
    before = fleet.open("ann")
    bot = own / "authors" / "ann" / "bot"
    shutil.rmtree(bot)
    bot.mkdir()
    adapters.write(random_adapter(language_model.load(tiny_base), 9), bot)
    assert fleet.open("ann") is not before
    shutil.rmtree(bot)
    with pytest.raises(BotError, match="The bot ann can't be used"):
        fleet.open("ann")


def test_bots_of_different_bases_are_refused(own: Path) -> None:
    file = own / "authors" / "cat" / "bot" / adapters.CONFIG
    config = json.loads(file.read_text())
    file.write_text(json.dumps({**config, "base_model_name_or_path": "pocket"}))
    with pytest.raises(InputError, match=r"different bases .*cat: pocket") as refused:
        Fleet(own, MEMORY)
    assert str(refused.value).count(". ") == 0


def test_damaged_bots_cost_the_others_nothing(own: Path, tiny_base: Path) -> None:
    authors = own / "authors"
    (authors / "ann" / "bot" / adapters.CONFIG).write_text("{")
    weights = authors / "bob" / "bot" / adapters.WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-100])
    other = random_adapter(language_model.load(tiny_base), 1)
    adapters.write(replace(other, base_digest="0" * 64), authors / "cat" / "bot")
    shutil.copytree(tiny_base, authors / "whole")
    (authors / "nothing").mkdir()
    fleet = Fleet(own, MEMORY, precision="fp32")
    assert list(fleet.members) == ["bob", "cat", "dan"]
    assert len(fleet.warnings) == 2
    assert "ann is not served: its adapter_config.json is damaged" in fleet.warnings
    assert any("whole is not served: it is a whole model" in text for text in fleet.warnings)
    with pytest.raises(BotError, match=r"The bot bob can't be used: .*damaged"):
        fleet.open("bob")
    with pytest.raises(BotError, match=r"The bot cat can't be used: .*other weights"):
        fleet.open("cat")
    fleet.open("dan")


def test_bot_folders_without_runs_are_served(own: Path) -> None:
    folders = own / "published"
    for author in ("ann", "bob"):
        shutil.copytree(own / "authors" / author / "bot", folders / author)
    (folders / "bob" / "README.md").write_text("on held-out posts of @bob")
    fleet = Fleet(folders, MEMORY, precision="fp32")
    assert fleet.open("ann").bot.index is None
    opt_out_list = opt_out.list_file()
    assert not opt_out_list.exists()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HUGGINGTWEETS_CONFIG", str(own / "config"))
        (own / "config").mkdir()
        opt_out.add(["@bob"])
        with pytest.raises(OptedOutError):
            fleet.open("bob")


@pytest.mark.parametrize(("name", "message"), [("nowhere", "no folder"), ("", "no small bots")])
def test_folders_without_bots_are_refused(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Fleet(tmp_path / name, MEMORY)


def test_visitors_of_the_web_app_write_with_a_fleet(
    own: Path, start_service: Callable[..., Service]
) -> None:
    service = start_service(fleet=own)
    names = {bot.name.partition("~")[0]: bot.name for bot in service.gallery(LOCAL_USER)}
    assert set(names) == set(AUTHORS)
    found = {
        author: {
            post.text
            for post in service.write(LOCAL_USER, names[author], "We", 4, max_chars=2000, seed=3)
        }
        for author in AUTHORS
    }
    assert all(len(posts) == 4 for posts in found.values())
    assert not found["ann"] & found["bob"]
    assert len(service.open_bots) == 0  # all are on the fleet's base
    mixed = list(service.write(LOCAL_USER, names["ann"], "We", 2, blend=names["bob"]))
    assert len(mixed) == 2
    run = RunFolder(own / "authors" / "ann")
    run.save(replace(run.record(), forgotten=2))
    with pytest.raises(BotError, match="out of date"):
        service.write(LOCAL_USER, names["ann"])


def test_a_bot_of_a_fleet_writes_posts_with_its_hashtag(service: CompletionService) -> None:
    wanted = completion("ann", temperature=0.7, hashtag="harbourlife", max_tokens=None)
    (answer,) = ask(service, Access(), wanted)
    assert answer.status_code == 200, answer.text
    assert "#harbourlife" in answer.json()["choices"][0]["text"]
