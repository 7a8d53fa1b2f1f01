"""The options of a training."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from huggingtweets.curation import CurationOptions
from huggingtweets.errors import InputError
from huggingtweets.nn import bases
from huggingtweets.training import RECIPES, Recipe

if TYPE_CHECKING:
    from huggingtweets.data.batching import SplitRule

DEFAULT_OUT = Path("runs")


@dataclass(frozen=True)
class TrainOptions:
    """Options of :func:`train`.

    Attributes:
        base: a built-in base (:mod:`huggingtweets.nn.bases`), a model folder, a GGUF file or a
            Hub id. Default: the first built-in base whose weights are on this machine.
        recipe: hyper-parameters.
        minutes: time limit of the whole run; layers, posts and epochs are chosen to fit. None
            means 5 if the recipe leaves the number of epochs open, else no limit.
        name: name of the run folder; None for the authors' handles.
        out: folder that holds the runs.
        seed: seed of the post order, dropout and the report's generations.
        holdout: share of each author's posts to hold out, over 0 and under 1.
        split: whether the ``newest`` or ``random`` posts are held out.
        curation: options of curation.
        text_column: column with the text; None to find it.
        speaker: person whose messages are the posts, for chat exports.
        join: whether messages of a chat that follow each other within two minutes are one post.
        keep_names: whether the names of the other people of a chat stay in the posts.
        author: name of the one author of all sources; None for each source's own.
        i_am_the_author: read accounts that ask not to be used.
        device: ``cpu``, ``cuda``, ``mps`` or None for the fastest available.
        precision: ``bf16``, ``fp32`` or None for the recipe's or the machine's.
        compiled: whether to use ``torch.compile``; None to use it where it saves time.
        checkpoint_seconds: seconds between checkpoints.
        forget: posts to leave out, as lines of :mod:`huggingtweets.privacy.deleted_posts`.
        track: ``trackio``, ``wandb``, ``none``, or None for trackio if it is installed.
        raw_artifacts: whether to send the posts to the tracker, not only their number and digest.
    """

    base: str = field(default_factory=bases.default)
    recipe: Recipe = field(default_factory=lambda: RECIPES["fast"])
    minutes: float | None = None
    name: str | None = None
    out: Path = DEFAULT_OUT
    seed: int = 0
    holdout: float = 0.1
    split: SplitRule = "newest"
    curation: CurationOptions = field(default_factory=CurationOptions)
    text_column: str | None = None
    speaker: str | None = None
    author: str | None = None
    i_am_the_author: bool = False
    device: str | None = None
    precision: str | None = None
    compiled: bool | None = None
    checkpoint_seconds: float = 30.0
    forget: frozenset[str] = frozenset()
    track: str | None = None
    raw_artifacts: bool = False
    join: bool = False
    keep_names: bool = False

    def __post_init__(self) -> None:
        faults = []
        if not 0 < self.holdout < 1:
            faults.append(f"--holdout must be over 0 and under 1, not {self.holdout}")
        if self.split not in ("newest", "random"):
            faults.append(f"--split must be newest or random, not {self.split!r}")
        if self.minutes is not None and not 0 < self.minutes < math.inf:
            faults.append(f"--minutes must be over 0, not {self.minutes}")
        if not self.checkpoint_seconds > 0:
            faults.append(f"--checkpoint-seconds must be over 0, not {self.checkpoint_seconds}")
        if not 0 <= self.seed < 2**63:
            faults.append(f"--seed must be from 0 to 2^63 - 1, not {self.seed}")
        if self.name is not None and not re.fullmatch(r"[\w][\w.+-]{0,99}", self.name):
            faults.append(f"--name must be letters, digits and . _ + - only, not {self.name!r}")
        if faults:
            raise InputError("; ".join(faults) + ".")
