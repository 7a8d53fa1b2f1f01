"""The likeness report: how well a bot predicts its author, how much it copies, how it reads."""

from huggingtweets.evaluation.likeness import EvaluationResult, measure
from huggingtweets.evaluation.page import render
from huggingtweets.evaluation.report import HumanJudgements, LikenessReport

__all__ = ["EvaluationResult", "HumanJudgements", "LikenessReport", "measure", "render"]
