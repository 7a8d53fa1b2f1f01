"""A visitor updates a bot through the queue of trainings, and goes back to an older version."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.cli.program import contents
from tests.helpers.posts import made_up_posts, write_csv
from tests.helpers.runs import untrained_run
from tests.servers.mastodon import USER, MastodonServer
from tests.serving.conftest import ANN, BOB, copy_run, runs_folder_of, until

from huggingtweets import deletion, evaluation
from huggingtweets.errors import BotError, HuggingTweetsError, InputError, SourceError, StorageError
from huggingtweets.events import ignore
from huggingtweets.serving import updates
from huggingtweets.serving.jobs import ENDED, JobStore
from huggingtweets.serving.schemas import (
    LOCAL_USER,
    Settings,
    Status,
    TrainingRequest,
    UpdateOffer,
    UpdateRequest,
)
from huggingtweets.sources import ReadOptions
from huggingtweets.training import Interrupt
from huggingtweets.web.pages.train import progress_html
from huggingtweets.web.wording import for_browser

if TYPE_CHECKING:
    from collections.abc import Callable

    from huggingtweets.serving.service import Service
    from huggingtweets.storage.run_folder import RunFolder

    Start = Callable[..., Service]

pytestmark = pytest.mark.timeout(1200)  # a worker takes half a minute to start on a busy machine
POSTS = made_up_posts(260)
OLD = 200


@pytest.fixture
def run(tmp_path: Path, tiny_base: Path) -> RunFolder:
    """A bot of ann's first posts, made from a file that is still there."""
    source = write_csv(tmp_path / "ann.csv", "ann", POSTS[:OLD])
    return untrained_run(source, tiny_base, tmp_path / "runs")


@pytest.fixture
def uploaded(run: RunFolder) -> RunFolder:
    """The same from a file that isn't kept."""
    Path(run.record().config["sources"][0]).unlink()
    return run


def upload(
    service: Service, folder: Path, posts: list[str], *, author: str = "ann", me: str = LOCAL_USER
) -> UpdateRequest:
    file = write_csv(folder / "newer.csv", author, posts)
    return UpdateRequest((str(service.keep_upload(me, file, "newer.csv")),))


def ended(service: Service) -> Status:
    until(lambda: service.status(LOCAL_USER, "ann").state in ENDED, "the end of the update")
    return service.status(LOCAL_USER, "ann")


def bot_files(run: RunFolder) -> dict[str, bytes]:
    return {name: data for name, data in contents(run.path).items() if name != ".lock"}


def test_an_update_goes_through_the_queue_and_can_be_taken_back(
    tmp_path: Path, start_service: Start, uploaded: RunFolder
) -> None:
    service = start_service()
    offer = service.bot(LOCAL_USER, "ann").offer
    assert offer is not None
    assert (offer.readable, offer.gone, offer.obstacle) == ((), ("ann.csv",), None)
    with pytest.raises(InputError, match=r"^ann\.csv isn't kept here; add a newer export"):
        service.update(LOCAL_USER, "ann", UpdateRequest())
    request = upload(service, tmp_path, POSTS)
    service.update(LOCAL_USER, "ann", request)
    with pytest.raises(BotError, match="already waiting or running"):
        service.update(LOCAL_USER, "ann", request)
    with pytest.raises(BotError, match="already waiting or running"):
        service.roll_back(LOCAL_USER, "ann", 1)
    [status] = service.trainings(LOCAL_USER)
    assert (status.is_update, status.place) == (True, 1)
    service.stop()
    service = start_service(workers=1)  # the next server goes on with it
    assert [bot.state for bot in service.gallery(LOCAL_USER)] == ["done"]  # used meanwhile
    assert list(service.write(LOCAL_USER, "ann", n=1))
    quiz = service.new_quiz(LOCAL_USER, "ann", 2)

    done = ended(service)
    update = uploaded.record().update
    assert (done.state, done.error) == ("done", None)
    assert done.message == (
        f"It learnt from 60 new posts and is better, with {update['new']:.3f} bits per byte on "
        f"the 13 newest held-out posts instead of {update['old']:.3f}, so it is now version 2."
    )
    assert done.message in progress_html(done)
    assert service.trainings(LOCAL_USER) == []
    newest, oldest = service.bot(LOCAL_USER, "ann").versions
    assert (newest.number, newest.current, newest.new_posts) == (2, True, 60)
    assert (oldest.number, oldest.current, oldest.judged) == (1, False, None)
    assert not list((tmp_path / "runs/.app/uploads").rglob("*.csv"))
    for number in (1, 2):
        service.answer(LOCAL_USER, quiz.id, number, True)
    assert service.bot(LOCAL_USER, "ann").human is None  # the quiz was about version 1

    service.roll_back(LOCAL_USER, "ann", 1)
    assert uploaded.record().version == 1
    assert [one.current for one in service.bot(LOCAL_USER, "ann").versions] == [False, True]
    assert list(service.write(LOCAL_USER, "ann", n=1))
    for number, message in ((1, "is the current version"), (7, "is not kept")):
        with pytest.raises(InputError, match=message) as caught:
            service.roll_back(LOCAL_USER, "ann", number)
        assert str(tmp_path) not in str(caught.value)


def test_failed_and_stopped_updates_say_so_and_leave_the_bot(
    tmp_path: Path, start_service: Start, uploaded: RunFolder
) -> None:
    before = bot_files(uploaded)
    service = start_service(workers=1)
    nothing = upload(service, tmp_path, POSTS[:OLD])
    strangers = upload(service, tmp_path, POSTS, author="annie")
    far = UpdateRequest(("mastodon:@ann@nowhere.invalid",))
    damaged = tmp_path / "newer.zip"
    damaged.write_bytes(b"PK\x03\x04 broken")
    broken = UpdateRequest((str(service.keep_upload(LOCAL_USER, damaged, "newer.zip")),))
    for request, sentence in (
        (nothing, "There is nothing new in the given source since 2024-01-09; the bot stays"),
        (strangers, "newer.csv has posts of annie, but ann imitates @ann. If these are the same "),
        (far, "nowhere.invalid"),
        (broken, "newer.zip"),
    ):
        service.update(LOCAL_USER, "ann", request)
        failed = ended(service)
        assert failed.state == "failed"
        assert failed.is_update
        assert failed.error is not None
        assert sentence in failed.error
        assert str(tmp_path) not in failed.error
        shown = for_browser(failed.error)
        assert shown in progress_html(failed).replace("&#39;", "'")
        assert "--" not in shown
        assert bot_files(uploaded) == before
    assert not list((tmp_path / "runs/.app/uploads").rglob("newer.*"))

    _stop_one(service, tmp_path, uploaded)


def _stop_one(service: Service, tmp_path: Path, uploaded: RunFolder) -> None:
    """Stop an update in its training."""
    record = uploaded.record()
    record.config["recipe"] |= {"epochs": 900, "learning_rate": 1e-6}
    uploaded.save(record)
    before = bot_files(uploaded)
    service.update(LOCAL_USER, "ann", upload(service, tmp_path, POSTS))
    seen: list[Status] = []

    def training() -> bool:
        seen.append(service.status(LOCAL_USER, "ann"))
        assert seen[-1].state not in ENDED, seen[-1]
        return seen[-1].state == "training" and seen[-1].done >= 2

    until(training, "the training of the update")
    assert seen[-1].total > 900
    assert seen[-1].curve
    service.stop_run(LOCAL_USER, "ann")
    stopped = ended(service)
    assert (stopped.state, stopped.is_update, stopped.done) == ("stopped", True, 0)
    until(lambda: not uploaded.is_live(), "the end of the training")
    assert bot_files(uploaded) == before
    assert service.trainings(LOCAL_USER) == []
    with pytest.raises(BotError, match="there is nothing to resume"):
        service.resume_run(LOCAL_USER, "ann")


@pytest.fixture
def short_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports of eight posts."""
    monkeypatch.setattr(evaluation.likeness, "GENERATIONS", 8)


def updated(
    run: RunFolder, request: UpdateRequest, *specs: Path, reading: ReadOptions | None = None
) -> str:
    """Update as a worker does, in this process."""
    reading = reading or ReadOptions()
    return updates.run_update(
        run, request, specs, listen=ignore, interrupt=Interrupt(), reading=reading
    )


@pytest.mark.usefixtures("short_reports")
def test_the_bots_own_sources_are_read_again_if_they_are_there(
    tmp_path: Path, run: RunFolder
) -> None:
    source, gone = write_csv(tmp_path / "ann.csv", "ann", POSTS[1:]), tmp_path / "gone.csv"
    record = run.record()
    record.config["sources"] = [str(source), str(gone)]
    run.save(record)
    assert updates.offer(run, record) == UpdateOffer(("ann.csv",), ("gone.csv",))
    assert updated(run, UpdateRequest()).startswith("It learnt from 60 new posts and is better")
    assert run.record().config["sources"] == [str(source), str(gone)]
    assert "update_sources" not in run.record().config  # the next update reads it again


@pytest.mark.usefixtures("short_reports")
def test_the_author_of_a_file_can_be_named(tmp_path: Path, run: RunFolder) -> None:
    file = write_csv(tmp_path / "annie.csv", "annie", POSTS)
    with pytest.raises(InputError, match="has posts of annie") as caught:
        updated(run, UpdateRequest((str(file),)), file)
    assert for_browser(str(caught.value)).endswith(
        "choose under “Whose posts are in the file?”: ann."
    )
    assert "60 new posts" in updated(run, UpdateRequest((str(file),), author="ann"), file)
    assert run.record().config["update_sources"] == [str(file)]


def test_private_addresses_are_refused_as_in_trainings(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUGGINGTWEETS_DOWNLOADS", str(tmp_path / "downloads"))
    with MastodonServer() as server:
        record = run.record()
        record.config["sources"] = [f"mastodon:@{USER}@{server.host}"]
        run.save(record)
        limits = ReadOptions(limits=Settings(shared=True).download_limits)
        with pytest.raises(SourceError, match="not on the public internet"):
            updated(run, UpdateRequest(), reading=limits)
        assert server.asked == []


def test_limits_count_updates_as_trainings(
    tmp_path: Path, start_service: Start, run: RunFolder
) -> None:
    for name in ("one", "two", "three"):
        copy_run(run, runs_folder_of(tmp_path / "runs", ANN), name)
    service = start_service(shared=True, most_waiting=2, most_waiting_per_client=2)
    service.update(ANN, "one", UpdateRequest(), "203.0.113.1")
    csv = write_csv(tmp_path / "bob.csv", "bob", POSTS)
    order = TrainingRequest((str(service.keep_upload(BOB, csv, "bob.csv")),))
    bobs = service.submit(BOB, order, "203.0.113.2")
    service.update(ANN, "two", UpdateRequest(), "203.0.113.1")
    places = [service.status(ANN, name).place for name in ("one", "two")]
    assert (places, service.status(BOB, bobs).place) == ([1, 3], 2)  # clients take turns
    with pytest.raises(InputError, match="2 unfinished trainings"):
        service.update(ANN, "three", UpdateRequest(), "203.0.113.1")
    service.stop_run(ANN, "two")
    assert service.status(ANN, "two").state == "stopped"
    service.submit(BOB, TrainingRequest(("sample",)), "203.0.113.2")
    with pytest.raises(InputError, match="from your network address"):
        service.update(ANN, "three", UpdateRequest(), "203.0.113.2")
    with pytest.raises(HuggingTweetsError, match="no upload"):
        service.update(ANN, "three", UpdateRequest(order.sources))  # bob's file
    with pytest.raises(HuggingTweetsError, match="owner's token"):
        service.update(ANN, "three", UpdateRequest(("x:@ann",)))
    with pytest.raises(InputError, match="at most 3 sources"):
        UpdateRequest(("sample",) * 4)


def test_bots_that_cant_be_updated_say_why(
    tmp_path: Path, start_service: Start, uploaded: RunFolder, config: Path
) -> None:
    assert not config.exists()
    service = start_service()
    request = upload(service, tmp_path, POSTS)
    deletion.forget(frozenset({"@ann 3"}), [uploaded])
    offer = service.bot(LOCAL_USER, "ann").offer
    assert offer is not None
    assert offer.obstacle is not None
    assert for_browser(offer.obstacle).endswith("deleted since, which an update can't undo.")
    with pytest.raises(BotError, match="an update can't undo"):
        service.update(LOCAL_USER, "ann", request)
    service.resume_run(LOCAL_USER, "ann")  # trains it again, which isn't an update
    assert not service.status(LOCAL_USER, "ann").is_update


def test_a_bot_that_is_used_by_another_program_isnt_rolled_back(
    tmp_path: Path, start_service: Start, uploaded: RunFolder
) -> None:
    service = start_service()
    shutil.copytree(uploaded.path, uploaded.path / "versions" / "7")
    with uploaded.locked(), pytest.raises((BotError, StorageError)):
        service.roll_back(LOCAL_USER, "ann", 7)
    assert uploaded.record().version == 1
    assert not JobStore(tmp_path / "runs/.app").all()
