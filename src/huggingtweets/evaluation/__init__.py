"""The likeness report: how well a bot predicts, how much it copies, whom it is taken for."""

from huggingtweets.evaluation.likeness import EvaluationResult, measure
from huggingtweets.evaluation.page import render
from huggingtweets.evaluation.report import HumanJudgements, LikenessReport

__all__ = ["EvaluationResult", "HumanJudgements", "LikenessReport", "measure", "render"]
