"""Real clients against the server: openai's own, and llm's; and what the server refuses."""

from __future__ import annotations

import json
import os
import threading
import time
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import openai
import pytest
from tests.helpers.openai_api import ask
from tests.serving.conftest import copy_run, until

from huggingtweets.errors import BotError, InputError
from huggingtweets.generation.batch_engine import BatchEngine
from huggingtweets.serving.completions import CompletionService
from huggingtweets.web.listener import listen
from huggingtweets.web.openai_api.app import Access
from huggingtweets.web.openai_api.server import ApiOptions, make_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from huggingtweets.storage.run_folder import RunFolder

ROOT = Path(__file__).parents[2]
LONG = {"max_chars": 10_000}


@pytest.fixture(scope="module")
def service(finished: RunFolder, tiny_base: Path) -> Iterator[CompletionService]:
    """A bot with its run folder, and a base."""
    made = CompletionService([str(finished.path), str(tiny_base)])
    made.start()
    yield made
    made.stop()


class Running:
    """A server in a thread, on a port of its own."""

    def __init__(self, service: CompletionService, **options: Any) -> None:  # noqa: ANN401
        self.listener = listen("127.0.0.1", 0)
        self.address = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.server = make_server(ApiOptions(("ann",), **options), service)
        self.thread = threading.Thread(target=self.server.run, args=([self.listener],))
        self.thread.start()

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(60)
        self.listener.close()


@pytest.fixture(scope="module")
def address(service: CompletionService) -> Iterator[str]:
    running = Running(service)
    yield running.address
    running.stop()


@pytest.fixture
def client(address: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as made:
        yield made


@pytest.fixture(scope="module")
def name(finished: RunFolder) -> str:
    return finished.path.name


def test_models_are_listed(client: openai.OpenAI, name: str) -> None:
    assert [model.id for model in client.models.list()] == [name, "tiny"]
    assert client.models.retrieve(name).owned_by == "huggingtweets"
    with pytest.raises(openai.NotFoundError, match="has no model 'gpt-9'; it has"):
        client.models.retrieve("gpt-9")


def test_completions_continue_the_prompt(client: openai.OpenAI, name: str) -> None:
    made = client.completions.create(
        model=name, prompt=["We", "The old "], n=2, seed=3, logprobs=2, max_tokens=9
    )
    assert [choice.index for choice in made.choices] == [0, 1, 2, 3]
    for choice, prompt in zip(made.choices, ["We", "We", "The old", "The old"], strict=True):
        assert choice.finish_reason in ("length", "stop")
        assert choice.text == choice.text.lstrip() or prompt == "We"
        scores = choice.logprobs
        assert scores is not None and scores.tokens and scores.text_offset
        assert "".join(scores.tokens).lstrip() == choice.text.lstrip()
        assert scores.text_offset[0] == len(prompt)
        assert scores.top_logprobs is not None and len(scores.top_logprobs[0]) == 2
    assert made.usage is not None
    assert made.usage.total_tokens == made.usage.prompt_tokens + made.usage.completion_tokens
    again = client.completions.create(model=name.upper(), prompt=["We", "The old "], n=2, seed=3)
    assert again.choices[0].text.startswith(made.choices[0].text)


def test_a_chat_answers_with_a_post_that_begins_with_the_message(
    client: openai.OpenAI, name: str
) -> None:
    messages: Any = [
        {"role": "system", "content": "Be kind."},
        {
            "role": "user",
            "content": [{"type": "text", "text": "We "}, {"type": "text", "text": "a"}],
        },
    ]
    for seed in range(1, 20):
        made = client.chat.completions.create(
            model=name, messages=messages, seed=seed, logprobs=True, top_logprobs=1
        )
        (choice,) = made.choices
        assert choice.message.content is not None
        assert choice.message.content.startswith("We a")
        assert choice.logprobs is not None and choice.logprobs.content
        tokens = choice.logprobs.content
        if all(token.bytes for token in tokens):
            break  # none of the tokens is only a part of a character
    said = "".join(token.token for token in tokens)
    assert choice.message.content == "We a" + said


@pytest.mark.parametrize("chat", [False, True])
def test_a_stream_says_the_same(client: openai.OpenAI, name: str, chat: bool) -> None:
    """In bfloat16 too, as nothing else is in the batch."""
    options: Any = {"model": name, "seed": 4, "extra_body": LONG}
    usage: Any = {"stream_options": {"include_usage": True}}
    found: list[str] = []
    if chat:
        messages: Any = [{"role": "user", "content": "We"}]
        plain = client.chat.completions.create(messages=messages, **options)
        whole = plain.choices[0].message.content
        chats = client.chat.completions.create(messages=messages, stream=True, **options, **usage)
        last: Any = None
        for last in chats:
            found += [choice.delta.content or "" for choice in last.choices]
    else:
        whole = client.completions.create(prompt="We", **options).choices[0].text
        for last in client.completions.create(prompt="We", stream=True, **options, **usage):
            found += [choice.text for choice in last.choices]
    assert "".join(found) == whole
    assert len(found) > 1
    assert last.choices == [] and last.usage.completion_tokens > 0


def test_clients_that_stream_together_get_what_they_get_alone(client: openai.OpenAI) -> None:
    def read(seed: int) -> str:
        stream = client.completions.create(
            model="tiny", prompt="We", seed=seed, stream=True, max_tokens=30
        )
        return "".join(part.choices[0].text for part in stream)

    alone = [read(seed) for seed in range(8)]
    together: dict[int, str] = {}

    def run(seed: int) -> None:
        together[seed] = read(seed)

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    same = sum(together[seed] == alone[seed] for seed in range(8))
    assert same >= 6  # bfloat16 rounds differently in a batch
    assert len(set(alone)) == 8


WRONG: tuple[tuple[dict[str, Any], int, str], ...] = (
    ({"model": "gpt-9"}, 404, "This server has no model 'gpt-9'; it has"),
    ({"model": None}, 400, "must name a model"),
    ({"prompt": "x" * 300}, 400, "300 characters and a post at most 280; shorten it, or send"),
    ({"prompt": "kite " * 100, **LONG}, 400, "tokens and the model reads at most 64"),
    ({"prompt": [1, 2]}, 400, "prompt must be text, or a list of texts; not of tokens"),
    ({"prompt": []}, 400, "prompt must be text"),
    ({"prompt": {"a": 1}}, 400, "prompt must be text"),
    ({"prompt": "a\0b"}, 400, "prompt must be text of at most"),
    ({"n": 0}, 400, "n must be a whole number from 1 to 128, not 0"),
    ({"n": 1.5}, 400, "n must be a whole number"),
    ({"n": True}, 400, "n must be a whole number"),
    ({"n": 100, "prompt": ["a", "b"]}, 400, "at most 128 completions at a time, not 200"),
    ({"max_tokens": -1}, 400, "max_tokens must be a whole number from 1"),
    ({"temperature": "hot"}, 400, "temperature must be a number from 0 to 2, not 'hot'"),
    ({"temperature": 3}, 400, "temperature must be a number from 0 to 2, not 3"),
    ({"top_p": 0}, 400, "top_p must be a number over 0"),
    ({"seed": -1}, 400, "seed must be a whole number from 0"),
    ({"stream": "yes"}, 400, "stream must be true or false, not 'yes'"),
    ({"stop": ["a"] * 5}, 400, "stop must have at most 4 texts, not 5"),
    ({"stop": ""}, 400, "stop must be text of 1 to 200 characters"),
    ({"stop": 3}, 400, "stop must be text"),
    ({"logprobs": 21}, 400, "logprobs must be a whole number from 0 to 20"),
    ({"stream_options": True}, 400, "stream_options must be an object"),
    ({"suffix": "b"}, 400, "Bots can't do what suffix asks for; leave it out"),
    ({"logit_bias": {"5": 100}}, 400, "Bots can't do what logit_bias asks for"),
    ({"temprature": 1}, 400, "Unknown field in the request: temprature"),
)


@pytest.mark.parametrize(("fields", "status", "message"), WRONG)
def test_a_wrong_value_is_refused_in_one_sentence(
    client: openai.OpenAI, name: str, fields: dict[str, Any], status: int, message: str
) -> None:
    body = {"model": name, "prompt": "We", **fields}
    with pytest.raises(openai.APIStatusError) as raised:
        client.post("/completions", body=body, cast_to=object)
    assert raised.value.status_code == status
    error: Any = raised.value.body
    assert set(error) == {"message", "type", "param", "code"}
    assert message in error["message"]
    assert error["type"] == "invalid_request_error"
    assert error["param"] == next(iter(fields)) or "completions at a time" in message
    assert error["message"].count(". ") == 0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"messages": []}, "messages must be a list with at least one message"),
        ({"messages": "We"}, "messages must be a list"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "must be text"),
        ({"messages": [{"role": "user", "content": 3}]}, "must be text"),
        ({"top_logprobs": 2}, "top_logprobs needs logprobs: true"),
        ({"tools": [{"type": "function"}]}, "Bots can't do what tools asks for"),
        ({"response_format": {"type": "json_object"}}, "Bots can't do what response_format"),
    ],
)
def test_a_wrong_chat_is_refused(
    client: openai.OpenAI, name: str, fields: dict[str, Any], message: str
) -> None:
    body = {"model": name, "messages": [{"role": "user", "content": "We"}], **fields}
    with pytest.raises(openai.BadRequestError, match=message):
        client.post("/chat/completions", body=body, cast_to=object)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"n": NaN}', b"\xff", b'{"prompt": "\\ud800"}', b"[" * 50_000]
)
def test_what_is_no_json_object_is_refused(address: str, body: bytes) -> None:
    answer = httpx.post(f"{address}/v1/completions", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_requests_that_the_web_app_would_refuse_are_refused(address: str) -> None:
    def status(method: str, path: str, **options: Any) -> int:  # noqa: ANN401
        answer = httpx.request(method, f"{address}{path}", **options)
        assert answer.json()["error"]["message"].endswith(".")
        return answer.status_code

    post = "/v1/completions"
    assert status("POST", post, headers={"Host": "evil.example"}) == 421
    assert status("POST", post, headers={"Origin": "https://evil.example"}) == 403
    assert status("POST", post, content=b"x" * 1_000_001) == 413
    assert status("POST", post, content=iter([b"x"])) == 411
    assert status("GET", post) == 405
    assert status("GET", "/v1/embeddings") == 404
    assert status("DELETE", "/v1/models") == 405


def test_health_and_metrics(client: openai.OpenAI, address: str, name: str) -> None:
    assert httpx.get(f"{address}/healthz").json() == {"status": "ok"}

    def tokens() -> float:
        lines = httpx.get(f"{address}/metrics").text.splitlines()
        wanted = f'huggingtweets_tokens_total{{kind="completion",model="{name}"}} '
        return next((float(line.split()[-1]) for line in lines if line.startswith(wanted)), 0.0)

    before = tokens()
    made = client.completions.create(model=name, prompt="We", max_tokens=7, seed=1)
    assert made.usage is not None
    assert tokens() - before == made.usage.completion_tokens > 0


def slowly(monkeypatch: pytest.MonkeyPatch, seconds: float) -> list[int]:
    """Let each step take so long; the list that is returned gets the number of rows of each."""
    step, steps = BatchEngine.step, []

    def wait(engine: BatchEngine) -> Any:  # noqa: ANN401
        time.sleep(seconds)
        steps.append(len(engine.rows))
        return step(engine)

    monkeypatch.setattr(BatchEngine, "step", wait)
    return steps


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_frees_its_places(
    address: str, service: CompletionService, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    steps = slowly(monkeypatch, 0.5)
    body = {"model": "tiny", "n": 100, "stream": stream, **LONG}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{address}/v1/completions", json=body, timeout=1)
    until(lambda: not service._scheduler._open, "the scheduler")
    assert 0 < len(steps) < 40  # the posts would take 63


@pytest.mark.parametrize("grace", [30.0, 0.2])
def test_open_streams_finish_when_the_server_stops(
    tiny_base: Path, monkeypatch: pytest.MonkeyPatch, grace: float
) -> None:
    own = CompletionService([str(tiny_base)])
    own.start()
    slowly(monkeypatch, 0.05)
    running = Running(own, grace_seconds=grace)
    body = {"model": "tiny", "prompt": "We", "stream": True, "seed": 1, **LONG}
    lines: list[str] = []
    with httpx.stream("POST", f"{running.address}/v1/completions", json=body) as answer:
        for line in answer.iter_lines():
            lines += [line] if line else []
            running.server.should_exit = True
    running.stop()
    own.stop()
    assert len(lines) > 1
    if grace > 1:
        assert lines[-1] == "data: [DONE]"
        assert json.loads(lines[-2][6:])["choices"][0]["finish_reason"]
    else:
        error = json.loads(lines[-1][6:])["error"]
        assert error["message"] == "The server is stopping; try again in a moment."
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{running.address}/healthz")


def test_a_bot_that_is_deleted_while_it_is_served_is_no_longer_there(
    finished: RunFolder, tmp_path: Path
) -> None:
    run = copy_run(finished, tmp_path)
    own = CompletionService([str(run.path)])
    run.record_file.unlink()
    request = httpx.Request("POST", "http://127.0.0.1/v1/completions", json={"model": "ann"})
    (answer,) = ask(own, Access(), request)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "model_not_found"


def test_two_bots_of_one_name_are_refused(finished: RunFolder, tmp_path: Path) -> None:
    other = copy_run(finished, tmp_path, finished.path.name.upper())
    with pytest.raises(InputError, match="Two bots are named"):
        CompletionService([str(finished.path), str(other.path)])


def test_a_bot_that_is_out_of_date_is_not_served_to_others(
    finished: RunFolder, tmp_path: Path
) -> None:
    run = copy_run(finished, tmp_path)
    run.save(replace(run.record(), forgotten=2))
    assert "out of date" in CompletionService([str(run.path)]).warnings[0]
    with pytest.raises(BotError, match="out of date"):
        CompletionService([str(run.path)], to_others=True)


@pytest.fixture(scope="module")
def llm(
    finished: RunFolder, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., str]]:
    """The command line of llm, with our plug-in installed as pyproject.toml says."""
    home, packages = tmp_path_factory.mktemp("llm"), tmp_path_factory.mktemp("packages")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    info = packages / "huggingtweets-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: huggingtweets\nVersion: 0.1.0\n")
    points = [f"{key} = {value}\n" for key, value in project["entry-points"]["llm"].items()]
    (info / "entry_points.txt").write_text("".join(["[llm]\n", *points]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLM_USER_PATH", str(home))
        patch.setenv("HUGGINGTWEETS_RUNS", str(finished.path.parent))
        patch.setenv("LLM_LOAD_PLUGINS", "huggingtweets")
        patch.syspath_prepend(str(packages))
        from click.testing import CliRunner
        from llm.cli import cli

        def run(*args: str) -> str:
            done = CliRunner().invoke(cli, args)
            return done.output if done.exit_code == 0 else f"exit {done.exit_code}: {done.output}"

        yield run


def test_llm_talks_to_the_server(address: str, llm: Callable[..., str], name: str) -> None:
    models = Path(os.environ["LLM_USER_PATH"], "extra-openai-models.yaml")
    models.write_text(f"- model_id: served\n  model_name: {name}\n  api_base: {address}/v1\n")
    assert llm("prompt", "-n", "-m", "served", "We", "--key", "none").startswith("We")


def test_llm_writes_with_a_local_bot(llm: Callable[..., str], name: str) -> None:
    assert f"{name} (aliases: huggingtweets/{name})" in llm("models", "list")
    ask = ("prompt", "-n", "We", "-o", "seed", "1")
    post = llm(*ask, "-m", name)
    assert post.startswith("We") and len(post) > 10
    assert llm(*ask, "-m", f"huggingtweets/{name}", "--no-stream") == post
    short = llm(*ask, "-m", name, "-o", "max_tokens", "3")
    assert post.startswith(short.strip())
    assert len(short) < len(post)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("-o", "temperature", "-3"), "temperature must be a number over 0 and at most 100"),
        (("-o", "seed", "-3"), "seed must be a whole number from 0"),
        (("-o", "max_tokens", "0"), "max_tokens must be a whole number from 1"),
        (("-o", "max_chars", "2"), "The beginning of the post has 2 characters"),
        (("-s", "Be kind."), "takes no system prompt"),
    ],
)
def test_llm_tells_what_is_wrong(
    llm: Callable[..., str], name: str, args: tuple[str, ...], message: str
) -> None:
    told = llm("prompt", "-n", "-m", name, "We", *args)
    assert told.startswith("exit 1: Error: ")
    assert message in told


@pytest.mark.parametrize("stream", [False, True])
def test_posts_have_the_wanted_hashtag(client: openai.OpenAI, name: str, stream: bool) -> None:
    wanted: dict[str, Any] = {"model": name, "prompt": "We", "n": 3, "seed": 1, "stream": stream}
    made = client.completions.create(**wanted, extra_body={"hashtag": "HarbourLife"})
    texts: dict[int, str] = {}
    for answer in made if stream else [made]:
        for choice in answer.choices:
            texts[choice.index] = texts.get(choice.index, "") + choice.text
    assert sorted(texts) == [0, 1, 2]
    for text in texts.values():
        assert "#harbourlife" in text
        assert not text.startswith("We")
    assert len(set(texts.values())) == 3


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"hashtag": "kites"}, "most frequent are #harbourlife"),
        ({"hashtag": "harbourlife", "max_tokens": 5}, "can't be combined"),
        ({"hashtag": 5}, "hashtag must be"),
    ],
)
def test_a_hashtag_that_cannot_be_written_is_one_sentence(
    client: openai.OpenAI, name: str, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(openai.BadRequestError, match=message) as caught:
        client.completions.create(model=name, prompt="We", extra_body=fields)
    assert caught.value.code == "invalid_value"
