"""SpCL: self-paced contrastive learning (Ge et al., 2020, arXiv:2006.02713)."""

from common.method import MethodSpec
from common.recipe import Dbscan
from methods.spcl.cases import CASES
from methods.spcl.method import SpCL
from methods.spcl.recipes import RECIPES, USER, SpCLSettings, require_radii

SPEC = MethodSpec(
    name="spcl",
    title="Self-paced Contrastive Learning with Hybrid Memory for Domain Adaptive Object Re-ID",
    arxiv="2006.02713",
    build=SpCL,
    settings=SpCLSettings,
    recipes=RECIPES,
    user_recipe=USER,
    cases=CASES,
    clusterings=(Dbscan,),  # labels are compared at three radii
    require=require_radii,
)
