"""Can the most sensible of several drafts be chosen? Scores beside posts that a person read.

    python benchmarks/ranking.py --run runs/demo

"Sample and rank" draws several posts and keeps the one that a model finds likeliest (Adiwardana et
al. 2020, arXiv 2001.09977). Each score is compared with what a reader said of 160 unpicked posts of
the demo bot: the area under the ROC curve (0.5 is chance), and the share of sensible posts among
those with the best score of two, four and eight drawn at random.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from huggingtweets.generation import bots
from huggingtweets.nn import bases, language_model

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from huggingtweets.nn.language_model import LanguageModel

READ = Path(__file__).parents[1] / "docs" / "lab" / "read-nasa.json"
DRAWS = 3000


def token_nats(lm: LanguageModel, posts: list[str]) -> list[np.ndarray]:
    """Return the surprise of each token of each post, its end included, in nats."""
    import torch

    found = []
    for post in posts:
        ids = torch.tensor([[lm.separator, *lm.encode(post), lm.separator]], device=lm.device)
        with torch.inference_mode():
            logits = lm.model(input_ids=ids[:, :-1], use_cache=False).logits[0].float()
        nats = torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="none")
        found.append(nats.cpu().numpy())
    return found


def best_of(scores: np.ndarray, sensible: np.ndarray, drafts: int) -> float:
    """Return how often the draft with the highest score is sensible."""
    import numpy as np

    rng = np.random.default_rng(0)
    drawn = (rng.choice(len(scores), drafts, replace=False) for _ in range(DRAWS))
    return float(np.mean([sensible[some[np.argmax(scores[some])]] for some in drawn]))


def main() -> None:
    """Read the posts, score them with three models and print the table."""
    import numpy as np
    from sklearn.metrics import roc_auc_score

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, default=Path("runs/demo"), help="the bot's run")
    parser.add_argument("--read", type=Path, default=READ, help="posts with `read_as`")
    args = parser.parse_args()
    read = json.loads(args.read.read_text("utf-8"))
    posts = [one["text"] for one in read]
    sensible = np.array([one["read_as"] == "sensible" for one in read])
    names = ("sensible", "nonsense", "broken")
    print(*(f"{sum(one['read_as'] == name for one in read)} {name}" for name in names), sep=", ")
    models: dict[str, Callable[[], LanguageModel]] = {
        "the bot": lambda: bots.open_bot(args.run).model,
        "its base": lambda: language_model.load("smollm2-posts"),
        "SmolLM2": lambda: language_model.load(bases.SMOLLM2.name),
    }
    scores = {"fewest hashtags and handles": [-len(re.findall(r"[#@]\w", post)) for post in posts]}
    for model, load in models.items():
        nats = token_nats(load(), posts)
        scores[f"mean log-probability, {model}"] = [-one.mean() for one in nats]
        scores[f"log-probability, {model}"] = [-one.sum() for one in nats]
        scores[f"least surprising worst token, {model}"] = [-one.max() for one in nats]
    print("| score | AUC | best of 2 | of 4 | of 8 |\n|---|---:|---:|---:|---:|")
    for name, values in scores.items():
        array = np.array(values)
        shares = " | ".join(f"{best_of(array, sensible, k):.0%}" for k in (2, 4, 8))
        print(f"| {name} | {roc_auc_score(sensible, array):.2f} | {shares} |")


if __name__ == "__main__":
    main()
