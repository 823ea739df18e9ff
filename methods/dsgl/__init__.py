"""DSGL: disentangled sample guidance learning (Ji et al., 2024, IEEE TIP)."""

from common.method import MethodSpec
from methods.dsgl.cases import CASES
from methods.dsgl.method import DSGL
from methods.dsgl.recipes import RECIPES, USER, DSGLSettings

SPEC = MethodSpec(
    name="dsgl",
    title="Disentangled Sample Guidance Learning for Unsupervised Person Re-identification",
    arxiv="",
    build=DSGL,
    settings=DSGLSettings,
    recipes=RECIPES,
    user_recipe=USER,
    cases=CASES,
)
