"""Deleted posts are removed from sweeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pytest
from tests.helpers.posts import made_up_posts, write_csv

from huggingtweets import deletion
from huggingtweets.errors import InputError
from huggingtweets.privacy import deleted_posts
from huggingtweets.storage import files, places
from huggingtweets.sweep import sweep
from huggingtweets.sweep.folder import Settings, SweepFolder
from huggingtweets.sweep.posts import (
    fingerprint,
    load_authors,
    read_authors,
    save_authors,
)
from huggingtweets.sweep.search_space import DEFAULT

if TYPE_CHECKING:
    from pathlib import Path

LEARNT = frozenset({"@ann 3", "@ann 5"})


@pytest.fixture
def swept(tmp_path: Path, config: Path) -> SweepFolder:
    """A sweep over Ann and Bob without trials."""
    assert not config.exists()  # no post is deleted yet
    sources = [
        write_csv(tmp_path / f"{name}.csv", name, made_up_posts(60, seed))
        for seed, name in enumerate(("ann", "bob"))
    ]
    posts = read_authors(sources, holdout=0.2)
    folder = SweepFolder(tmp_path / "here" / "sweep")
    settings = Settings(
        name="sweep",
        sources=[str(source) for source in sources],
        authors=["ann", "bob"],
        fingerprint=fingerprint(posts),
        space=DEFAULT.as_json(),
        objective="robust",
        base="pocket",
        holdout=0.2,
        posts=None,
        seed=0,
        device="cpu",
        precision="fp32",
    )
    folder.create(settings, posts)
    return folder


def test_deleted_posts_leave_a_sweep_and_close_it(swept: SweepFolder) -> None:
    before = load_authors(swept.authors_file)
    assert places.sweeps(swept.path.parent) == [swept.path]
    done = deletion.forget(LEARNT | {"@bob 59"}, [], [swept.path])
    assert done.sweeps == {swept.path: 3}
    assert done.skipped == []
    assert LEARNT | {"@bob 59"} <= deleted_posts.remembered()
    after = load_authors(swept.authors_file)
    for name, lost in (("ann", 2), ("bob", 0)):
        assert len(after[name].train) == len(before[name].train) - lost
        assert set(after[name].train) <= set(before[name].train)
    assert after["bob"].held_out == before["bob"].held_out[:-1]
    assert swept.settings().forgotten == 3
    assert deletion.forget(LEARNT, [], [swept.path]).sweeps == {}
    with pytest.raises(InputError, match=r"^3 posts of .* were deleted by their authors since"):
        sweep.sweep([], sweep.SweepOptions(out=swept.path))


def test_unusable_sweep_is_one_sentence(swept: SweepFolder) -> None:
    with files.locked(swept.path):
        done = deletion.forget(LEARNT, [], [swept.path])
    assert done.skipped == [f"{swept.path} is in use by another process."]
    table = pl.read_parquet(swept.authors_file)
    save_authors(table.drop("id"), swept.authors_file)
    done = deletion.forget(LEARNT, [], [swept.path])
    assert "made before sweeps stored post ids" in done.skipped[0]
    # it can still be read and resumed
    assert load_authors(swept.authors_file).keys() == {"ann", "bob"}
    assert fingerprint(table.drop("id")) == swept.settings().fingerprint
    swept.authors_file.write_bytes(b"no table")
    assert "is damaged" in deletion.forget(LEARNT, [], [swept.path]).skipped[0]
    assert (swept.settings().forgotten, done.sweeps) == (0, {})
