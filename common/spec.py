"""What a method is known by: its paper, its settings, its recipes. Loads no PyTorch.

So a wrong name is told at once, and settings are shown; `methods/build.py` knows the classes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from common.recipe import Dbscan, InfoMap, Recipe

Curve = Mapping[str, Sequence[tuple[int, float]]]
"""(epoch, value) pairs of an authors' log by quantity: map as fraction, clusters, loss terms."""


@dataclass(frozen=True)
class MethodSpec:
    """An entry of `METHODS`: what is known of a method before anything is computed.

    Args:
        name: as on the command line.
        title: the paper's title.
        arxiv: identifier, or "" where none exists.
        settings: the method's settings dataclass.
        recipes: every published run, and ours; found by dataset, source and variant.
        user_recipe: the recipe that `tools train` starts from.
        curves: courses of the authors' logs by (dataset, source, variant), where published.
        clusterings: kinds of clustering that the method can use.
        require: refuses settings that do not fit each other, with a `UserError`.
    """

    name: str
    title: str
    arxiv: str
    settings: type
    recipes: tuple[Recipe, ...]
    user_recipe: Recipe
    curves: Mapping[tuple[str, str, str], Curve] = field(default_factory=dict)
    clusterings: tuple[type, ...] = (Dbscan, InfoMap)
    require: Callable[[Recipe], None] = lambda recipe: None

    def find(self, dataset: str, source: str = "", variant: str = "") -> Recipe | None:
        """The recipe of that run; None where there is none."""
        asked = (dataset, source, variant)
        return next((r for r in self.recipes if (r.dataset, r.source, r.variant) == asked), None)
