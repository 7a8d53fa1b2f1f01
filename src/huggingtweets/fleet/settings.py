"""The settings that all bots of a fleet share."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingtweets.curation import CurationOptions
from huggingtweets.errors import BotError, InputError
from huggingtweets.nn import bases, devices
from huggingtweets.pipeline.options import TrainOptions
from huggingtweets.training import RECIPES, Recipe

if TYPE_CHECKING:
    from huggingtweets.data.batching import SplitRule
    from huggingtweets.fleet.sources import FleetSource

DEFAULT_OUT = Path("fleet")


@dataclass(frozen=True)
class FleetSettings:
    """Settings of a fleet, stored in ``fleet.json``.

    There is no time limit: the same posts give the same bot on a busy machine too.

    Attributes:
        base: as in :class:`~huggingtweets.pipeline.options.TrainOptions`.
        recipe: hyper-parameters, the same for all authors, and the kind of bot: small ones (LoRA)
            by default. The number of epochs follows from the amount of text.
        posts: most training posts of each author, the newest; None for all.
        seed: of the fleet; an author's follows from it and from the author's name.
        holdout: share of each author's posts to hold out.
        split: whether the ``newest`` or ``random`` posts are held out.
        curation: options of curation.
        device: ``cpu``, ``cuda`` or ``mps``.
        precision: ``bf16`` or ``fp32``.
    """

    base: str = field(default_factory=bases.default)
    recipe: Recipe = field(default_factory=lambda: RECIPES["fast"].changed(adapter="lora"))
    posts: int | None = None
    seed: int = 0
    holdout: float = 0.1
    split: SplitRule = "newest"
    curation: CurationOptions = field(default_factory=CurationOptions)
    device: str | None = None
    precision: str | None = None

    def __post_init__(self) -> None:
        if self.posts is not None and self.posts < 1:
            raise InputError(f"--posts must be 1 or more, not {self.posts}.")
        TrainOptions(  # checks the rest
            base=self.base, seed=self.seed, holdout=self.holdout, split=self.split
        )

    def resolved(self) -> FleetSettings:
        """Return the settings with the base's absolute path and this machine's device.

        Raises:
            InputError: this machine doesn't have the device.
        """
        machine = devices.select_device(self.device, self.precision or self.recipe.precision)
        base = Path(self.base).expanduser()
        return replace(
            self,
            base=str(base.absolute())
            if self.base not in bases.BUILT_IN and base.exists()
            else self.base,
            device=machine.device,
            precision=machine.precision,
        )

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> FleetSettings:
        """Read the settings of ``fleet.json``.

        Raises:
            BotError: they are damaged.
        """
        try:
            known = {item.name for item in fields(cls)}
            chosen = {name: value for name, value in values.items() if name in known}
            chosen["recipe"] = Recipe(**chosen["recipe"])
            chosen["curation"] = CurationOptions(**chosen["curation"])
            return cls(**chosen)
        except (KeyError, TypeError, InputError) as error:
            raise BotError(f"The settings in fleet.json are damaged: {error}") from error

    def train_options(self, source: FleetSource, author: str, name: str, out: Path) -> TrainOptions:
        """Return the options of one author's run.

        Args:
            source: where the posts come from.
            author: whose seed it is.
            name: of the run folder.
            out: its parent.
        """
        digest = hashlib.sha256(f"{self.seed}/{author}".encode()).digest()
        return TrainOptions(
            base=self.base,
            recipe=self.recipe,
            name=name,
            out=out,
            seed=int.from_bytes(digest[:8], "big") >> 1,
            holdout=self.holdout,
            split=self.split,
            curation=self.curation,
            text_column=source.text_column,
            speaker=source.speaker,
            author=source.author,
            i_am_the_author=source.i_am_the_author,
            join=source.join,
            keep_names=source.keep_names,
            device=self.device,
            precision=self.precision,
            compiled=False,  # whether it saves time would be measured
            track="none",
        )
