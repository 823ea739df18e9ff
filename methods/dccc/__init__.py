"""DCCC: dynamic clustering and cluster contrastive learning (He et al., 2023, arXiv:2303.06810)."""

from common.spec import MethodSpec
from methods.dccc.recipes import RECIPES, USER, DCCCSettings

SPEC = MethodSpec(
    name="dccc",
    title="Dynamic Clustering and Cluster Contrastive Learning for Unsupervised Person Re-ID "
    "with Feature Distribution Alignment",
    arxiv="2303.06810",
    settings=DCCCSettings,
    recipes=RECIPES,
    user_recipe=USER,
)
