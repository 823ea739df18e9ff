"""Settings of the published runs, and what was published for them."""

from dataclasses import dataclass, replace
from typing import Literal

from common.errors import UserError
from common.ranges import require_range
from common.recipe import Dbscan, EncoderSettings, PaperResult, PaperScores, Recipe, Sampling
from common.schedules import Constant, StepDecay
from common.small import for_own_images, on_synthetic


@dataclass(frozen=True)
class SpCLSettings:
    """Settings of SpCL.

    Args:
        momentum: share of the old memory row that is kept, in [0, 1].
        temperature: of the softmax, > 0.
        eps_gap: the tighter and looser clusterings use eps - gap and eps + gap; in [0, 1).
        share: of the clusters that the first epoch's independence threshold accepts, in [0, 1].
        rejected: what becomes of rejected images: each a class of its own ("dissolve"), or so
            that a class is never left empty ("keep-last", as in SpCL+ of OpenUnReID).
        order: of gradient and memory update with a source domain; no effect without one.
    """

    momentum: float = 0.2
    temperature: float = 0.05
    eps_gap: float = 0.02
    share: float = 0.9
    rejected: Literal["dissolve", "keep-last"] = "dissolve"
    order: Literal["released", "clean"] = "released"

    def __post_init__(self) -> None:
        require_range(self, "[0, 1]", "momentum", "share")
        require_range(self, "(0, inf)", "temperature")
        require_range(self, "[0, 1)", "eps_gap")


def require_radii(recipe: Recipe) -> None:
    """Refuse a gap that takes the tight or the loose radius out of (0, 1)."""
    clustering, gap = recipe.clustering, recipe.settings.eps_gap
    assert isinstance(clustering, Dbscan)  # the only one that SpCL can use
    for epoch in range(recipe.epochs):
        eps = clustering.eps(epoch)
        if not 0 < eps - gap <= eps + gap < 1:
            raise UserError(
                f"clustering.eps and settings.eps_gap={gap:g} give the radii {eps - gap:g}, "
                f"{eps:g} and {eps + gap:g} in epoch {epoch + 1}, which must lie in (0, 1). Change "
                "one of them."
            )


TABLE = "result table of the released code (camera-ready numbers)"
COMMANDS = "README of the released code; 800 iterations for large or vehicle targets (issue 33)"
FIRST = "first arXiv version, as quoted by OpenUnReID"
PERSON = EncoderSettings(arch="resnet50", pooling="avg", height=256, width=128)

MARKET1501 = Recipe(
    method="spcl",
    dataset="market1501",
    settings=SpCLSettings(),
    encoder=PERSON,
    sampling=Sampling(batch_size=64, instances=4, iterations=400),
    clustering=Dbscan(eps=Constant(0.6), min_samples=4, k1=30, k2=6),
    lr=3.5e-4,
    lr_factor=StepDecay(every=20, factor=0.1),
    weight_decay=5e-4,
    epochs=50,
    bn_chunks=4,
    eval_every=10,
    seed=1,
)
LONG = replace(MARKET1501.sampling, iterations=800)


def _with_ibn(recipe: Recipe, resnet50: PaperScores, ibn: PaperScores) -> tuple[Recipe, Recipe]:
    """A run's two rows of the result table."""
    return (
        replace(recipe, paper=PaperResult(*resnet50, source=TABLE, settings=COMMANDS)),
        replace(
            recipe,
            variant="ibn",
            encoder=replace(recipe.encoder, arch="resnet_ibn50a"),
            paper=PaperResult(*ibn, source=TABLE, settings=COMMANDS),
        ),
    )


def _first_version(recipe: Recipe, scores: PaperScores) -> Recipe:
    return replace(recipe, paper=PaperResult(*scores, source=FIRST, settings=COMMANDS))


DUKEMTMCREID = replace(MARKET1501, dataset="dukemtmcreid")
MSMT17 = replace(MARKET1501, dataset="msmt17", sampling=LONG)
VERI = replace(MSMT17, dataset="veri", encoder=replace(PERSON, height=224, width=224))
PLUS = replace(
    MARKET1501,
    variant="plus",
    encoder=replace(PERSON, pooling="gem"),
    settings=SpCLSettings(rejected="keep-last"),
    eval_every=5,
)
OPEN = "OpenUnReID; GeM pooling is the only other difference, by its author"
SYNTHETIC = on_synthetic(MARKET1501)
USER = for_own_images(MARKET1501)

RECIPES = (
    *_with_ibn(MARKET1501, (73.1, 88.1, 95.1, 97.0), (73.8, 88.4, 95.3, 97.3)),
    replace(PLUS, paper=PaperResult(76.0, 89.5, 96.2, 97.5, source=OPEN, settings=OPEN)),
    *_with_ibn(
        replace(MARKET1501, source="msmt17"), (77.5, 89.7, 96.1, 97.6), (79.9, 92.0, 97.1, 98.1)
    ),
    *_with_ibn(
        replace(MARKET1501, source="personx"), (73.8, 88.0, 95.3, 96.9), (77.9, 90.5, 96.1, 97.7)
    ),
    _first_version(replace(MARKET1501, source="dukemtmcreid"), (76.7, 90.3, 96.2, 97.7)),
    _first_version(DUKEMTMCREID, (65.3, 81.2, 90.3, 92.2)),
    replace(
        PLUS,
        dataset="dukemtmcreid",
        paper=PaperResult(67.1, 82.4, 90.8, 93.0, source=OPEN, settings=OPEN),
    ),
    replace(
        PLUS,
        source="dukemtmcreid",
        paper=PaperResult(78.2, 90.5, 96.6, 97.8, source=OPEN, settings=OPEN),
    ),
    replace(
        PLUS,
        dataset="dukemtmcreid",
        source="market1501",
        paper=PaperResult(70.4, 83.8, 91.2, 93.4, source=OPEN, settings=OPEN),
    ),
    _first_version(replace(DUKEMTMCREID, source="market1501"), (68.8, 82.9, 90.1, 92.5)),
    replace(
        MARKET1501,
        dataset="personx",
        paper=PaperResult(
            72.3,
            88.1,
            96.6,
            98.3,
            source="result figure in the README of Cluster Contrast's released code",
            settings="as for Market-1501 (issue 33); the figure's own are not given",
        ),
    ),
    *_with_ibn(MSMT17, (19.1, 42.3, 55.6, 61.2), (24.0, 48.9, 61.8, 67.1)),
    *_with_ibn(
        replace(MSMT17, source="market1501"), (26.8, 53.7, 65.0, 69.8), (31.0, 58.1, 69.6, 74.1)
    ),
    *_with_ibn(
        replace(MSMT17, source="personx"), (22.7, 47.7, 60.0, 65.5), (25.4, 50.6, 63.3, 68.3)
    ),
    _first_version(replace(MSMT17, source="dukemtmcreid"), (26.5, 53.1, 65.8, 70.5)),
    *_with_ibn(VERI, (36.9, 79.9, 86.8, 89.9), (36.6, 79.1, 85.9, 89.2)),
    *_with_ibn(
        replace(VERI, source="vehicleid"), (38.9, 80.4, 86.8, 89.6), (38.0, 79.7, 85.8, 88.4)
    ),
    *_with_ibn(
        replace(VERI, source="vehiclex"), (38.9, 81.3, 87.3, 90.0), (37.8, 80.7, 86.1, 89.2)
    ),
    SYNTHETIC,
    replace(SYNTHETIC, variant="plus", settings=SpCLSettings(rejected="keep-last")),
    replace(SYNTHETIC, source="synthetic-b"),
    replace(SYNTHETIC, source="synthetic-b", variant="clean", settings=SpCLSettings(order="clean")),
)
