"""Rows that say how hard a data set is: chance, a hand-made descriptor, recorded runs."""

import json
from pathlib import Path
from typing import Any

import torch

from common.data.datasets import fingerprint
from common.data.descriptors import best_handmade
from common.data.synthetic import SYNTHETIC_SETS
from common.evaluator.testing import evaluate_dataset, tested_samples
from common.recipe import Recipe
from common.run import Observer
from common.types import Dataset

RECORDED = Path(__file__).parent / "recorded"


def references(dataset: Dataset, recipe: Recipe, observer: Observer) -> list[dict[str, Any]]:
    """Chance and the best hand-made descriptor, measured now; recorded runs of ours if any.

    Only for the drawn data sets, where they explain the numbers.
    """
    if dataset.name not in SYNTHETIC_SETS:
        return []
    observer({"event": "stage", "text": "scoring chance and a hand-made descriptor"})
    samples = tested_samples(dataset)
    chance = torch.randn(len(samples), 64, generator=torch.Generator().manual_seed(0))
    rows = [
        _scored("chance", torch.nn.functional.normalize(chance, dim=1), dataset),
        _scored("best hand-made descriptor", torch.from_numpy(best_handmade(samples)), dataset),
    ]
    return rows + _recorded(recipe, dataset)


def _scored(name: str, features: torch.Tensor, dataset: Dataset) -> dict[str, Any]:
    found = evaluate_dataset(features, dataset)
    return {"name": name, "map": found.map, "rank1": found.rank(1)}


def _recorded(recipe: Recipe, dataset: Dataset) -> list[dict[str, Any]]:
    """The last epoch of the recorded supervised run on these very images, for other variants."""
    path = RECORDED / f"{recipe.method}-{dataset.name}-supervised.json"
    if recipe.supervised or not path.is_file():
        return []
    record = json.loads(path.read_text("utf-8"))
    if record["fingerprint"] != fingerprint(dataset):
        return []
    last = record["last"]
    return [{"name": "supervised (recorded)", "map": last["map"], "rank1": last["rank1"]}]
