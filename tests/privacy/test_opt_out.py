"""Authors on the opt-out list are refused in every source, under any alias, and in pre-training."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from tests.helpers.posts import made_up_posts, write_csv
from tests.servers.bluesky import DID, HANDLE, BlueskyServer, item
from tests.sources.cases import CASES, samples

from huggingtweets.curation import CurationOptions
from huggingtweets.errors import InputError, OptedOutError, SourceError, StorageError
from huggingtweets.pretraining.bloom_filter import BloomFilter
from huggingtweets.pretraining.corpus import Corpus, Counts, curated_pieces
from huggingtweets.pretraining.encode import EncodingConfig
from huggingtweets.privacy import opt_out
from huggingtweets.sources import ReadOptions, open_source, read_posts
from huggingtweets.storage import files
from huggingtweets.storage.user_dirs import config_folder, downloads_folder

if TYPE_CHECKING:
    from pathlib import Path

    from tests.sources.cases import Case

SHA = "sha256:" + hashlib.sha256(b"ann").hexdigest()


@pytest.fixture
def listed(config: Path) -> Path:
    """An opt-out list with one handle."""
    config.mkdir()
    (config / "opt-out.txt").write_text("@Ann\n")
    return config / "opt-out.txt"


def test_location_of_the_list(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HUGGINGTWEETS_CONFIG", str(tmp_path / "c"))
    assert opt_out.list_file() == tmp_path / "c" / "opt-out.txt"
    monkeypatch.delenv("HUGGINGTWEETS_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "x"))
    assert config_folder() == tmp_path / "x" / "huggingtweets"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert config_folder() == tmp_path / ".config" / "huggingtweets"


def test_a_missing_list_is_empty(config: Path) -> None:
    assert not opt_out.load()
    opt_out.check(["ann", ""])
    assert not config.exists()


@pytest.mark.parametrize(
    ("line", "handle"),
    [
        ("@Ann", "ann"),
        ("ann", "@ANN"),
        ("x:@ann  # asked on Monday", "ann"),
        ("\ufeffTwitter:ann", "ann"),
        ("bsky:Name.bsky.social", "name.bsky.social"),
        ("name.bsky.social", "bsky:@name.bsky.social"),
        ("mastodon:@Ann@server.example", "ann@server.example"),
        ("mastodon:ann@localhost:3000", "ann@localhost:3000"),
        ("did:plc:abcd", "did:plc:abcd"),
        ("Ädä", "äDÄ"),
        (SHA, "@Ann"),
        (SHA.upper(), "ann"),
    ],
)
def test_names(config: Path, line: str, handle: str) -> None:
    config.mkdir()
    opt_out.list_file().write_text(f"{line}\n# nobody\n\n", "utf-8")
    assert opt_out.load().contains(handle)
    assert not opt_out.load().contains("nobody")
    assert not opt_out.load().contains("ann@other.example")
    assert not opt_out.load().contains("")
    with pytest.raises(OptedOutError, match=r"asked not to be imitated \(see .*opt-out\.txt\)"):
        opt_out.check(["somebody", handle])


@pytest.mark.parametrize(
    "line", ["@", "ann, bob", "ann bob", "sha256:abc", "@a@b@c", "https://x.com/ann", "x" * 300]
)
def test_a_damaged_line_is_one_sentence(config: Path, line: str) -> None:
    config.mkdir()
    opt_out.list_file().write_text(f"# all\n\n{line}\n")
    with pytest.raises(InputError, match=r"^Line 3 of .*opt-out\.txt is not a handle"):
        opt_out.load()
    with pytest.raises(InputError, match="Line 3"):
        opt_out.add(["bob"])
    assert opt_out.list_file().read_text().splitlines()[2] == line


def test_a_list_that_cannot_be_read(config: Path) -> None:
    config.mkdir()
    opt_out.list_file().write_bytes(b"ann\nb\xf6b\n")
    with pytest.raises(InputError, match=r"Line 2 of .* is not UTF-8"):
        opt_out.load()
    opt_out.list_file().unlink()
    opt_out.list_file().mkdir()
    with pytest.raises(InputError, match=r"opt-out\.txt can't be read: Is a directory"):
        opt_out.load()


def test_add_keeps_comments_and_knows_who_is_there(config: Path) -> None:
    assert opt_out.add(["Ann", "@ann", "bsky:b.example"]) == ["ann", "b.example"]
    text = "@ann\nb.example\n"
    assert opt_out.list_file().read_text() == text
    opt_out.list_file().write_text("# these\n" + text)
    before = opt_out.list_file().stat().st_mtime_ns
    assert opt_out.add(["@ANN"]) == []
    assert opt_out.list_file().stat().st_mtime_ns == before
    assert opt_out.add(["c@d.example"]) == ["c@d.example"]
    assert opt_out.list_file().read_text() == "# these\n" + text + "@c@d.example\n"
    assert {path.name for path in config.iterdir()} <= {"opt-out.txt", ".lock"}
    for wrong in ("", "a b", "#x", "@", "\udcff"):
        with pytest.raises(InputError, match="is not a handle"):
            opt_out.add(["zoe", wrong])
    assert not opt_out.load().contains("zoe")


@pytest.mark.usefixtures("config")
def test_a_hashed_list_names_nobody() -> None:
    opt_out.add(["ann", "bob"])
    assert opt_out.add(["@Ann", "Ada Lovelace"], hashed=True)[0] == SHA
    text = opt_out.list_file().read_text()
    assert "ann" not in text.lower()
    assert "lovelace" not in text
    assert "@bob" in text
    for name in ("ann", "bob", "ada lovelace"):
        assert opt_out.load().contains(name)
    assert opt_out.add(["ann", SHA], hashed=True) == []
    assert opt_out.add(["ann"]) == []  # she stays unnamed
    assert opt_out.list_file().read_text() == text


def test_two_processes_do_not_undo_each_others_lines(config: Path) -> None:
    config.mkdir()
    with files.locked(config), pytest.raises(StorageError, match="by another process"):
        opt_out.add(["ann"])
    assert not opt_out.load()


def test_an_interrupted_write_leaves_the_list_whole(
    listed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(_path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("huggingtweets.storage.files.sync", stopped)
    with pytest.raises(KeyboardInterrupt):
        opt_out.add(["bob"])
    assert listed.read_text() == "@Ann\n"
    assert {path.name for path in listed.parent.iterdir()} <= {"opt-out.txt", ".lock"}


# -- sources ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_source_is_refused_whatever_its_alias(
    case: Case, tmp_path: Path, config: Path
) -> None:
    folder = tmp_path / "posts"
    folder.mkdir()
    author = next(iter(case.write(folder, samples(3)).posts())).author
    opt_out.add([author], hashed=True)
    spec = folder if "/" in (case.file or "") else folder / (case.file or "")
    for alias in (None, "somebody"):
        with pytest.raises(OptedOutError, match="asked not to be imitated"):
            read_posts([spec], ReadOptions(author=alias))
    assert config.exists()


def test_the_alias_and_any_of_several_authors(listed: Path, tmp_path: Path) -> None:
    assert listed.exists()
    bob = write_csv(tmp_path / "b.csv", "bob", ["one"])
    with pytest.raises(OptedOutError, match="@ann asked"):
        open_source(bob, ReadOptions(author="@ann"))
    both = tmp_path / "both.csv"
    both.write_text("author,text\nbob,one\nann,two\n")
    with pytest.raises(OptedOutError, match="@ann asked"):
        read_posts([bob, both])
    assert read_posts([bob], ReadOptions(author="me"))["author"].to_list() == ["me"]


def test_an_account_is_refused_before_any_request(
    listed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUGGINGTWEETS_DOWNLOADS", str(tmp_path / "downloads"))
    listed.write_text(f"{HANDLE.upper()}\nname@server.example\n")
    with BlueskyServer([item(1)]) as server:
        monkeypatch.setenv("HUGGINGTWEETS_BSKY_APPVIEW", server.url)
        for reading in (ReadOptions(), ReadOptions(author="me"), ReadOptions(i_am_the_author=True)):
            with pytest.raises(OptedOutError, match=f"@{HANDLE} asked"):
                open_source(f"bsky:{HANDLE}", reading)
        with pytest.raises(OptedOutError, match=r"@name@server\.example asked"):
            open_source("https://server.example/@name")
        assert server.asked == []
        # The handle of a DID is known only after a request; nothing is stored.
        with pytest.raises(OptedOutError, match=f"@{HANDLE} asked"):
            read_posts([f"bsky:{DID}"])
        assert not list(downloads_folder().rglob("posts.jsonl"))


def test_other_accounts_are_read_under_any_name(
    listed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert listed.exists()
    monkeypatch.setenv("HUGGINGTWEETS_DOWNLOADS", str(tmp_path / "downloads"))
    with BlueskyServer([item(1)]) as server:
        monkeypatch.setenv("HUGGINGTWEETS_BSKY_APPVIEW", server.url)
        source = open_source(f"bsky:{HANDLE}", ReadOptions(author="me"))
        assert source.name == "bluesky"
        assert [post.author for post in source.posts()] == ["me"]


def test_a_speaker_needs_a_chat_export(listed: Path, tmp_path: Path) -> None:
    assert listed.exists()
    bob = write_csv(tmp_path / "b.csv", "bob", ["one"])
    with pytest.raises(SourceError, match="names a person in an export of chats"):
        read_posts([bob], ReadOptions(speaker="bob"))


# -- pre-training ----------------------------------------------------------------------------------


def test_pretraining_leaves_them_out_and_counts_them(listed: Path, tmp_path: Path) -> None:
    assert listed.exists()
    texts = made_up_posts(6)
    rows = zip(("ann", "Ann", "bob", "bob", "zoe", "zoe"), texts, strict=True)
    path = tmp_path / "c.csv"
    path.write_text("author,text\n" + "".join(f'{who},"{text}"\n' for who, text in rows))
    counts = Counts()
    kept = curated_pieces(
        Corpus(str(path)),
        counts,
        seen=BloomFilter(),
        excluded=frozenset({"zoe"}),
        options=CurationOptions(),
        opted_out=opt_out.load(),
    )
    assert [piece["author"].to_list() for piece in kept] == [["bob", "bob"]]
    assert (counts.read, counts.excluded) == (6, 4)


def test_an_opt_out_makes_encoded_data_stale(config: Path, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "b.csv", "bob", ["one"])

    def fingerprint() -> str:
        corpora = (Corpus(str(path)),)
        return EncodingConfig(corpora, frozenset(), 1, vocabulary=9, context=9).fingerprint()

    before = fingerprint()
    opt_out.add(["ann"])
    after = fingerprint()
    assert before != after == fingerprint()
    assert config.exists()
