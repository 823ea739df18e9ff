"""What a user changes of a recipe: single settings, and one setting to several values in turn."""

import re
from dataclasses import dataclass, replace

from common.errors import UserError
from common.recipe import Recipe
from common.recipe_text import in_full, override, parse_changes, to_json


@dataclass(frozen=True)
class Plan:
    """The runs of one command.

    Args:
        base: the recipe before the user's changes.
        recipes: of every value of the sweep, or the only one.
        sweep: "NAME=V1,V2" as on the command line, "" for none.
        seeds: runs of each recipe, the first with its own seed, each next with one more.
    """

    base: Recipe
    recipes: list[Recipe]
    sweep: str
    seeds: int

    def runs(self) -> list[Recipe]:
        """The seeds of one value together."""
        return [
            replace(recipe, seed=seed)
            for recipe in self.recipes
            for seed in range(recipe.seed, recipe.seed + self.seeds)
        ]

    def title(self, number: int) -> str:
        """What sets a run, counted from 0, apart: "run 2 of 4: lr 0.01, seed 1"."""
        runs = self.runs()
        name, values = parts_of(self.sweep)
        told = {name: values[number // self.seeds]} if self.sweep else {}
        told["seed"] = str(runs[number].seed)  # where it is swept as well, it is named once
        text = ", ".join(f"{key} {value}" for key, value in told.items())
        return f"run {number + 1} of {len(runs)}: {text}"


def planned(base: Recipe, changes: list[str], sweep: str, seeds: int) -> Plan:
    """The runs of `base` with the user's changes; see `swept`."""
    return Plan(base, swept(base, changes, sweep, seeds), sweep, seeds)


def _changed(base: Recipe, changes: list[str]) -> Recipe:
    """The recipe with the user's changes, a file of weights by its path in full.

    Raises:
        UserError: an unknown name, or a value that does not fit.
    """
    recipe = override(base, parse_changes(changes))
    return replace(recipe, encoder=in_full(recipe.encoder))


def swept(base: Recipe, changes: list[str], sweep: str, seeds: int) -> list[Recipe]:
    """The recipe of every value of a sweep, or the only one; `base` with the user's changes.

    Args:
        sweep: "NAME=V1,V2" as on the command line, "" for none.
        seeds: runs of each value.

    Raises:
        UserError: what `_changed` and `sweep_values` refuse, seeds named twice, or values that are
            equal.
    """
    recipes = [_changed(base, [*changes, *value]) for value in sweep_values(sweep)]
    if parts_of(sweep)[0] == "seed" and seeds > 1:
        raise UserError("--sweep seed names the seeds itself. Leave --seeds out.")
    if len({to_json(recipe) for recipe in recipes}) < len(recipes):
        raise UserError(f"--sweep {sweep} names a value twice. Leave one of them out.")
    return recipes


def parts_of(sweep: str) -> tuple[str, list[str]]:
    """The name of a swept setting and its values as they were written; no comma within a kind."""
    name, _, texts = sweep.partition("=")
    return name.strip(), [text.strip() for text in re.split(r",(?![^(]*\))", texts)]


def sweep_values(sweep: str) -> list[list[str]]:
    """ "a=1,2" to [["a=1"], ["a=2"]], the changes of each run; "" to one run without changes.

    Raises:
        UserError: fewer than two values, or an empty one.
    """
    if not sweep:
        return [[]]
    name, values = parts_of(sweep)
    if len(values) < 2 or not all(values):
        raise UserError(
            f"--sweep {sweep}: name a setting and two or more values, e.g. "
            "settings.queue_length=4,8,16. For a single value there is --set."
        )
    return [[f"{name}={value}"] for value in values]
