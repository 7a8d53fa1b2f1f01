"""Other people's bots, from which the training of a few posts may start.

They are trained once and kept in a folder. An author's bot starts from the bot of the author who
writes most like the few posts (Cosine Delta, as ``explore`` measures it), or from a mixture: the
other authors are clustered by how they write, the bots of each cluster are merged, and the clusters
are merged by how well each predicts the posts.
"""

from __future__ import annotations

import sys
from functools import cached_property
from typing import TYPE_CHECKING

from benchmarks import studies
from huggingtweets.data import batching
from huggingtweets.errors import InputError
from huggingtweets.evaluation.authorship import panel_by_author
from huggingtweets.exploration.authors import distances
from huggingtweets.nn import language_model, likelihood, merging
from huggingtweets.storage import files
from huggingtweets.training import RECIPES

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from huggingtweets.nn.devices import ComputeDevice
    from huggingtweets.nn.language_model import LanguageModel

CLUSTERS = 3
"""Clusters of the other authors, by style."""

_WEIGHED = 100
"""Newest posts by which clusters are weighed; more cost time and hardly change the weights."""
_ROUNDS = 100


class Others:
    """The other authors and their bots, which are trained when first asked for, and kept.

    Args:
        chosen: the command line's options.
        machine: where to train.
        sources: files by author; no test-only ones.
        folder: keeps the bots.
    """

    def __init__(
        self,
        chosen: argparse.Namespace,
        machine: ComputeDevice,
        sources: dict[str, Path],
        folder: Path,
    ) -> None:
        self._base, self._machine, self._folder = chosen.base, machine, folder
        authors = (studies.read_author(file, chosen.held_out) for file in sources.values())
        self.authors = {author.name: author for author in authors}
        self._posts = chosen.others_posts

    def posts(self, name: str) -> list[str]:
        """The posts that an author's bot is trained on."""
        return self.authors[name].train[-self._posts :]

    def train(self, name: str) -> Path:
        """Train an author's bot if there is none yet; return its folder."""
        folder = self._folder / f"{name}-{self._posts}"
        if not (folder / "config.json").is_file():
            bot = self._load(self._base)
            recipe = RECIPES["fast"].for_base(bot.width)
            studies.train(bot, self.posts(name), self.authors[name], recipe, self._machine, seed=0)
            with files.atomic_write_dir(folder) as temporary:
                bot.save(temporary)
            print(f"trained {name}'s bot", file=sys.stderr, flush=True)
        return folder

    def bot(self, name: str) -> LanguageModel:
        """A new copy of an author's bot."""
        return self._load(self.train(name))

    def _load(self, source: str | Path) -> LanguageModel:
        attention = RECIPES["fast"].attention(self._machine.device)
        return language_model.load(source, attention=attention)

    def without(self, author: str) -> Neighbours:
        """The others as they are for one author, who is not among them.

        Raises:
            InputError: there is nobody else.
        """
        names = [name for name in self.authors if name != author]
        if not names:
            raise InputError(f"There is no author beside {author} whose bot training starts from.")
        return Neighbours(self, author, names, self._machine, self._base)


class Neighbours:
    """Those whose bots an author's bot may start from."""

    def __init__(
        self, others: Others, author: str, names: list[str], machine: ComputeDevice, base: str
    ) -> None:
        self.others, self.author, self.names = others, author, names
        self._machine, self._base = machine, base
        self._panel = panel_by_author(without=[author])

    def nearest(self, posts: Sequence[str]) -> str:
        """Who writes most like these posts."""
        few = list(posts) * 2 if len(posts) == 1 else posts  # distances are between halves
        texts = {name: self.others.posts(name) for name in self.names}
        return distances({self.author: few} | texts, self._panel).nearest(self.author)[0]

    @cached_property
    def clusters(self) -> list[list[str]]:
        """The names, clustered by how they write."""
        from sklearn.cluster import AgglomerativeClustering

        if len(self.names) <= CLUSTERS:
            return [[name] for name in self.names]
        found = distances({name: self.others.posts(name) for name in self.names}, self._panel)
        clustering = AgglomerativeClustering(CLUSTERS, metric="precomputed", linkage="average")
        labels = clustering.fit_predict(found.matrix)
        return [
            [name for name, own in zip(self.names, labels, strict=True) if own == label]
            for label in range(CLUSTERS)
        ]

    @cached_property
    def _cluster_bots(self) -> list[LanguageModel]:
        return [
            self._merged(self.others.bot(name) for name in cluster).to(self._machine)
            for cluster in self.clusters
        ]

    def prepare(self) -> None:
        """Train and merge all bots, so that later times are without that."""
        for name in self.names:
            self.others.train(name)
        _ = self._cluster_bots

    def weights(self, posts: Sequence[str]) -> list[float]:
        """How much each cluster counts in the mixture; equal without posts."""
        bots, newest = self._cluster_bots, posts[-_WEIGHED:]
        return mixture_weights([[_nats(bot, post) for bot in bots] for post in newest], len(bots))

    def mixture(self, weights: Sequence[float]) -> LanguageModel:
        """The clusters' bots merged."""
        return self._merged(self._cluster_bots, weights)

    def _merged(
        self, bots: Iterable[LanguageModel], weights: Sequence[float] | None = None
    ) -> LanguageModel:
        """The weighted mean of bots, of which two at a time are needed."""
        recipe = RECIPES["fast"]
        target = language_model.load(
            self._base, attention=recipe.attention(self._machine.device)
        ).to(self._machine)
        origin = language_model.load(self._base).to(self._machine).model
        total = 0.0
        for at, bot in enumerate(bots):
            weight = weights[at] if weights else 1.0
            total += weight
            share = weight / total
            settings = merging.Settings("linear", (1 - share, share), 1.0, 1.0)
            merging.merge_into(target.model, [bot.to(self._machine).model], origin, settings)
        return target


def mixture_weights(nats: Sequence[Sequence[float]], size: int) -> list[float]:
    """The weights under which a mixture of models explains posts best.

    Each post is written by one of the models; the weights are the shares that expectation
    maximisation finds (Dempster et al. 1977), with one imagined post for each model, so that one
    real post doesn't decide alone.

    Args:
        nats: of each post under each model.
        size: number of models.
    """
    import numpy as np

    weights = np.full(size, 1 / size)
    if nats:
        costs = np.array(nats)
        likelihoods = np.exp(costs.min(axis=1, keepdims=True) - costs)
        for _ in range(_ROUNDS):
            shares = likelihoods * weights
            shares = shares / shares.sum(axis=1, keepdims=True)
            weights = (1 + shares.sum(axis=0)) / (size + len(nats))
    return [float(weight) for weight in weights]


def _nats(bot: LanguageModel, post: str) -> float:
    rows = batching.make_rows(bot.encode_all([post]), bot.separator, bot.context)
    return likelihood.summed_nats(bot.model, rows)
