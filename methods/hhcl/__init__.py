"""HHCL: hard-sample guided hybrid contrast learning (Hu et al., 2021, arXiv:2109.12333)."""

from common.spec import MethodSpec
from methods.hhcl.recipes import RECIPES, USER, HHCLSettings, require_slots

SPEC = MethodSpec(
    name="hhcl",
    title="Hard-sample Guided Hybrid Contrast Learning for Unsupervised Person Re-Identification",
    arxiv="2109.12333",
    settings=HHCLSettings,
    recipes=RECIPES,
    user_recipe=USER,
    require=require_slots,
)
