"""Turn corpora into encoded rows on disk: curate, train the tokenizer, encode.

    posts ──► curated pieces ──► tokenizer (from a sample of the mix) ──► token ids
    (streamed) (Parquet, removed                                          (16 bits each,
               once encoded)                                               memory-mapped)

The encoded data is stored beside the model and reused while the corpora and the settings that
affect it are unchanged.
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
from huggingtweets.pretraining.bloom_filter import BloomFilter
from huggingtweets.pretraining.corpus import (
    HELD_OUT_PER_CORPUS,
    Corpus,
    Counts,
    curated_pieces,
    grouped,
    hold_out,
)
from huggingtweets.pretraining.tokens import encode, write_tokens
from huggingtweets.privacy import deleted_posts, opt_out
from huggingtweets.storage import files

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from transformers import PreTrainedTokenizerFast

    from huggingtweets.privacy.opt_out import OptOut

_SAMPLE_BYTES = 64_000_000
"""Bytes of text for training the tokenizer; more doesn't change a vocabulary of 8,192 tokens."""

_ORDER_SEED = 0
"""Seed of the order of posts. It is fixed because it determines which posts are held out, and a
session with another seed must not train on posts that a later session measures."""


@dataclass(frozen=True)
class EncodingConfig:
    """The settings that affect encoded data.

    Attributes:
        corpora: sources and weights.
        excluded: authors to exclude, lower case.
        author_context: maximum consecutive posts of one author.
        vocabulary: vocabulary size of the tokenizer to train.
        context: context of the model, in tokens.
        tokenizer: folder of an existing tokenizer; None trains one.
        source: the base that an existing tokenizer belongs to, if it isn't the one in training.
        opted_out: authors who opted out, who are excluded as well.
        forgotten: deleted posts, which are excluded.
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
        """Hash that changes whenever the encoded data would change."""
        parts: list[Any] = [sorted(self.excluded), self.author_context, _ORDER_SEED]
        parts += [
            (str(Path(c.spec).absolute()), c.weight, _file_stamps(c.spec)) for c in self.corpora
        ]
        parts += [self.vocabulary, self.context] if self.tokenizer is None else []
        parts += [self.source] if self.source else []
        # empty ones are omitted, so data from before these settings is reused
        parts += [self.opted_out.fingerprint()] if self.opted_out else []
        parts += [sorted(self.forgotten)] if self.forgotten else []
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _file_stamps(spec: str) -> list[tuple[int, int]]:
    """Sizes and modification times of a corpus' files."""
    path = Path(spec)
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [(s.st_size, s.st_mtime_ns) for f in files if f.is_file() and (s := f.stat())]


@dataclass
class Prepared:
    """Encoded data on disk.

    Attributes:
        folder: folder of the data.
        tokenizer: tokenizer of the data.
        corpora: one record per corpus: name, weight, bytes, tokens, posts by outcome.
        excluded: excluded authors, lower case.
        fingerprint: fingerprint of the corpora and settings.
    """

    folder: Path
    tokenizer: PreTrainedTokenizerFast
    corpora: list[dict[str, Any]]
    excluded: list[str] = field(default_factory=list)
    fingerprint: str = ""

    def tokens_file(self, number: int) -> Path:
        """File with the token ids of a corpus."""
        return self.folder / f"{number:02}-{self.corpora[number]['name']}.u16"

    def held_out(self) -> dict[str, list[str]]:
        """Held-out posts of each corpus."""
        table = pl.read_parquet(self.folder / "held-out.parquet")
        return {
            str(name): group["text"].to_list()
            for (name,), group in table.group_by("corpus", maintain_order=True)
        }


def prepare(folder: Path, config: EncodingConfig, listen: EventHandler) -> Prepared:
    """Curate and encode all corpora, or reuse matching data in ``folder``.

    Raises:
        SourceError: a corpus can't be read.
        InsufficientTextError: no post of a corpus is left after curation.
        StorageError: the disk is full.
    """
    fingerprint = config.fingerprint()
    existing = load_encoded(folder)
    if existing is not None and existing.fingerprint == fingerprint:
        return existing
    with files.atomic_write_dir(folder) as temporary:
        return _Builder(temporary, config, listen).build(folder, fingerprint)


def load_encoded(folder: Path) -> Prepared | None:
    """Load the encoded data in a folder, or return None if there is none.

    Raises:
        BotError: the data is damaged.
    """
    from transformers import PreTrainedTokenizerFast

    try:
        record = files.read_json(folder / "data.json")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise BotError(f"{folder / 'data.json'} is damaged: {error}.") from error
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder / "tokenizer")
    return Prepared(folder, tokenizer=tokenizer, **record)


class _Builder:
    """Curates corpora, trains the tokenizer and encodes the posts."""

    def __init__(self, folder: Path, config: EncodingConfig, listen: EventHandler) -> None:
        self.folder, self.config, self.listen = folder, config, listen
        self.counts = [Counts() for _ in config.corpora]
        self.bytes = [0] * len(config.corpora)
        self.held_out: list[tuple[str, str]] = []

    def build(self, final: Path, fingerprint: str) -> Prepared:
        seen = BloomFilter()
        for number in range(len(self.config.corpora)):
            self._curate(number, seen)
        table = pl.DataFrame(self.held_out, schema=["corpus", "text"], orient="row")
        table.write_parquet(self.folder / "held-out.parquet")
        tokenizer = self._tokenizer()
        tokenizer.save_pretrained(self.folder / "tokenizer")
        records = [self._encode(i, tokenizer) for i in range(len(self.config.corpora))]
        shutil.rmtree(self.folder / "curated")
        record = {
            "corpora": records,
            "excluded": sorted(self.config.excluded),
            "fingerprint": fingerprint,
        }
        files.write_json(self.folder / "data.json", record)
        return Prepared(final, tokenizer=tokenizer, **record)  # type: ignore[arg-type]

    def _curate(self, number: int, seen: BloomFilter) -> None:
        corpus, counts = self.config.corpora[number], self.counts[number]
        pieces = curated_pieces(
            corpus,
            counts,
            seen=seen,
            excluded=self.config.excluded,
            options=CurationOptions(),
            opted_out=self.config.opted_out,
        )
        self._pieces(number).mkdir(parents=True)
        for i, piece in enumerate(pieces):
            seed = _ORDER_SEED + i
            groups = grouped(piece, self.config.author_context, seed)
            groups, held_out = hold_out(groups, HELD_OUT_PER_CORPUS - counts.held_out)
            texts = [text for group in groups for text in group]
            counts.held_out += len(held_out)
            counts.kept += len(texts)
            self.held_out += [(self._name(number), text) for text in held_out]
            table = pl.DataFrame({"text": texts}, schema={"text": pl.String})
            self.bytes[number] += int(table["text"].str.len_bytes().sum())
            table.write_parquet(self._pieces(number) / f"{i:06}.parquet")
            self.listen(Event("curate", done=counts.read, message=corpus.name))
        if not counts.kept:
            raise InsufficientTextError(
                f"No post of the corpus {corpus.spec} is left after curation "
                f"({counts.read:,} posts read); leave this corpus out."
            )

    def _tokenizer(self) -> PreTrainedTokenizerFast:
        from transformers import PreTrainedTokenizerFast

        from huggingtweets.pretraining.tokenizer import train_tokenizer

        if self.config.tokenizer is not None:
            existing: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(
                self.config.tokenizer
            )
            return existing
        self.listen(Event("encode", message="training the tokenizer"))
        return train_tokenizer(self._sample(), self.config.vocabulary, self.config.context)

    def _sample(self) -> Iterator[str]:
        """Sample text of all corpora in proportion to size times weight, at most 64 MB."""
        weights = [corpus.weight for corpus in self.config.corpora]
        total = sum(w * size for w, size in zip(weights, self.bytes, strict=True))
        for number, weight in enumerate(weights):
            share = min(1.0, weight * _SAMPLE_BYTES / total)
            for file in sorted(self._pieces(number).glob("*.parquet")):
                texts = pl.read_parquet(file)["text"]
                yield from texts.sample(fraction=share, seed=_ORDER_SEED).to_list()

    def _encode(self, number: int, tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
        corpus = self.config.corpora[number]
        record: dict[str, Any] = {
            "name": self._name(number),
            "weight": corpus.weight,
            "bytes": self.bytes[number],
            "posts": asdict(self.counts[number]),
        }
        prepared = Prepared(self.folder, tokenizer, [*[{}] * number, record])
        pieces = self._encode_pieces(number, tokenizer)
        return record | {"tokens": write_tokens(prepared.tokens_file(number), pieces)}

    def _encode_pieces(
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
        return self.config.corpora[number].name


def authors_named(values: Sequence[str]) -> frozenset[str]:
    """Parse excluded authors: handles separated by commas, or files with one handle per line."""
    names: set[str] = set()
    for value in values:
        path = Path(value)
        lines = path.read_text("utf-8").split() if path.is_file() else value.split(",")
        names |= {name.strip().removeprefix("@").lower() for name in lines}
    return frozenset(names - {""})
