"""HDCPD: hybrid contrast and probability distillation (Cheng et al., 2022, arXiv:2109.14157)."""

from common.spec import MethodSpec
from methods.hdcpd.curves import CURVES
from methods.hdcpd.recipes import RECIPES, USER, HDCPDSettings, require_one_domain

SPEC = MethodSpec(
    name="hdcpd",
    title="Hybrid Dynamic Contrast and Probability Distillation for Unsupervised Person Re-Id",
    arxiv="2109.14157",
    settings=HDCPDSettings,
    recipes=RECIPES,
    user_recipe=USER,
    curves=CURVES,
    require=require_one_domain,
)
