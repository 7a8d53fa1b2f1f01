"""Posts that the base rewrites, and what a training does with them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.helpers.posts import made_up_posts, write_csv

from huggingtweets import augmentation, pipeline
from huggingtweets.data import batching
from huggingtweets.errors import Interrupted
from huggingtweets.evaluation.authorship import panel_posts, still_by_author
from huggingtweets.generation.rewriting import rewrite
from huggingtweets.nn import language_model
from huggingtweets.pipeline import TrainOptions
from huggingtweets.storage.run_folder import RunFolder
from huggingtweets.training import Interrupt, Recipe, TrainingTask, fit
from huggingtweets.training.recipe import FAST

if TYPE_CHECKING:
    from pathlib import Path

    from huggingtweets.events import Event
    from huggingtweets.nn.devices import ComputeDevice


def changed_words(old: str, new: str) -> list[tuple[str, str]]:
    pairs = zip(old.split(" "), new.split(" "), strict=True)  # the same number of words
    return [(one, other) for one, other in pairs if one != other]


def test_only_lower_case_words_are_replaced_and_the_seed_decides(
    tiny_base: Path, posts: list[str]
) -> None:
    lm = language_model.load(tiny_base)
    given = [*posts[:20], "#MARS 2026 @NASA!", "", "word " * 200]
    new = rewrite(lm, given, 1)
    assert new[20:] == [None, None, None]  # no such word, nothing, longer than the context
    assert new == rewrite(lm, given, 1)
    assert new != rewrite(lm, given, 2)
    for old, text in zip(given[:20], new[:20], strict=True):
        assert text
        changed = changed_words(old, text)
        assert 1 <= len(changed) <= len(old.split()) / 2
        for one, other in changed:
            assert one.strip(".!?,…").islower()
            assert other.strip(".!?,…").islower()


def test_the_filter_drops_what_passes_for_someone_else(posts: list[str]) -> None:
    others = panel_posts()[:20]
    rewritten = [*posts[:20], *others, None]
    kept = still_by_author([*posts[:40], posts[40]], rewritten, authors=["ann"])
    assert sum(kept[:20]) >= 19
    assert sum(kept[20:]) <= 1
    assert not kept[-1]
    assert still_by_author(posts[:1], posts[:1], authors=["ann"]) == [False]


def test_paraphrases_come_from_the_given_posts_and_are_read_again(
    tiny_base: Path, posts: list[str], cpu: ComputeDevice, tmp_path: Path
) -> None:
    import torch

    lm, file = language_model.load(tiny_base), tmp_path / "c" / "paraphrases.json"
    before = {name: weight.clone() for name, weight in lm.model.state_dict().items()}
    messages: list[str] = []

    def listen(event: Event) -> None:
        messages.append(event.message)

    found = augmentation.paraphrases(lm, {"ann": posts[:40]}, file, cpu, seed=0, listen=listen)
    assert found["ann"]
    assert not set(found["ann"]) & set(posts)
    assert all(is_rewritten(text, posts[:40]) for text in found["ann"])
    assert file.stat().st_mode & 0o077 == 0
    assert any("still pass for the author's" in message for message in messages)
    assert all(torch.equal(w, before[n]) for n, w in lm.model.state_dict().items())
    stored = {"ann": ["stored"]}
    file.write_text(json.dumps(stored))
    assert augmentation.paraphrases(lm, {"ann": posts[:40]}, file, cpu, seed=0) == stored
    file.write_text("{damaged")
    assert augmentation._read(file) is None


def is_rewritten(text: str, posts: list[str]) -> bool:
    """Whether a text has the words of one of the posts, but for less than half of them."""
    return any(
        len(text.split(" ")) == len(post.split(" "))
        and 2 * len(changed_words(post, text)) < len(text.split(" "))
        for post in posts
    )


def test_a_resumed_training_has_the_same_paraphrases_and_none_of_a_held_out_post(
    tiny_base: Path, tmp_path: Path, cpu: ComputeDevice
) -> None:
    source = write_csv(tmp_path / "ann.csv", "ann", made_up_posts(120))
    recipe = FAST.changed(augment="paraphrase", epochs=2, learning_rate=3e-3, batch_tokens=256)
    options = TrainOptions(
        base=str(tiny_base),
        recipe=recipe,
        out=tmp_path,
        holdout=0.3,
        device="cpu",
        precision="fp32",
    )
    interrupt = Interrupt()
    interrupt.requested = True
    with pytest.raises(Interrupted) as stopped:
        pipeline.train([source], options, interrupt=interrupt)
    run = RunFolder(stopped.value.run or tmp_path)
    stored = json.loads(run.paraphrases_file.read_text("utf-8"))["ann"]
    kept = run.table("kept")
    held_out = batching.texts_by_author(kept, "held_out", ["ann"])["ann"]
    train = batching.texts_by_author(kept, "train", ["ann"])["ann"]
    assert all(is_rewritten(text, train) for text in stored)
    assert not set(stored) & set(held_out)
    resumed = pipeline.resume(run.path).record()
    assert not run.paraphrases_file.exists()
    assert resumed.config["recipe"]["augment"] == "paraphrase"
    assert resumed.result["paraphrases"] == len(stored) > 20
    assert "| augment | paraphrase |" in (run.bot / "README.md").read_text("utf-8")
    base = language_model.load(tiny_base, attention="eager")
    task = TrainingTask(base, [train + stored], held_out, Recipe(**resumed.config["recipe"]), cpu)
    uninterrupted = fit(task)
    for key in ("history", "best", "steps", "tokens"):
        assert resumed.result[key] == getattr(uninterrupted, key), key
