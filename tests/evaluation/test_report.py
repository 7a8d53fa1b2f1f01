from __future__ import annotations

import json
from dataclasses import replace

import pytest

from huggingtweets.evaluation.authorship import Authorship
from huggingtweets.evaluation.diversity import Diversity
from huggingtweets.evaluation.report import (
    BitsPerByte,
    BotAndBase,
    BotVsHeldOut,
    Copied,
    DiversityPair,
    HumanJudgements,
    LikenessReport,
    LongestCopiedRun,
    LossPoint,
    Sizes,
    percent,
)
from huggingtweets.evaluation.sense import OutOfPlace

REPORT = LikenessReport(
    authors=("NASA", "WhiteHouse"),
    sizes=Sizes(train=2_170, held_out=241, held_out_bytes=22_431, generated=200),
    bits_per_byte=BitsPerByte(
        1.736, 2.325, 1.929, {"NASA": BotAndBase(1.7, 2.3), "WhiteHouse": BotAndBase(1.8, 2.4)}
    ),
    copied=Copied(0.035, 0.395),
    longest_copied_run=LongestCopiedRun(13, 21, "what the bot wrote", "what NASA wrote"),
    diversity=DiversityPair.of(Diversity(0.83, 0.01), Diversity(0.85, 0.0)),
    taken_for_author=Authorship(bot=0.945, held_out=0.9876, panel=0.0733),
    seed=42,
    settings={"temperature": 1.0, "top_p": 0.95},
    loss=(LossPoint(0, 0, None, 2.325), LossPoint(1, 120, 3.1, 1.736)),
)
BARE = replace(
    REPORT,
    bits_per_byte=BitsPerByte(1.736, 2.325, None),
    copied=Copied(0.0, None),
    longest_copied_run=LongestCopiedRun(0, None, "", ""),
    taken_for_author=None,
    settings={},
    loss=(),
)
JUDGED = replace(
    REPORT, human=HumanJudgements(quizzes=3, bot=14, bot_taken=7, real=16, real_taken=12)
)


LOOPING = replace(REPORT, loops=BotVsHeldOut(0.02, 0.005))
JUDGED_BY_A_MODEL = replace(REPORT, out_of_place=OutOfPlace(0.18, 0.15, None, 0.47))


@pytest.mark.parametrize("report", [REPORT, BARE, JUDGED, LOOPING, JUDGED_BY_A_MODEL])
def test_json_round_trip(report: LikenessReport) -> None:
    assert LikenessReport.from_json(json.loads(json.dumps(report.to_json()))) == report


def test_json_has_the_documented_keys() -> None:
    data = REPORT.to_json()
    assert list(data) == [
        "authors",
        "sizes",
        "bits_per_byte",
        "copied",
        "longest_copied_run",
        "diversity",
        "taken_for_author",
        "seed",
        "settings",
        "loss",
        "human",
        "loops",
        "out_of_place",
        "memorised",
    ]
    assert set(data["sizes"]) == {"train", "held_out", "held_out_bytes", "generated"}
    assert data["bits_per_byte"]["by_author"]["NASA"] == {"bot": 1.7, "base": 2.3}
    assert data["longest_copied_run"]["source_text"] == "what NASA wrote"
    assert data["diversity"]["distinct_2"] == {"bot": 0.83, "held_out": 0.85}
    assert data["taken_for_author"] == {"bot": 0.945, "held_out": 0.9876, "panel": 0.0733}
    assert data["loss"][0] == {
        "epoch": 0,
        "step": 0,
        "train_loss": None,
        "held_out_bits_per_byte": 2.325,
    }


def test_lines_show_each_number_with_its_anchors() -> None:
    assert REPORT.lines() == [
        "bits per byte           1.736  base 2.325 · compressor 1.929  lower is better",
        "copied posts            3.5 %  Markov chain 40 %              lower is better",
        "longest copied run   13 words  Markov chain 21 words          lower is better",
        "distinct word pairs      83 %  real posts 85 %                closer is better",
        "repeats                 1.0 %  real posts 0 %                 closer is better",
        "taken for the author     94 %  real 99 % · others 7.3 %       closer is better",
    ]


@pytest.mark.parametrize("report", [REPORT, BARE])
def test_lines_fit_a_terminal(report: LikenessReport) -> None:
    assert len(report.lines()) == 6
    assert max(map(len, report.lines())) <= 80


def test_quiz_results_are_a_seventh_line() -> None:
    *six, quiz = JUDGED.lines()
    assert six == REPORT.lines()
    expected = "taken for real 50 % real 75 % · 30 posts judged closer is better"
    assert " ".join(quiz.split()) == expected
    assert len(quiz) <= 80


def test_quiz_results_add_up() -> None:
    first, more = HumanJudgements(1, 5, 2, 5, 4), HumanJudgements(2, 9, 5, 11, 8)
    assert first + more == JUDGED.human
    empty = HumanJudgements(0, 0, 0, 0, 0)
    assert (empty.bot_share, empty.real_share) == (None, None)


def test_reports_without_quiz_results_are_loaded() -> None:
    old = REPORT.to_json()
    del old["human"]
    assert LikenessReport.from_json(old) == REPORT


def test_older_reports_keep_what_measured_them() -> None:
    """Reports of before 29 November 2026 were measured with the packages PPMd and markovify."""
    old = JUDGED_BY_A_MODEL.to_json()
    bits = old["bits_per_byte"]
    bits["ppmd"] = bits.pop("compressor")
    del bits["compressor_name"]
    for part in ("copied", "longest_copied_run", "out_of_place"):
        old[part]["markovify"] = old[part].pop("markov")
    report = LikenessReport.from_json(old)
    assert (report.copied, report.out_of_place) == (REPORT.copied, JUDGED_BY_A_MODEL.out_of_place)
    assert "base 2.325 · PPMd 1.929" in report.lines()[0]
    again = LikenessReport.from_json(json.loads(json.dumps(report.to_json())))
    assert again == report  # a quiz writes the report anew; its anchor is still PPMd's


def test_missing_measurements_are_shown_as_a_dash() -> None:
    assert "compressor –" in BARE.lines()[0]
    assert "Markov chain –" in BARE.lines()[1]
    assert "–  nobody to compare with" in BARE.lines()[5]


def test_an_incomplete_report_is_refused() -> None:
    data = REPORT.to_json()
    del data["copied"]
    with pytest.raises(KeyError):
        LikenessReport.from_json(data)


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (None, "–"),
        (0.0, "0 %"),
        (0.005, "0.5 %"),
        (0.35, "35 %"),
        (0.995, "99.5 %"),
        (1.0, "100 %"),
    ],
)
def test_percent(share: float | None, text: str) -> None:
    assert percent(share) == text


def test_out_of_place_tokens_have_a_line_where_they_were_measured() -> None:
    assert not any("out-of-place" in line for line in REPORT.lines())
    (line,) = (line for line in JUDGED_BY_A_MODEL.lines() if line.startswith("out-of-place tokens"))
    assert line.endswith("closer is better")
    assert "18 %" in line
    assert "real 15 % · shuffled 47 %" in line
    assert len(line) <= 80
