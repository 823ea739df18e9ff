"""Cluster Contrast (Dai et al., 2022, arXiv:2103.11568)."""

from common.spec import MethodSpec
from methods.clustercontrast.curves import CURVES
from methods.clustercontrast.recipes import RECIPES, USER, ClusterContrastSettings

SPEC = MethodSpec(
    name="clustercontrast",
    title="Cluster Contrast for Unsupervised Person Re-Identification",
    arxiv="2103.11568",
    settings=ClusterContrastSettings,
    recipes=RECIPES,
    user_recipe=USER,
    curves=CURVES,
)
