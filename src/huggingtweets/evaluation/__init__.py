"""The likeness report: how well a bot predicts, how much it copies, whom it is taken for."""

from huggingtweets.evaluation.likeness import Measured, measure
from huggingtweets.evaluation.page import render
from huggingtweets.evaluation.report import LikenessReport

__all__ = ["LikenessReport", "Measured", "measure", "render"]
