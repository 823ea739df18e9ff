"""MultiQueue: queues of instance features and a trained temperature (released code, 2025)."""

from common.method import MethodSpec
from methods.multiqueue.cases import CASES
from methods.multiqueue.curves import CURVES
from methods.multiqueue.method import MultiQueue
from methods.multiqueue.recipes import RECIPES, USER, MultiQueueSettings

SPEC = MethodSpec(
    name="multiqueue",
    title="Multi Queue for Unsupervised Person Re-identification",
    arxiv="",
    build=MultiQueue,
    settings=MultiQueueSettings,
    recipes=RECIPES,
    user_recipe=USER,
    cases=CASES,
    curves=CURVES,
)
