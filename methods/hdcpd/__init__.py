"""HDCPD: hybrid contrast and probability distillation (Cheng et al., 2022, arXiv:2109.14157)."""

from common.backbones.encoder import Encoder
from common.method import Method, MethodSpec
from common.recipe import Recipe
from common.streams import Streams
from common.team import Team
from common.types import TrainData
from methods.hdcpd.cases import CASES
from methods.hdcpd.curves import CURVES
from methods.hdcpd.method import HDCPD, HDCPDClusters
from methods.hdcpd.recipes import RECIPES, USER, HDCPDSettings, require_one_domain


def build(
    encoder: Encoder, recipe: Recipe, data: TrainData, team: Team, streams: Streams
) -> Method:
    """The program that the recipe's memory belongs to."""
    chosen = HDCPDClusters if recipe.settings.memory == "clusters" else HDCPD
    return chosen(encoder, recipe, data, team, streams)


SPEC = MethodSpec(
    name="hdcpd",
    title="Hybrid Dynamic Contrast and Probability Distillation for Unsupervised Person Re-Id",
    arxiv="2109.14157",
    build=build,
    settings=HDCPDSettings,
    recipes=RECIPES,
    user_recipe=USER,
    cases=CASES,
    curves=CURVES,
    require=require_one_domain,
)
