"""SpCL: self-paced contrastive learning (Ge et al., 2020, arXiv:2006.02713)."""

from common.recipe import Dbscan
from common.spec import MethodSpec
from methods.spcl.recipes import RECIPES, USER, SpCLSettings, require_radii

SPEC = MethodSpec(
    name="spcl",
    title="Self-paced Contrastive Learning with Hybrid Memory for Domain Adaptive Object Re-ID",
    arxiv="2006.02713",
    settings=SpCLSettings,
    recipes=RECIPES,
    user_recipe=USER,
    clusterings=(Dbscan,),  # labels are compared at three radii
    require=require_radii,
)
