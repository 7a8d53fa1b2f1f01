"""Access control, validation and limits of the service, without training."""

from __future__ import annotations

import json
import os
import shutil
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.helpers.posts import made_up_posts, write_csv
from tests.serving.conftest import ANN, BOB, copy_run, runs_folder_of

from huggingtweets.errors import BotError, HuggingTweetsError, InputError, SourceError, StorageError
from huggingtweets.serving.rate_limit import RateLimit
from huggingtweets.serving.schemas import LOCAL_USER, SAMPLE, TrainingRequest, UpdateRequest
from huggingtweets.serving.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable

    from huggingtweets.storage.run_folder import RunFolder

    Start = Callable[..., Service]

HOSTILE_NAMES = (
    "../ann",
    "..",
    ".",
    "",
    "ann/../ann",
    "/etc",
    "ann\x00",
    ".app",
    "a" * 200,
    "ann~",
)
HOSTILE_VISITORS = ("", "me", "../" + ANN, ANN[:-1] + "/", "..", "short", ANN + "\n")


def all_operations(service: Service, visitor: str, name: str) -> dict[str, Callable[[], object]]:
    """Every operation on a bot."""
    return {
        "status": lambda: service.status(visitor, name),
        "stop": lambda: service.stop_run(visitor, name),
        "resume": lambda: service.resume_run(visitor, name),
        "write": lambda: service.write(visitor, name),
        "favourite": lambda: service.favourite(visitor, name, "Hello there"),
        "set_picture": lambda: service.set_picture(visitor, name, "Hello there"),
        "share": lambda: service.share_links(visitor, name, "Hello there"),
        "quiz": lambda: service.new_quiz(visitor, name),
        "bot": lambda: service.bot(visitor, name),
        "picture": lambda: service.picture(visitor, name),
        "report": lambda: service.report_page(visitor, name),
        "card": lambda: service.card(visitor, name),
        "export": lambda: service.export(visitor, name),
        "publish": lambda: service.publish(visitor, name, "a/b", "hf_token", True, True),
        "update": lambda: service.update(visitor, name, UpdateRequest()),
        "roll_back": lambda: service.roll_back(visitor, name, 1),
        "delete": lambda: service.delete(visitor, name),
    }


def test_other_visitors_runs_are_hidden(tmp_path: Path, shared: Service) -> None:
    assert [bot.name for bot in shared.gallery(ANN)] == ["ann"]
    assert shared.gallery(BOB) == []
    for what, operation in all_operations(shared, BOB, "ann").items():
        with pytest.raises(BotError) as caught:
            operation()
        with pytest.raises(BotError) as for_missing:
            all_operations(shared, BOB, "zoe")[what]()
        assert str(caught.value) == str(for_missing.value).replace("zoe", "ann"), what
    assert (runs_folder_of(tmp_path / "runs", ANN) / "ann" / "bot" / "config.json").is_file()


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_names_with_path_tricks_are_rejected(tmp_path: Path, shared: Service, name: str) -> None:
    before = sorted(tmp_path.rglob("*"))
    for operation in all_operations(shared, ANN, name).values():
        with pytest.raises(BotError):
            operation()
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("visitor", HOSTILE_VISITORS)
def test_invalid_visitor_ids_are_rejected(shared: Service, visitor: str) -> None:
    for operation in all_operations(shared, visitor, "ann").values():
        with pytest.raises(InputError, match="session is invalid"):
            operation()
    with pytest.raises(InputError, match="session is invalid"):
        shared.gallery(visitor)
    with pytest.raises(InputError, match="session is invalid"):
        shared.inspect(visitor, TrainingRequest((SAMPLE,)))


def test_server_without_password_has_one_visitor(start_service: Start) -> None:
    service = start_service()
    assert service.gallery(LOCAL_USER) == []
    with pytest.raises(InputError, match="session is invalid"):
        service.gallery(ANN)


def test_shared_gallery_is_read_only_and_hides_real_posts(
    tmp_path: Path, start_service: Start, finished: RunFolder
) -> None:
    out = tmp_path / "runs"
    run = copy_run(finished, runs_folder_of(out, ANN))
    copy_run(finished, out, "owners")
    service = start_service(shared=True, share_gallery=True)
    service.favourite(ANN, "ann", "Marked by ann")
    owners, anns = sorted(service.gallery(BOB), key=lambda bot: bot.name, reverse=True)
    assert (owners.name.split("~")[0], anns.name.split("~")[0]) == ("owners", "ann")
    assert not owners.mine
    assert not anns.mine
    assert ANN not in anns.name

    kept = run.table("kept")["text"].to_list()
    (post,) = service.write(BOB, anns.name, "The old cat", 1, seed=1)
    assert (post.nearest, post.copied) == (None, False)
    (own,) = service.write(ANN, "ann", "The old cat", 1, seed=1)
    assert own.text == post.text
    assert own.nearest in kept
    page = service.bot(BOB, anns.name)
    page_text = repr(page)
    assert page.favourites == ()
    assert page.report is not None
    assert "Sources" not in dict(page.lineage)
    assert not any(text in page_text for text in kept)
    assert service.report_page(BOB, anns.name) is None
    assert service.picture(BOB, anns.name) is not None
    assert "AI bot" in service.card(BOB, anns.name)
    assert service.share_links(BOB, anns.name, post.text)
    operations = all_operations(service, BOB, anns.name)
    for what in ("status", "stop", "resume", "favourite", "set_picture", "quiz", "export"):
        with pytest.raises(BotError, match=r"no bot|No training"):
            operations[what]()
    for what in ("publish", "delete", "update", "roll_back"):
        with pytest.raises(BotError, match="There is no bot"):
            operations[what]()
    assert run.path.is_dir()


def test_uploads_get_safe_names_and_are_private(tmp_path: Path, shared: Service, csv: Path) -> None:
    for hostile in (
        "../../../etc/passwd.csv",
        "C:\\secrets\\x.csv",
        "..a.csv",
        "\x00<b>.csv",
    ):
        sent = Path(shutil.copy(csv, tmp_path / "sent"))
        kept = shared.keep_upload(ANN, sent, hostile)
        assert kept.parent.parent == tmp_path / "runs/.app/visitors" / ANN / "uploads"
        assert not sent.exists()
        assert kept.stat().st_mode & 0o077 == 0
        assert shared.inspect(ANN, TrainingRequest((str(kept),))).counts["kept"] == 300
    with pytest.raises(SourceError, match="no upload"):
        shared.inspect(BOB, TrainingRequest((str(kept),)))
    inside = kept.parent / ".." / kept.parent.name / kept.name
    with pytest.raises(SourceError, match="no upload"):
        shared.inspect(ANN, TrainingRequest((str(inside),)))


@pytest.mark.parametrize(
    "source", ["/etc/passwd", "../ann.csv", "ann.csv", "", "file:///etc/passwd"]
)
def test_server_files_are_not_sources(start_service: Start, csv: Path, source: str) -> None:
    service = start_service()
    for given in (source, str(csv)):
        with pytest.raises(SourceError, match="no upload"):
            service.inspect(LOCAL_USER, TrainingRequest((given,)))
        with pytest.raises(SourceError, match="no upload"):
            service.submit(LOCAL_USER, TrainingRequest((given,)))


def test_symlinks_in_uploads_are_rejected(start_service: Start, csv: Path) -> None:
    service = start_service()
    kept = service.keep_upload(LOCAL_USER, csv, "ann.csv")
    link = kept.with_name("link.csv")
    link.symlink_to("/etc/hosts")
    with pytest.raises(SourceError, match="no upload"):
        service.inspect(LOCAL_USER, TrainingRequest((str(link),)))


@pytest.mark.parametrize(
    "source",
    [
        *("x:@someone", "hf:someone/posts", "https://x.com/someone"),
        *("https://huggingface.co/datasets/someone/posts", "https://hf.co/datasets/someone/posts"),
    ],
)
def test_visitors_cannot_use_the_owners_tokens(shared: Service, source: str) -> None:
    with pytest.raises(SourceError, match="owner's token"):
        shared.inspect(ANN, TrainingRequest((source,)))


def test_upload_size_type_and_total_are_limited(tmp_path: Path, start_service: Start) -> None:
    service = start_service(max_upload_mb=0.05, total_uploads_mb=0.08)

    def send(size: int, name: str) -> Path:
        sent = tmp_path / "sent"
        sent.write_bytes(b"x" * size)
        return service.keep_upload(LOCAL_USER, sent, name)

    with pytest.raises(InputError, match=r"big.csv is too large: 0 MB, the limit is 0 MB"):
        send(60_000, "big.csv")
    with pytest.raises(InputError, match=r"evil\.exe has an unsupported file type"):
        send(10, "evil.exe")
    send(45_000, "one.csv")
    with pytest.raises(InputError, match="storage for uploads is full"):
        send(45_000, "two.csv")


def test_zip_bomb_is_rejected(tmp_path: Path, start_service: Start) -> None:
    service = start_service()
    bomb = tmp_path / "bomb.zip"
    with (
        zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as packed,
        packed.open("data/tweets.js", "w", force_zip64=True) as member,
    ):
        for _ in range(150):
            member.write(b" " * 1_000_000)
    kept = service.keep_upload(LOCAL_USER, bomb, "bomb.zip")
    with pytest.raises(SourceError) as caught:
        service.inspect(LOCAL_USER, TrainingRequest((str(kept),)))
    assert str(caught.value).startswith("bomb.zip")
    assert str(tmp_path) not in str(caught.value)


def test_markup_in_posts_is_kept_verbatim(tmp_path: Path, start_service: Start) -> None:
    service = start_service()
    hostile = [
        "<script>alert(1)</script> is what I say",
        "![see](https://evil.example/x.png) my picture of it",
        "[click](javascript:alert(1)) this link of mine",
        "{{ 7 * 7 }} {% raw %} and other braces here",
    ]
    source = write_csv(tmp_path / "eve.csv", "<b>eve</b>", hostile + made_up_posts(100))
    kept = service.keep_upload(LOCAL_USER, source, "eve.csv")
    found = service.inspect(LOCAL_USER, TrainingRequest((str(kept),)))
    assert found.counts["downloaded"] == 104
    assert found.kept_examples[0] == hostile[0]
    assert found.authors == ("<b>eve</b>",)
    assert service.submit(LOCAL_USER, TrainingRequest((str(kept),))) == "b_eve_b"


def test_preview_reports_counts_examples_and_estimate(start_service: Start, csv: Path) -> None:
    service = start_service()
    found = service.inspect(LOCAL_USER, TrainingRequest((SAMPLE,), base="pocket"))
    assert found.authors == ("NASA",)
    assert found.counts["downloaded"] == sum(
        number for what, number in found.counts.items() if what != "downloaded"
    )
    assert len(found.kept_examples) == 10
    assert len(set(found.kept_examples)) == 10
    reasons = {one.reason: one for one in found.dropped}
    assert set(reasons) == {"retweets", "short", "duplicates"}
    assert (reasons["retweets"].example or "").startswith("RT @")
    assert found.warning is None
    assert 5 < (found.estimate_seconds or 0) < 3600
    more = service.inspect(LOCAL_USER, TrainingRequest((SAMPLE,), base="pocket", epochs=20))
    assert (more.estimate_seconds or 0) > (found.estimate_seconds or 0)

    little = write_csv(csv.with_name("bo.csv"), "bo", made_up_posts(100))
    kept = str(service.keep_upload(LOCAL_USER, little, "bo.csv"))
    assert "will be better with" in (
        service.inspect(LOCAL_USER, TrainingRequest((kept,))).warning or ""
    )
    less = write_csv(csv.with_name("cy.csv"), "cy", made_up_posts(9))
    kept = str(service.keep_upload(LOCAL_USER, less, "cy.csv"))
    found = service.inspect(LOCAL_USER, TrainingRequest((kept,)))
    assert "at least 6,000" in (found.obstacle or "")
    assert found.names == ("@cy",)  # its column says so


def test_invalid_requests_are_rejected(shared: Service) -> None:
    wrong: dict[str, dict[str, Any]] = {
        "1 to 3 sources": {"sources": ()},
        "not 4": {"sources": (SAMPLE,) * 4},
        "no recipe 'slow'": {"recipe": "slow"},
        "--name must be": {"name": "../up"},
        "epochs must be": {"epochs": 0},
        "learning-rate": {"learning_rate": 7.0},
        "no base '/etc' on this server": {"base": "/etc"},
        "at most 10 epochs": {"epochs": 11},
    }
    for sentence, values in wrong.items():
        with pytest.raises(HuggingTweetsError, match=sentence):
            shared.submit(ANN, TrainingRequest(**{"sources": (SAMPLE,), **values}))
    assert shared.trainings(ANN) == []


def test_new_cookies_do_not_raise_the_rate_limit_of_an_address() -> None:
    rate = RateLimit(2, per_client=3)
    for number in range(6):
        rate.check(f"cookie {number}", "192.0.2.1")
    with pytest.raises(InputError, match="6 a minute for your network address"):
        rate.check("cookie 6", "192.0.2.1")
    rate.check("cookie 7", "192.0.2.2")


def test_rate_limit_says_how_long_to_wait(start_service: Start) -> None:
    now = [0.0]
    rate = RateLimit(3, now=lambda: now[0])
    for visitor in (ANN, BOB):
        for _ in range(3):
            rate.check(visitor)
    now[0] = 20.0
    with pytest.raises(InputError, match="Try again in 40 seconds"):
        rate.check(ANN)
    now[0] = 60.5
    rate.check(ANN)

    service = start_service(requests_a_minute=2)
    for _ in range(2):
        with pytest.raises(BotError):
            service.write(LOCAL_USER, "zoe")
    with pytest.raises(InputError, match="limit is 2 a minute"):
        service.write(LOCAL_USER, "zoe")


def test_queue_is_fair_limited_and_reports_places(start_service: Start) -> None:
    service = start_service(shared=True, most_waiting=3, most_waiting_in_all=5)
    order = TrainingRequest((SAMPLE,))
    for _ in range(3):
        service.submit(ANN, order)
    with pytest.raises(InputError, match="3 unfinished trainings"):
        service.submit(ANN, order)
    assert [service.submit(BOB, order) for _ in range(2)] == ["NASA", "NASA-2"]
    with pytest.raises(InputError, match="training queue is full"):
        service.submit("eve-0123456789abcdef", order)

    def places(visitor: str) -> list[int | None]:
        names = ("NASA", "NASA-2", "NASA-3")
        return [service.status(visitor, name).place for name in names[: 3 if visitor == ANN else 2]]

    assert (places(ANN), places(BOB)) == ([1, 3, 5], [2, 4])
    service.stop_run(ANN, "NASA")
    stopped = service.status(ANN, "NASA")
    assert (stopped.state, stopped.place) == ("stopped", None)
    assert places(BOB) == [1, 3]
    service.delete(BOB, "NASA")
    with pytest.raises(BotError):
        service.status(BOB, "NASA")
    assert [one.name for one in service.trainings(BOB)] == ["NASA-2"]
    service.resume_run(ANN, "NASA")
    assert service.status(ANN, "NASA").place == 4
    with pytest.raises(BotError, match="already waiting or running"):
        service.resume_run(ANN, "NASA")


def test_newest_bot_is_found_without_building_the_gallery(
    tmp_path: Path,
    start_service: Start,
    finished: RunFolder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    service = start_service()
    assert service.newest_bot(LOCAL_USER) == ""
    for name, created_at in (
        ("old", "2026-01-01"),
        ("new", "2026-02-01"),
        ("newest", "2026-03-01"),
    ):
        run = copy_run(finished, tmp_path / "runs", name)
        record = run.record()
        record.created_at = created_at
        record.state = "failed" if name == "newest" else "done"
        run.save(record)
    monkeypatch.setattr(Service, "gallery", None)
    assert service.newest_bot(LOCAL_USER) == "new"
    assert service.newest_bot(LOCAL_USER, other_than="new") == "old"
    service.delete(LOCAL_USER, "old")
    assert service.newest_bot(LOCAL_USER, other_than="new") == "new"


def test_export_contains_the_bot_and_no_real_post(
    tmp_path: Path, start_service: Start, finished: RunFolder
) -> None:
    run = copy_run(finished, tmp_path / "runs")
    # as if the bot had written a real post, which the report quotes
    real = run.table("kept")["text"].to_list()
    report = json.loads(run.report_json.read_text("utf-8"))
    report["longest_copied_run"] |= {"text": real[3], "source_text": real[3]}
    run.report_json.write_text(json.dumps(report), "utf-8")
    run.generations_file.write_text(json.dumps([real[3], "Something new by the bot"]), "utf-8")
    (run.bot / "notes.txt").write_text(real[5], "utf-8")
    service = start_service()
    service.favourite(LOCAL_USER, "ann", real[7])
    made = service.export(LOCAL_USER, "ann")
    with zipfile.ZipFile(made) as packed:
        names = packed.namelist()
        all_operations = b"\n".join(packed.read(name) for name in names)
    assert {"ann/bot/model.safetensors", "ann/bot/config.json", "ann/bot/README.md"} <= set(names)
    assert {"ann/report/likeness.html", "ann/report/likeness.json"} <= set(names)
    assert not any("generations" in name or "notes" in name or "data" in name for name in names)
    assert b"Something new by the bot" in all_operations
    for text in real:
        assert text.encode() not in all_operations
        assert json.dumps(text).encode() not in all_operations
        assert json.dumps(text, ensure_ascii=False).encode() not in all_operations


def test_delete_removes_all_files_of_a_bot(
    tmp_path: Path, start_service: Start, finished: RunFolder
) -> None:
    copy_run(finished, tmp_path / "runs", "other")
    service = start_service()
    before = sorted(tmp_path.rglob("*"))
    copy_run(finished, tmp_path / "runs")
    list(service.write(LOCAL_USER, "ann", n=1))
    service.favourite(LOCAL_USER, "ann", "Hello there")
    service.export(LOCAL_USER, "ann")
    service.new_quiz(LOCAL_USER, "ann", 2)
    service.delete(LOCAL_USER, "ann")
    left = [path for path in tmp_path.rglob("*") if path.name not in ("exports", "jobs")]
    assert sorted(left) == before
    with pytest.raises(BotError):
        service.write(LOCAL_USER, "ann")
    with pytest.raises(BotError):
        service.delete(LOCAL_USER, "ann")
    with pytest.raises(BotError):
        service.delete(LOCAL_USER, ".app")


def test_favourites_and_picture_can_be_set(
    tmp_path: Path, start_service: Start, finished: RunFolder
) -> None:
    run = copy_run(finished, tmp_path / "runs")
    service = start_service()
    for text, on in (("one", True), ("two", True), ("one", True), ("two", False)):
        service.favourite(LOCAL_USER, "ann", text, on)
    assert service.bot(LOCAL_USER, "ann").favourites == ("one",)
    before = run.picture.read_bytes()
    service.set_picture(LOCAL_USER, "ann", "The old cat <b>sings</b>", "The old cat")
    assert run.picture.read_bytes() != before
    for text in ("", "x" * 3_000):
        with pytest.raises(InputError, match="The post is"):
            service.set_picture(LOCAL_USER, "ann", text)


def test_publishing_needs_consent_and_the_visitors_token(
    tmp_path: Path,
    start_service: Start,
    finished: RunFolder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_owner")
    copy_run(finished, tmp_path / "runs")
    service = start_service()
    with pytest.raises(InputError, match="Confirm that you are the author"):
        service.publish(LOCAL_USER, "ann", "me/ann", "hf_mine", True, False)
    with pytest.raises(InputError, match="Enter a Hugging Face access token"):
        service.publish(LOCAL_USER, "ann", "me/ann", " ", True, True)


def test_second_server_on_the_same_folder_is_rejected(start_service: Start) -> None:
    start_service()
    with pytest.raises(StorageError, match="in use by another process"):
        start_service()


def test_secret_is_permanent_and_private(tmp_path: Path, start_service: Start) -> None:
    service = start_service()
    secret = service.secret()
    assert len(secret) == 32
    assert service.secret() == secret
    assert (tmp_path / "runs/.app/secret").stat().st_mode & 0o077 == 0


def test_old_uploads_are_deleted_unless_in_use(
    start_service: Start, csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = start_service()
    needed = service.keep_upload(LOCAL_USER, Path(shutil.copy(csv, tmp_path / "a")), "ann.csv")
    lost = service.keep_upload(LOCAL_USER, Path(shutil.copy(csv, tmp_path / "b")), "ann.csv")
    service.submit(LOCAL_USER, TrainingRequest((str(needed),)))
    fresh = service.keep_upload(LOCAL_USER, Path(shutil.copy(csv, tmp_path / "c")), "ann.csv")
    old = time.time() - 2 * 86_400
    os.utime(fresh, (old, old))  # the file's own time, as its sender may choose it
    os.utime(fresh.parent, (old, old))
    service._cleaned_up_at = 0.0
    service.keep_upload(LOCAL_USER, Path(shutil.copy(csv, tmp_path / "d")), "ann.csv")
    assert fresh.exists()
    present = time.time()
    monkeypatch.setattr(time, "time", lambda: present + 2 * 86_400)
    service._cleaned_up_at = 0.0
    service.keep_upload(LOCAL_USER, csv, "ann.csv")
    assert needed.exists()
    assert not lost.exists()
