"""Write an SVG of a bot's new posts, as the terminal shows them, for the README.

python scripts/picture.py runs/demo docs/nasa-bot.svg
"""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

from rich.console import Console

from huggingtweets.cli.console import ConsoleOutput
from huggingtweets.generation import bots
from huggingtweets.generation.sampling import Sampling

PROMPTS = (("My dream is", 4), ("I don't like", 3), ("", 3))
SEED = 2020


def main() -> None:
    """Draw ten posts, unpicked, from one seed."""
    bot, target = sys.argv[1], Path(sys.argv[2])
    screen = ConsoleOutput()
    text = io.StringIO()
    screen.console = Console(record=True, width=92, file=text, force_terminal=True, highlight=False)
    writer = bots.open_bot(bot).writer(Sampling(seed=SEED))
    for prompt, n in PROMPTS:
        screen.say(prompt or "(no prompt)", "bold")
        screen.posts(writer.write(prompt, n))
        screen.say("")
    svg = screen.console.export_svg(title="AI bot of @NASA: these posts were written by a machine")
    # rich links its font from another host; without it the reader's own monospace font is used
    target.write_text(re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL), "utf-8")


if __name__ == "__main__":
    main()
