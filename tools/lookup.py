"""Find a method and a recipe by name."""

from collections.abc import Sequence
from dataclasses import replace

from common.data.catalogue import is_own_folder
from common.errors import UserError, did_you_mean
from common.recipe import Recipe
from common.spec import MethodSpec
from methods import METHODS
from tools.layout import shell_command
from tools.sweep import swept


def require_known(method: str, *recipe: str, changes: Sequence[str] = (), sweep: str = "") -> None:
    """Refuse an unknown name or setting before PyTorch is loaded, which takes seconds.

    Args:
        recipe: data set, source and variant; none for the recipe of own images.

    Raises:
        UserError: what a run with them would raise.
    """
    base = paper_recipe(method, *recipe) if recipe else spec_of(method).user_recipe
    swept(base, list(changes), sweep, seeds=1)


def paper_recipe(method: str, dataset: str, source: str = "", variant: str = "") -> Recipe:
    """The recipe of a published (or our synthetic) run.

    Raises:
        UserError: unknown method, or no such recipe; names what there is.
    """
    spec = spec_of(method)
    if recipe := spec.find(dataset, source, variant):
        return recipe
    recipes = spec.recipes
    here = [r for r in recipes if r.dataset == dataset]
    if not here:
        names = sorted({r.dataset for r in recipes})
        hint = did_you_mean(dataset, names)
        if is_own_folder(dataset):
            command = shell_command("train", method, "--data", dataset)
            hint = f" For your own images there is {command}."
        raise UserError(
            f"{method} has no recipe for {dataset!r}; it covers {', '.join(names)}.{hint}"
        )
    known = ", ".join(map(_way, here))
    asked = _way(replace(here[0], source=source, variant=variant))
    raise UserError(f"{method} on {dataset} has no run with {asked}. There are runs with {known}.")


def spec_of(method: str) -> MethodSpec:
    """The method's entry.

    Raises:
        UserError: an unknown name, with the known ones.
    """
    if method not in METHODS:
        hint = did_you_mean(method, METHODS)
        raise UserError(f"unknown method {method!r}. Known: {', '.join(METHODS)}.{hint}")
    return METHODS[method]


def require_owner(method: str | None) -> None:
    """Refuse an unknown owner of stored cases: a method, "common", or None for all of them.

    Raises:
        UserError: with the known names.
    """
    owners = ("common", *METHODS)
    if method is not None and method not in owners:
        hint = did_you_mean(method, owners)
        raise UserError(f"unknown method {method!r}. Known: {', '.join(owners)}.{hint}")


def recipe_before_changes(recipe: Recipe) -> Recipe:
    """What a run's settings were changed from: the paper's recipe, or that for own images."""
    spec = spec_of(recipe.method)
    paper = spec.find(recipe.dataset, recipe.source, recipe.variant)
    return paper or replace(spec.user_recipe, dataset=recipe.dataset)


def _way(recipe: Recipe) -> str:
    parts = [f"--source {recipe.source}"] if recipe.source else []
    parts += [f"--variant {recipe.variant}"] if recipe.variant else []
    return " ".join(parts) or "no option"
