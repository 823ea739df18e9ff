"""DSGL: disentangled sample guidance learning (Ji et al., 2024, IEEE TIP)."""

from common.spec import MethodSpec
from methods.dsgl.recipes import RECIPES, USER, DSGLSettings

SPEC = MethodSpec(
    name="dsgl",
    title="Disentangled Sample Guidance Learning for Unsupervised Person Re-identification",
    arxiv="",
    settings=DSGLSettings,
    recipes=RECIPES,
    user_recipe=USER,
)
