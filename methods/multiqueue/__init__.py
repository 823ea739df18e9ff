"""MultiQueue: queues of instance features and a trained temperature (released code, 2025)."""

from common.spec import MethodSpec
from methods.multiqueue.curves import CURVES
from methods.multiqueue.recipes import RECIPES, USER, MultiQueueSettings

SPEC = MethodSpec(
    name="multiqueue",
    title="Multi Queue for Unsupervised Person Re-identification",
    arxiv="",
    settings=MultiQueueSettings,
    recipes=RECIPES,
    user_recipe=USER,
    curves=CURVES,
)
