"""Write an SVG of a bot's posts as shown in the terminal, for the README.

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
    """Generate the first ten posts of one seed and write the SVG."""
    bot, target = sys.argv[1], Path(sys.argv[2])
    output = ConsoleOutput()
    text = io.StringIO()
    output.console = Console(record=True, width=92, file=text, force_terminal=True, highlight=False)
    writer = bots.open_bot(bot).writer(Sampling(seed=SEED))
    for prompt, n in PROMPTS:
        output.say(prompt or "(no prompt)", "bold")
        output.posts(writer.write(prompt, n))
        output.say("")
    svg = output.console.export_svg(title="AI bot of @NASA: these posts were written by a machine")
    # rich loads its font from another host; without it, viewers use their own monospace font
    target.write_text(re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL), "utf-8")


if __name__ == "__main__":
    main()
