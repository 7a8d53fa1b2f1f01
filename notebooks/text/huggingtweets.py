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
# This notebook goes from raw posts to a bot that is ready to publish: curation, training, evaluation,
# new posts, and the files that would be uploaded. It runs on a CPU in a few minutes and uses NASA's
# tweets of 2015, which come with the package. **An AI bot wrote all generated posts in this notebook;
# nobody at NASA said them.** Your posts stay on the computer that runs it.

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
# To make a bot of your own posts, change the first line: the zip of your X archive, a Mastodon or
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
# All sources give the same kind of table. Nothing is dropped yet: it still has retweets and replies.

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
# twice, and could be in both the training and the held-out posts. Every dropped post has a reason.

# %%
curated = ht.curate(source)
run_plots.dropped(curated)

# %%
curated.dropped.select("reason", "detail", "text").unique(
    "reason", keep="last", maintain_order=True
)

# %% [markdown]
# Kept posts are cleaned: links are removed (a bot would only invent them), and entities and broken
# characters are repaired. So posts get shorter. (*As read* includes the retweets.)

# %%
run_plots.lengths(posts["text"], curated.kept["text"])

# %% [markdown]
# ## 3. Train
#
# The newest tenth of the posts is held out, so the bot is measured on posts it could not have seen.
# Training starts from `smollm2-posts` if its weights are installed, else from `pocket`, the smaller base
# inside the package. Choose another one with `base=`, such as `base="gpt2"` (better on a GPU).


# %%
def print_loss(event):
    if event.held_out_bits_per_byte is not None:
        print(f"step {event.done:>4}: {event.held_out_bits_per_byte:.3f} bits per held-out byte")


recipe = ht.RECIPES["fast"].changed(epochs=EPOCHS)
run = ht.train(source, ht.TrainOptions(out=OUT, recipe=recipe, track="none"), listen=print_loss)
print(f"The bot is in {run.bot}, made in {run.record().seconds['train']:.0f} s")

# %%
run_plots.training(run)

# %% [markdown]
# ## 4. Evaluate
#
# *Bits per byte* measures how well the bot predicts posts it never saw; a random guess has 8.
# It is compared with the untouched base, and with a compressor that read the same posts. The
# other lines say how much the bot copies and repeats itself, and how often it is taken for the author.

# %%
report = publish.read_report(run)
print("\n".join(report.lines()))

# %%
run_plots.likeness(report)

# %% [markdown]
# ## 5. Generate
#
# These are the first posts the bot generates; only copies of real posts are replaced. A model this
# small imitates the style, but its posts often make no sense.

# %%
bot = ht.open_bot(run.path)
for prompt in ("My dream is", "Tonight we", ""):
    for post in bot.generate(prompt, n=3, seed=1):
        print("•", post.text)

# %% [markdown]
# ## 6. Several authors
#
# Two sources make a bot of two authors. Both have equal weight, however much each has written.
# Set a second source to add somebody else. Without one, the two "authors" are the posts and the
# replies of the same author, because replies are written differently.

# %%
SECOND = None  # "friend.zip"

OUT.mkdir(parents=True, exist_ok=True)
is_reply = posts["kind"] == "reply"
first = OUT / "originals.parquet"
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
# Who is harder to predict? `ht.compare` compares authors of one bot or of several
# (`huggingtweets compare` is the same as a command; with `--same-size`, all have equal text).

# %%
comparison = ht.compare([both.path])
for author in comparison.authors:
    print(
        f"{comparison.label(author)}: {author.bits_per_byte.bot:.2f} bits per byte, "
        f"{author.size.posts} posts of {author.size.median_characters:.0f} characters"
    )
comparison.plot()

# %% [markdown]
# ## 7. What matters
#
# Which hyper-parameter matters most? A sweep trains many recipes on several authors and estimates their
# importance in two ways: a random forest, as in the 2020 study, and fANOVA. In a clone of the project,
# the next cell shows its recorded sweep. Elsewhere, if `optuna` is installed, it runs a sweep, which
# is too small for reliable results.

# %%
recorded = [
    folder / "docs" / "lab" / "sweep.json"
    for folder in (Path.cwd(), *Path.cwd().parents)
    if (folder / "docs" / "lab" / "sweep.json").is_file()
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
# Every bot has a picture of its posts to share, which says that it is a bot, and a card with the
# numbers above.

# %%
Image(run.picture, width=520)

# %%
card = (run.bot / "README.md").read_text("utf-8")
excerpt = card[card.index("## Training data") : card.index("## How to use")]
Markdown("\n".join(f"> {line}".replace("> ##", "> ####") for line in excerpt.splitlines()))

# %% [markdown]
# ## 9. Publish, if you want to
#
# Nothing has left this computer. Publishing needs the author's consent, a token of your Hugging Face
# account, and this command:
#
# ```sh
# huggingtweets publish runs/NAME            # private; --public shows it to everybody
# ```
#
# It shows the list below and asks before it uploads anything. Posts are never uploaded: they stay in
# `data/`, beside the bot.

# %%
for name, content in publish.parts_of(run.bot).items():
    print(f"{name:<26} {content.stat().st_size:>12,} bytes")
