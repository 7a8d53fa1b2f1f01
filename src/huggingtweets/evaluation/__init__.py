"""The likeness report: how well a bot predicts, how much it copies, whom it is taken for."""

from huggingtweets.evaluation.likeness import Measured, measure
from huggingtweets.evaluation.page import render
from huggingtweets.evaluation.report import Human, LikenessReport

__all__ = ["Human", "LikenessReport", "Measured", "measure", "render"]
