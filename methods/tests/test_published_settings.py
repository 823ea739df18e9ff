"""What every published run sets: the authors' commands, tables and answers, setting by setting."""

import pytest

from common.recipe import DESCRIPTION
from common.recipe_text import flatten
from common.small import SYNTHETIC
from methods import METHODS

SHARED = {
    "encoder.arch": "resnet50",
    "encoder.height": 256,
    "encoder.width": 128,
    "encoder.weights": "imagenet",
    "encoder.embedding": 0,
    "encoder.dropout": 0,
    "encoder.parts": 4,
    "augment.flip": 0.5,
    "augment.pad": 10,
    "augment.erase": 0.5,
    "augment.erase_area": (0.02, 0.4),
    "augment.erase_ratio": (0.3, 1 / 0.3),
    "sampling.cameras": True,
    "clustering.min_samples": 4,
    "clustering.k1": 30,
    "clustering.k2": 6,
    "clustering.center_cameras": False,
    "lr": 3.5e-4,
    "lr_factor.every": 20,
    "lr_factor.factor": 0.1,
    "weight_decay": 5e-4,
    "bn_chunks": 4,
    "eval_every": 10,
    "seed": 1,
    "supervised": False,
    "precision": "exact",
}
SQUARE = {"encoder.height": 224, "encoder.width": 224}
IBN = {"encoder.arch": "resnet_ibn50a"}
HARD = IBN | {
    "settings.update": "hard",
    "sampling.iterations": 400,
    "clustering.eps.value": 0.4,
}
GRAPH = {
    "clustering.similarity": 0.5,
    "clustering.k1": 15,
    "clustering.k2": 4,
    "clustering.trials": 1,
    "clustering.seed": 123,
    "clustering.eps.value": None,  # DBSCAN's own
    "clustering.min_samples": None,
    "clustering.center_cameras": None,
}
RUNS = {  # method: settings of all its runs, then what a data set or a variant changes of them
    "spcl": (
        {
            "encoder.pooling": "avg",
            "sampling.batch_size": 64,
            "sampling.instances": 4,
            "sampling.iterations": 400,
            "clustering.eps.value": 0.6,
            "epochs": 50,
            "settings.momentum": 0.2,
            "settings.temperature": 0.05,
            "settings.eps_gap": 0.02,
            "settings.share": 0.9,
            "settings.rejected": "dissolve",
            "settings.order": "released",
        },
        {
            "msmt17": {"sampling.iterations": 800},
            "veri": {"sampling.iterations": 800, **SQUARE},
            "ibn": IBN,
            "plus": {
                "encoder.pooling": "gem",
                "settings.rejected": "keep-last",
                "eval_every": 5,
            },
        },
    ),
    "clustercontrast": (
        {
            "encoder.pooling": "gem",
            "sampling.batch_size": 256,
            "sampling.instances": 16,
            "sampling.iterations": 200,
            "clustering.eps.value": 0.6,
            "epochs": 50,
            "settings.update": "mean",
            "settings.momentum": 0.1,
            "settings.temperature": 0.05,
        },
        {
            "msmt17": {"sampling.iterations": 400},
            "veri": {"sampling.iterations": 400, **SQUARE},
            "infomap": GRAPH,
            "hard-ibn": HARD,
            "hard-ibn-avg": HARD | {"encoder.pooling": "avg"},
            "no-cameras": {"sampling.cameras": False},
        },
    ),
    "hhcl": (
        {
            "encoder.pooling": "avg",
            "sampling.batch_size": 256,
            "sampling.instances": 16,
            "sampling.iterations": 200,
            "epochs": 60,
            "settings.memory": "CMhybrid",
            "settings.momentum": 0.1,
            "settings.temperature": 0.05,
            "settings.hard_weight": 0.5,
            "settings.hybrid_weights": "released",
            "settings.smooth": 0,
        },
        {
            "market1501": {"clustering.eps.value": 0.45},
            "dukemtmcreid": {"clustering.eps.value": 0.6},
            "msmt17": {"clustering.eps.value": 0.7, "sampling.iterations": 300},
            "ibn": IBN | {"encoder.pooling": "gem"},
            "supervised": {"supervised": True},
        },
    ),
}
PAPERS = [
    pytest.param(r, id="-".join(filter(None, (name, r.dataset, r.source, r.variant))))
    for name in RUNS
    for r in METHODS[name].recipes
    if r.dataset != SYNTHETIC
]


@pytest.mark.parametrize("recipe", PAPERS)
def test_a_run_sets_what_the_authors_set(recipe):
    """The source changes nothing."""
    usual, changes = RUNS[recipe.method]
    wanted = SHARED | usual | changes.get(recipe.dataset, {}) | changes.get(recipe.variant, {})
    found = flatten(recipe)
    ours = {name: found[name] for name in found if name.split(".")[0] not in DESCRIPTION}
    assert ours == {name: value for name, value in wanted.items() if value is not None}
