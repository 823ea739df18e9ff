"""`tools test`: scores of trained weights on one or several data sets."""

from pathlib import Path
from typing import Any

from common.arithmetic import set_arithmetic
from common.backbones.encoder import require_size
from common.backbones.network import Encoder
from common.backbones.weights import digest_of
from common.data.check import TEST
from common.errors import UserError
from common.evaluator.extract import extract
from common.evaluator.testing import evaluate_dataset, require_protocol
from common.recipe import Recipe
from common.recipe_text import override, parse_changes
from common.run import Observer, ticks
from common.team import Team, join_team, leave_team
from common.types import Domain
from tools.assemble import checked, find_dataset, test_images
from tools.environment import dataset_record, other_releases
from tools.lookup import paper_recipe, spec_of
from tools.options import RunOptions
from tools.origin import stored_recipe
from tools.weights import require_method, run_of, trained_encoder


def test(
    method: str,
    datasets: list[str],
    weights: Path,
    *,
    rerank: bool = False,
    domain: Domain = "target",
    variant: str = "",
    source: str = "",
    changes: list[str] | None = None,
    options: RunOptions,
    observer: Observer,
) -> list[dict[str, Any]]:
    """Scores of trained weights, one entry per data set or own folder, with the images they are on.

    The architecture comes from the run's recipe; for a published checkpoint from the paper's
    recipe for the first data set that has one, with `changes` (e.g. encoder.pooling=gem).

    Args:
        datasets: names, or folders of own images with a test part.
        weights: a run folder, a checkpoint of one, or a published checkpoint.
        rerank: score by re-ranked distances.
        domain: whose batch norm a network of two domains uses. The target's, as in the tests of
            its training; the released test commands take the source's for the source's data set.

    Raises:
        UserError: weights of another method or architecture, or of one domain where the source
            is asked for; changes that a test cannot heed; data that are missing, not sound or
            without a test part.
    """
    recipe = _recipe_of(weights, method, datasets, source, variant, changes or [])
    team = join_team(options.device)
    set_arithmetic("exact")
    encoder = _network(weights, recipe, domain, team)
    found = {name: find_dataset(name, options, team, observer) for name in datasets}
    for data in found.values():
        require_protocol(data.dataset, reranked=rerank)
    results = []
    for name in datasets:
        data = checked(found[name], options, team, observer, TEST)
        for text in other_releases(data) if team.first else []:
            observer({"event": "warning", "text": text})
        dataset = data.dataset
        images = test_images(dataset, recipe, options, team, observer)
        if images is None:
            raise UserError(
                f"{name} has no query and gallery images to test on. In a folder of your own, a "
                "labels.csv names them."
            )
        features = extract(encoder, images, team, progress=ticks(observer, "features"))
        scores = evaluate_dataset(features, dataset, reranked=rerank, team=team).scores()
        results.append(
            {
                "method": method,
                "dataset": name,
                "weights": str(weights),
                "rerank": rerank,
                "domain": domain,
                **scores,
                "data": dataset_record(data),
            }
        )
    leave_team(team)
    return results


def _recipe_of(
    weights: Path,
    method: str,
    datasets: list[str],
    source: str,
    variant: str,
    changes: list[str],
) -> Recipe:
    """The recipe of the weights' network: that of their run, or a published one, changed."""
    run = run_of(weights)
    recipe = stored_recipe(run) if run else _published(method, datasets, source, variant)
    require_method(weights, recipe.method, method)
    if run and (changes or (source, variant) not in (("", ""), (recipe.source, recipe.variant))):
        raise UserError(
            f"{run.path} knows its own recipe. Leave --source, --variant and --set out."
        )
    recipe = _changed_network(recipe, changes)
    require_size(recipe.encoder)
    return recipe


def _network(weights: Path, recipe: Recipe, domain: Domain, team: Team) -> Encoder:
    """The trained network with one domain's batch norm, the same in all processes."""
    encoder = team.together(lambda: trained_encoder(weights, recipe)).place_on(team.device)
    if domain == "source":
        _require_two_domains(encoder, weights)
        encoder.keep_domain("source")
    if team.size > 1:
        team.require_same(digest_of(encoder), f"the weights of {weights} are")
    return encoder


def _require_two_domains(encoder: Encoder, weights: Path) -> None:
    if encoder.domains == 1:
        raise UserError(
            f"{weights} has one batch norm per layer, none of a source domain. Leave --domain out."
        )


def _published(method: str, datasets: list[str], source: str, variant: str) -> Recipe:
    """A checkpoint's recipe: the method's first one where none of the data sets has its own."""
    recipes = spec_of(method).recipes
    known = {recipe.dataset for recipe in recipes}
    dataset = next((name for name in datasets if name in known), recipes[0].dataset)
    return paper_recipe(method, dataset, source, variant)


def _changed_network(recipe: Recipe, changes: list[str]) -> Recipe:
    """The recipe with what decides the features of given weights."""
    names = parse_changes(changes)
    changed = override(recipe, names)
    for name in names:
        if not name.startswith("encoder.") or name == "encoder.weights":
            raise UserError(
                f"--set {name}: a test computes features and scores, on which only the network's "
                "settings have an effect, e.g. encoder.pooling=gem. Leave it out."
            )
    return changed
