# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: tags,-all
#     formats: ipynb,text//py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # From your posts to a bot that writes like you
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/huggingtweets/huggingtweets/blob/main/notebooks/huggingtweets.ipynb)
#
# This is the whole story in one notebook: raw posts, what is kept of them, training, an honest look
# at what came of it, new posts, and what would be published. It runs on a plain CPU in a few minutes
# and uses NASA's tweets of 2015, which come with the package. **Everything that is written here is
# written by an AI bot; nobody at NASA said it.** Your posts stay on the machine that this runs on.

# %%
from importlib.util import find_spec

from IPython import get_ipython

if find_spec("huggingtweets") is None:  # as in a fresh Colab
    get_ipython().run_line_magic("pip", "install --quiet huggingtweets")

# %%
import json
import warnings
from pathlib import Path

import polars as pl
from IPython.display import Image, Markdown, display

import huggingtweets as ht
from huggingtweets import publish, sources
from huggingtweets.plots import run_plots
from huggingtweets.sample import sample_path

warnings.filterwarnings("ignore", "IProgress not found")  # progress bars that aren't used here

# %% [markdown]
# Change the first line to make a bot of your own posts: the zip of your X archive, a Mastodon or
# Telegram export, a table (`.csv`, `.json`, `.parquet`, `.txt`), or an account such as
# `"bsky:you.bsky.social"`.

# %% tags=["parameters"]
SOURCE = sample_path()
NEWEST = None  # only so many of the newest posts; None for all
EPOCHS = None  # passes over the posts; None for the recipe's
OUT = Path("runs")

# %% [markdown]
# ## 1. Your posts
#
# One table, wherever they come from. Nothing has been decided yet: retweets and replies are still in
# it.

# %%
posts = sources.read_posts([SOURCE]).sort("created_at")
source = SOURCE
if NEWEST is not None:
    OUT.mkdir(parents=True, exist_ok=True)
    source = OUT / "newest.parquet"
    posts = posts.tail(NEWEST)
    posts.write_parquet(source)
print(
    f"{len(posts):,} posts, {posts['created_at'].min():%B %Y} to {posts['created_at'].max():%B %Y}"
)
posts.select("created_at", "kind", "text").tail(5)

# %% [markdown]
# ## 2. What is kept
#
# Retweets are somebody else's words. Very short posts say too little. Duplicates would be learnt
# twice, and could stand on both sides of the exam. Every post that goes has a reason.

# %%
curated = ht.curate(source)
run_plots.dropped(curated)

# %%
curated.dropped.select("reason", "detail", "text").unique(
    "reason", keep="last", maintain_order=True
)

# %% [markdown]
# What is kept is cleaned: links go (a bot would only invent them), entities and broken characters
# are put right. So posts get shorter. (*As read* has the retweets in it.)

# %%
run_plots.lengths(posts["text"], curated.kept["text"])

# %% [markdown]
# ## 3. Train
#
# The newest tenth of the posts is held out: the bot is judged on what it could not know. `pocket`,
# the base that comes with the package, has 31 million weights; name another one with `base=`, such as
# `base="gpt2"` (better on a GPU).


# %%
def tell(event):
    if event.held_out_bits_per_byte is not None:
        print(f"step {event.done:>4}: {event.held_out_bits_per_byte:.3f} bits per held-out byte")


recipe = ht.RECIPES["fast"].changed(epochs=EPOCHS)
run = ht.train(source, ht.TrainOptions(out=OUT, recipe=recipe, track="none"), listen=tell)
print(f"The bot is in {run.bot}, made in {run.record().seconds['train']:.0f} s")

# %%
run_plots.training(run)

# %% [markdown]
# ## 4. How alike?
#
# *Bits per byte* says how well posts are foreseen that the bot never saw; 8 would be knowing nothing.
# It stands beside the untouched base, and beside PPMd, a compressor that has read the same posts. The
# other lines tell whether it copies, repeats itself, and whom it is taken for.

# %%
report = publish.read_report(run)
print("\n".join(report.lines()))

# %%
run_plots.likeness(report)

# %% [markdown]
# ## 5. Write
#
# New posts, as they come; copies of real ones are drawn again. A model this small has the manner, and
# often no sense.

# %%
bot = ht.open_bot(run.path)
for prompt in ("My dream is", "Tonight we", ""):
    for post in bot.generate(prompt, n=3, seed=1):
        print("•", post.text)

# %% [markdown]
# ## 6. Several authors
#
# Two sources make a bot of two authors, a cyborg: both are read equally often, however much each has
# written. Name a second source to meet somebody else; without one the author meets the author
# answering others, as replies have a voice of their own.

# %%
SECOND = None  # "friend.zip"

OUT.mkdir(parents=True, exist_ok=True)
is_reply = posts["kind"] == "reply"
first = OUT / "some.parquet"
posts.filter(~is_reply).tail(300).write_parquet(first)
if SECOND is None:
    second = OUT / "replies.parquet"
    answering = pl.concat_str("author", pl.lit("_answering"))
    posts.filter(is_reply).with_columns(author=answering).write_parquet(second)
else:
    second = SECOND
both = ht.train([first, second], ht.TrainOptions(out=OUT, recipe=recipe, track="none"))
for post in ht.open_bot(both.path).generate("Tonight we", n=3, seed=1):
    print("•", post.text)

# %% [markdown]
# Who is harder to foresee? `ht.compare` puts authors beside each other, those of one bot or of many
# (`huggingtweets compare` is the same as a command, and `--same-size` gives all equal text).

# %%
comparison = ht.compare([both.path])
for one in comparison.authors:
    print(
        f"{comparison.label(one)}: {one.bits_per_byte.bot:.2f} bits per byte, {one.size.posts} posts "
        f"of {one.size.median_characters:.0f} characters"
    )
comparison.plot()

# %% [markdown]
# ## 7. What matters
#
# Which hyper-parameter decides? A sweep trains many recipes on several authors and asks two ways: a
# random forest, as in the 2020 study, and fANOVA. In a clone of the project this shows its recorded
# sweep. Elsewhere it makes a very small one of its own, if `optuna` is installed, which is too small to
# tell what matters.

# %%
recorded = [
    folder / "docs" / "sweep.json"
    for folder in (Path.cwd(), *Path.cwd().parents)
    if (folder / "docs" / "sweep.json").is_file()
]
if recorded:
    swept = json.loads(recorded[0].read_text("utf-8"))
    print(f"{len(swept['trials'])} trials")
    display(run_plots.importance(swept["importance"]))
elif find_spec("optuna"):
    from huggingtweets.sweep.sweep import SweepOptions, sweep

    options = SweepOptions(trials=3, posts=60, out=OUT / "sweep")
    result = sweep([first, second], options).result
    for name in ("default", "best"):
        print(f"{name}: {result[name]['mean']:.3f} bits per byte with {result[name]['recipe']}")
else:
    print("There is no recorded sweep here. To make one: pip install 'huggingtweets[sweep]'")

# %% [markdown]
# ## 8. A picture and a card
#
# Every bot has a picture of a post to share, which says what it is, and a card with the numbers above.

# %%
Image(run.picture, width=520)

# %%
card = (run.bot / "README.md").read_text("utf-8")
shown = card[card.index("## Training data") : card.index("## How to use")]
Markdown("\n".join(f"> {line}".replace("> ##", "> ####") for line in shown.splitlines()))

# %% [markdown]
# ## 9. Publish, if you want to
#
# Nothing has left this machine. Publishing takes three things that only you can give: the author's
# consent, a token of your Hugging Face account, and the command
#
# ```sh
# huggingtweets publish runs/NAME            # private; --public shows it to everybody
# ```
#
# It shows the same list as below and asks before it sends anything. Posts are not in it, and never
# are: they stay in `data/`, beside the bot.

# %%
for name, content in publish.parts_of(run.bot).items():
    print(f"{name:<26} {content.stat().st_size:>12,} bytes")
