"""DCCC: dynamic clustering and cluster contrastive learning (He et al., 2023, arXiv:2303.06810)."""

from common.method import MethodSpec
from methods.dccc.cases import CASES
from methods.dccc.method import DCCC
from methods.dccc.recipes import RECIPES, USER, DCCCSettings

SPEC = MethodSpec(
    name="dccc",
    title="Dynamic Clustering and Cluster Contrastive Learning for Unsupervised Person Re-ID "
    "with Feature Distribution Alignment",
    arxiv="2303.06810",
    build=DCCC,
    settings=DCCCSettings,
    recipes=RECIPES,
    user_recipe=USER,
    cases=CASES,
)
