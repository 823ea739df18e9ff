"""Settings of the published runs, and what was published for them."""

from dataclasses import dataclass, replace
from typing import Literal

from common.ranges import require_range
from common.recipe import (
    Dbscan,
    EncoderSettings,
    InfoMap,
    PaperResult,
    PaperScores,
    Recipe,
    Sampling,
)
from common.schedules import Constant, StepDecay
from common.small import for_own_images, on_synthetic


@dataclass(frozen=True)
class ClusterContrastSettings:
    """Settings of Cluster Contrast.

    Args:
        update: mean (every image of the batch in turn) or hard (the least similar one).
        momentum: share of the old row that is kept, in [0, 1].
        temperature: of the softmax, > 0.
    """

    update: Literal["mean", "hard"] = "mean"
    momentum: float = 0.1
    temperature: float = 0.05

    def __post_init__(self) -> None:
        require_range(self, "[0, 1]", "momentum")
        require_range(self, "(0, inf)", "temperature")


COMMANDS = "command list of the released code; GeM pooling is its default (the text says average)"
FIGURE = "result figure in the README of the released code"
PERSON = EncoderSettings(arch="resnet50", pooling="gem", height=256, width=128)
VEHICLE = replace(PERSON, height=224, width=224)
GRAPH = InfoMap(similarity=0.5, k1=15, k2=4)

JACCARD = Dbscan(eps=Constant(0.6), min_samples=4, k1=30, k2=6)

MARKET1501 = Recipe(
    method="clustercontrast",
    dataset="market1501",
    settings=ClusterContrastSettings(),
    encoder=PERSON,
    sampling=Sampling(batch_size=256, instances=16, iterations=200),
    clustering=JACCARD,
    lr=3.5e-4,
    lr_factor=StepDecay(every=20, factor=0.1),
    weight_decay=5e-4,
    epochs=50,
    bn_chunks=4,
    eval_every=10,
    seed=1,
    paper=PaperResult(82.1, 92.3, 96.7, 97.9, source=FIGURE, settings=COMMANDS),
)
LONG = replace(MARKET1501.sampling, iterations=400)

DUKEMTMCREID = replace(
    MARKET1501,
    dataset="dukemtmcreid",
    paper=PaperResult(72.6, 84.9, 91.9, 93.9, source=FIGURE, settings=COMMANDS),
)
MSMT17 = replace(
    MARKET1501,
    dataset="msmt17",
    sampling=LONG,
    paper=PaperResult(27.6, 56.0, 66.8, 71.5, source=FIGURE, settings=COMMANDS),
)
PERSONX = replace(
    MARKET1501,
    dataset="personx",
    paper=PaperResult(
        84.7,
        94.4,
        98.3,
        99.3,
        source=FIGURE,
        settings="no command was published; 200 iterations as in MultiQueue's commands",
    ),
)
VERI = replace(
    MARKET1501,
    dataset="veri",
    encoder=VEHICLE,
    sampling=LONG,
    paper=PaperResult(40.3, 84.6, 89.2, 91.6, source=FIGURE, settings=COMMANDS),
)


def _with_infomap(recipe: Recipe, scores: PaperScores) -> Recipe:
    paper = PaperResult(*scores, source=FIGURE, settings=recipe.paper.settings)
    return replace(recipe, variant="infomap", clustering=GRAPH, paper=paper)


AUTHOR = "the author in issue 11 of the released code"
MARKET1501_HARD = replace(
    MARKET1501,
    variant="hard-ibn",
    settings=ClusterContrastSettings(update="hard"),
    encoder=replace(PERSON, arch="resnet_ibn50a"),
    sampling=LONG,
    clustering=replace(JACCARD, eps=Constant(0.4)),
    paper=PaperResult(87.0, 94.6, 98.2, 98.8, source="published training log", settings=AUTHOR),
)
MARKET1501_HARD_AVG = replace(
    MARKET1501_HARD,
    variant="hard-ibn-avg",
    encoder=replace(MARKET1501_HARD.encoder, pooling="avg"),
    paper=PaperResult(84.5, 93.6, 97.5, 98.4, source=AUTHOR, settings=AUTHOR),
)
MARKET1501_NO_CAMERAS = replace(
    MARKET1501,
    variant="no-cameras",
    sampling=replace(MARKET1501.sampling, cameras=False),
    paper=PaperResult(settings="the --no-cam switch of the released code; no result published"),
)

SYNTHETIC = on_synthetic(MARKET1501)
USER = for_own_images(MARKET1501)

RECIPES = (
    MARKET1501,
    _with_infomap(MARKET1501, (83.0, 92.9, 97.2, 98.0)),
    MARKET1501_HARD,
    MARKET1501_HARD_AVG,
    MARKET1501_NO_CAMERAS,
    DUKEMTMCREID,
    _with_infomap(DUKEMTMCREID, (73.6, 85.5, 92.2, 94.3)),
    MSMT17,
    _with_infomap(MSMT17, (31.2, 61.5, 71.8, 76.7)),
    PERSONX,
    _with_infomap(PERSONX, (86.6, 95.3, 98.8, 99.5)),
    VERI,
    _with_infomap(VERI, (40.8, 86.2, 90.5, 92.8)),
    SYNTHETIC,
    replace(SYNTHETIC, variant="hard", settings=ClusterContrastSettings(update="hard")),
    replace(SYNTHETIC, variant="infomap", clustering=GRAPH),
    replace(SYNTHETIC, variant="no-cameras", sampling=replace(SYNTHETIC.sampling, cameras=False)),
)
