"""Cluster Contrast (Dai et al., 2022, arXiv:2103.11568)."""

from common.method import MethodSpec
from methods.clustercontrast.cases import CASES
from methods.clustercontrast.curves import CURVES
from methods.clustercontrast.method import ClusterContrast
from methods.clustercontrast.recipes import RECIPES, USER, ClusterContrastSettings

SPEC = MethodSpec(
    name="clustercontrast",
    title="Cluster Contrast for Unsupervised Person Re-Identification",
    arxiv="2103.11568",
    build=ClusterContrast,
    settings=ClusterContrastSettings,
    recipes=RECIPES,
    user_recipe=USER,
    cases=CASES,
    curves=CURVES,
)
