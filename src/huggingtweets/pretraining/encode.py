"""From corpora to encoded rows on disk: curate, train the tokenizer, encode.

    posts ──► curated pieces ──► tokenizer (from a sample of the mix) ──► token ids
    (streamed) (Parquet, removed                                          (16 bits each,
               once encoded)                                               memory-mapped)

What was prepared is kept beside the model and used again as long as the corpora and the choices
that shape it are the same.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from huggingtweets.curation import CurationOptions
from huggingtweets.errors import BotError, InsufficientTextError
from huggingtweets.events import Event, EventHandler
from huggingtweets.pretraining import corpus as corpora_
from huggingtweets.pretraining.bloom_filter import BloomFilter
from huggingtweets.pretraining.corpus import Corpus, Counts
from huggingtweets.pretraining.tokens import append, encode
from huggingtweets.privacy import deleted_posts, opt_out
from huggingtweets.storage import files as atomic

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from transformers import PreTrainedTokenizerFast

    from huggingtweets.privacy.opt_out import OptOut

_SAMPLE_BYTES = 64_000_000
"""Text that the tokenizer is trained on: more doesn't change 8,192 tokens."""

_ORDER = 0
"""Seed of the order of posts, always the same: it decides which are held out, and those that a
later sitting is measured by must not have been read in an earlier one of another seed."""


@dataclass(frozen=True)
class EncodingConfig:
    """What shapes the encoded data.

    Attributes:
        corpora: sources and weights.
        excluded: authors to leave out, lower case.
        author_context: posts of one author in a row.
        vocabulary: tokens of the tokenizer to train.
        context: of the model, in tokens.
        tokenizer: folder of a tokenizer to use instead of training one, or None.
        source: base whose tokenizer that is, where it was made elsewhere.
        opted_out: those who asked not to be imitated, who are left out as well.
        forgotten: posts that are left out because they were deleted.
    """

    corpora: tuple[Corpus, ...]
    excluded: frozenset[str]
    author_context: int
    vocabulary: int
    context: int
    tokenizer: Path | None = None
    source: str | None = None
    opted_out: OptOut = field(default_factory=opt_out.load)
    forgotten: frozenset[str] = field(default_factory=deleted_posts.remembered)

    def fingerprint(self) -> str:
        """Changes when the encoded data would; weights only matter to a tokenizer to be trained."""
        parts: list[Any] = [sorted(self.excluded), self.author_context, _ORDER]
        parts += [(str(Path(c.spec).absolute()), c.weight, _stamps(c.spec)) for c in self.corpora]
        parts += [self.vocabulary, self.context] if self.tokenizer is None else []
        parts += [self.source] if self.source else []
        # where there are none, data that was encoded before they could be is still good
        parts += [self.opted_out.fingerprint()] if self.opted_out else []
        parts += [sorted(self.forgotten)] if self.forgotten else []
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _stamps(spec: str) -> list[tuple[int, int]]:
    """Sizes and times of a corpus' files."""
    path = Path(spec)
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [(s.st_size, s.st_mtime_ns) for f in files if f.is_file() and (s := f.stat())]


@dataclass
class Prepared:
    """Encoded data on disk.

    Attributes:
        folder: that holds it.
        tokenizer: for it.
        corpora: in the order given: name, weight, tokens, posts by what became of them.
        excluded: authors left out, lower case.
        fingerprint: of the corpora and choices it was made from.
    """

    folder: Path
    tokenizer: PreTrainedTokenizerFast
    corpora: list[dict[str, Any]]
    excluded: list[str] = field(default_factory=list)
    fingerprint: str = ""

    def tokens_file(self, number: int) -> Path:
        """Token ids of a corpus."""
        return self.folder / f"{number:02}-{self.corpora[number]['name']}.u16"

    def held_out(self) -> dict[str, list[str]]:
        """The posts of each corpus that are only measured."""
        table = pl.read_parquet(self.folder / "held-out.parquet")
        return {
            str(name): group["text"].to_list()
            for (name,), group in table.group_by("corpus", maintain_order=True)
        }


def prepare(folder: Path, choices: EncodingConfig, listen: EventHandler) -> Prepared:
    """Curate and encode all corpora, or take what stands in ``folder`` from before.

    Raises:
        SourceError: a corpus can't be read.
        TooLittleText: nothing is left of one.
        StorageError: the disk is full.
    """
    fingerprint = choices.fingerprint()
    found = encoded(folder)
    if found is not None and found.fingerprint == fingerprint:
        return found
    with atomic.atomic_write_dir(folder) as building:
        return _Builder(building, choices, listen).build(folder, fingerprint)


def encoded(folder: Path) -> Prepared | None:
    """The encoded data in a folder, or None where there is none.

    Raises:
        BotError: it is damaged.
    """
    from transformers import PreTrainedTokenizerFast

    try:
        record = json.loads((folder / "data.json").read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise BotError(f"{folder / 'data.json'} is damaged: {error}.") from error
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder / "tokenizer")
    return Prepared(folder, tokenizer=tokenizer, **record)


class _Builder:
    """The three steps of :func:`prepare`."""

    def __init__(self, folder: Path, choices: EncodingConfig, listen: EventHandler) -> None:
        self.folder, self.choices, self.listen = folder, choices, listen
        self.counts = [Counts() for _ in choices.corpora]
        self.bytes = [0] * len(choices.corpora)
        self.held_out: list[tuple[str, str]] = []

    def build(self, final: Path, fingerprint: str) -> Prepared:
        seen = BloomFilter()
        for number in range(len(self.choices.corpora)):
            self._curate(number, seen)
        table = pl.DataFrame(self.held_out, schema=["corpus", "text"], orient="row")
        table.write_parquet(self.folder / "held-out.parquet")
        tokenizer = self._tokenizer()
        tokenizer.save_pretrained(self.folder / "tokenizer")
        records = [self._encode(i, tokenizer) for i in range(len(self.choices.corpora))]
        shutil.rmtree(self.folder / "curated")
        record = {
            "corpora": records,
            "excluded": sorted(self.choices.excluded),
            "fingerprint": fingerprint,
        }
        atomic.write_json(self.folder / "data.json", record)
        return Prepared(final, tokenizer=tokenizer, **record)  # type: ignore[arg-type]

    def _curate(self, number: int, seen: BloomFilter) -> None:
        corpus, counts = self.choices.corpora[number], self.counts[number]
        pieces = corpora_.curated_pieces(
            corpus,
            counts,
            seen=seen,
            excluded=self.choices.excluded,
            options=CurationOptions(),
            opted_out=self.choices.opted_out,
        )
        self._pieces(number).mkdir(parents=True)
        for i, piece in enumerate(pieces):
            seed = _ORDER + i
            runs = corpora_.grouped(piece, self.choices.author_context, seed)
            runs, aside = corpora_.hold_out(runs, corpora_.HELD_OUT_PER_CORPUS - counts.held_out)
            texts = [text for run in runs for text in run]
            counts.held_out += len(aside)
            counts.kept += len(texts)
            self.held_out += [(self._name(number), text) for text in aside]
            table = pl.DataFrame({"text": texts}, schema={"text": pl.String})
            self.bytes[number] += int(table["text"].str.len_bytes().sum())
            table.write_parquet(self._pieces(number) / f"{i:06}.parquet")
            self.listen(Event("curate", done=counts.read, message=corpus.name))
        if not counts.kept:
            raise InsufficientTextError(
                f"Nothing is left of the corpus {corpus.spec} after curation "
                f"({counts.read:,} posts read); leave it out."
            )

    def _tokenizer(self) -> PreTrainedTokenizerFast:
        from transformers import PreTrainedTokenizerFast

        from huggingtweets.pretraining.tokenizer import train_tokenizer

        if self.choices.tokenizer is not None:
            found: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(
                self.choices.tokenizer
            )
            return found
        self.listen(Event("encode", message="training the tokenizer"))
        return train_tokenizer(self._sample(), self.choices.vocabulary, self.choices.context)

    def _sample(self) -> Iterator[str]:
        """Text of all corpora in proportion to size times weight, 64 MB at most."""
        weights = [corpus.weight for corpus in self.choices.corpora]
        whole = sum(w * size for w, size in zip(weights, self.bytes, strict=True))
        for number, weight in enumerate(weights):
            share = min(1.0, weight * _SAMPLE_BYTES / whole)
            for file in sorted(self._pieces(number).glob("*.parquet")):
                texts = pl.read_parquet(file)["text"]
                yield from texts.sample(fraction=share, seed=_ORDER).to_list()

    def _encode(self, number: int, tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
        corpus = self.choices.corpora[number]
        record: dict[str, Any] = {
            "name": self._name(number),
            "weight": corpus.weight,
            "bytes": self.bytes[number],
            "posts": asdict(self.counts[number]),
        }
        prepared = Prepared(self.folder, tokenizer, [*[{}] * number, record])
        pieces = self._encoded(number, tokenizer)
        return record | {"tokens": append(prepared.tokens_file(number), pieces)}

    def _encoded(
        self, number: int, tokenizer: PreTrainedTokenizerFast
    ) -> Iterator[NDArray[np.uint16]]:
        done = 0
        for file in sorted(self._pieces(number).glob("*.parquet")):
            texts = pl.read_parquet(file)["text"]
            yield encode(tokenizer, tokenizer.eos_token_id, texts)
            done += len(texts)
            total = self.counts[number].kept
            self.listen(Event("encode", done=done, total=total, message=self._name(number)))

    def _pieces(self, number: int) -> Path:
        return self.folder / "curated" / f"{number:02}"

    def _name(self, number: int) -> str:
        return self.choices.corpora[number].name


def authors_named(values: Sequence[str]) -> frozenset[str]:
    """Handles to leave out, given one by one or as files with one a line."""
    names: set[str] = set()
    for value in values:
        path = Path(value)
        lines = path.read_text("utf-8").split() if path.is_file() else value.split(",")
        names |= {name.strip().removeprefix("@").lower() for name in lines}
    return frozenset(names - {""})
