"""HHCL: hard-sample guided hybrid contrast learning (Hu et al., 2021, arXiv:2109.12333)."""

from common.method import MethodSpec
from methods.hhcl.cases import CASES
from methods.hhcl.method import HHCL
from methods.hhcl.recipes import RECIPES, USER, HHCLSettings, require_slots

SPEC = MethodSpec(
    name="hhcl",
    title="Hard-sample Guided Hybrid Contrast Learning for Unsupervised Person Re-Identification",
    arxiv="2109.12333",
    build=HHCL,
    settings=HHCLSettings,
    recipes=RECIPES,
    user_recipe=USER,
    cases=CASES,
    require=require_slots,
)
