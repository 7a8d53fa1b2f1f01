"""The bot that a page works with."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap

# In a process of its own, as Gradio leaves an event loop behind.
CLICKS = """
    import json
    from types import SimpleNamespace
    import gradio as gr
    from huggingtweets.errors import BotError
    from huggingtweets.serving.schemas import Settings
    from huggingtweets.web.context import PageContext
    from huggingtweets.web.pages import blend, play

    class Service:  # has no gallery
        def __init__(self):
            self.looked_up = []
        def newest_bot(self, visitor, *, own, other_than):
            return "older" if other_than else "newest"
        def bot(self, visitor, name):
            self.looked_up.append(f"{visitor}: {name}")
            raise BotError("stop here")

    def click(page, **query):
        context = PageContext(Service(), Settings())
        with gr.Blocks() as blocks:
            page.build(context, blocks)
        write = next(f.fn for f in blocks.fns.values() if f.fn and f.fn.__name__ == "write")
        visitor = SimpleNamespace(id="me")
        request = SimpleNamespace(state=SimpleNamespace(visitor=visitor), query_params=query)
        form = ["We", 0.7, 280, "mars"][: 4 if page is play else 3]
        [(message, *_)] = write(gr.Request(request), *form)
        assert "stop here" in message
        second = context.selected_bot(gr.Request(request), "with", other_than="newest")
        return context.service.looked_up, second

    print(json.dumps([
        click(play, bot="space"),
        click(play),
        click(blend, **{"bot": "space", "with": "ann"}),
    ]))
"""


def test_a_click_looks_up_one_bot_and_builds_no_gallery() -> None:
    command = [sys.executable, "-c", textwrap.dedent(CLICKS)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    named, unnamed, blended = json.loads(output.splitlines()[-1])
    assert named == [["me: space"], "older"]
    assert unnamed == [["me: newest"], "older"]
    assert blended == [["me: space"], "ann"]
