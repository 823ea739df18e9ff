"""Settings of the paper's runs, and what was published for them."""

from dataclasses import dataclass, replace
from typing import Literal

from common.errors import UserError
from common.ranges import require_range
from common.recipe import Dbscan, EncoderSettings, PaperResult, Recipe, Sampling
from common.schedules import Constant, StepDecay
from common.small import for_own_images, on_synthetic


@dataclass(frozen=True)
class HHCLSettings:
    """Settings of HHCL.

    Args:
        memory: CMhybrid (the published runs), CMhybrid_v2 (the paper's text), CM or CMhard.
        momentum: share of the old prototype that is kept, in [0, 1].
        temperature: of the softmax, > 0.
        hard_weight: h in [0, 1], not 0 in the released weights: of the hard term in CMhybrid, but
            of the centroids' in CMhybrid_v2; no effect on CM and CMhard, which have one term. The
            released command line never passes its value on: h was always 0.5.
        hybrid_weights: released (h, h (1 - h)) or balanced (h, 1 - h); CMhybrid only.
        smooth: epsilon of the label smoothing, in [0, 1); the released switch means 0.1, 0 is off.
    """

    memory: Literal["CMhybrid", "CMhybrid_v2", "CM", "CMhard"] = "CMhybrid"
    momentum: float = 0.1
    temperature: float = 0.05
    hard_weight: float = 0.5
    hybrid_weights: Literal["released", "balanced"] = "released"
    smooth: float = 0.0

    def __post_init__(self) -> None:
        require_range(self, "[0, 1]", "momentum", "hard_weight")
        require_range(self, "(0, inf)", "temperature")
        require_range(self, "[0, 1)", "smooth")
        released = self.memory == "CMhybrid" and self.hybrid_weights == "released"
        if released and self.hard_weight == 0:
            raise UserError(
                "settings.hard_weight=0 makes the released loss zero. Choose a value above 0, or "
                "settings.hybrid_weights=balanced."
            )


def require_slots(recipe: Recipe) -> None:
    """Refuse a memory of instances where batches are drawn without any."""
    if recipe.settings.memory == "CMhybrid_v2" and not recipe.sampling.instances:
        raise UserError(
            "settings.memory=CMhybrid_v2 stores sampling.instances images of every cluster, "
            "and that is 0. Choose more instances, or another memory."
        )


README = "README of the released code"

JACCARD = Dbscan(eps=Constant(0.45), min_samples=4, k1=30, k2=6)

MARKET1501 = Recipe(
    method="hhcl",
    dataset="market1501",
    settings=HHCLSettings(),
    encoder=EncoderSettings(arch="resnet50", pooling="avg", height=256, width=128),
    sampling=Sampling(batch_size=256, instances=16, iterations=200),
    clustering=JACCARD,
    lr=3.5e-4,
    lr_factor=StepDecay(every=20, factor=0.1),
    weight_decay=5e-4,
    epochs=60,
    bn_chunks=4,
    eval_every=10,
    seed=1,
    paper=PaperResult(
        84.2, 93.4, 97.7, 98.5, source=README, settings="README and run script of the released code"
    ),
)

DUKEMTMCREID = replace(
    MARKET1501,
    dataset="dukemtmcreid",
    clustering=replace(JACCARD, eps=Constant(0.6)),
    paper=PaperResult(
        73.3, 85.1, 92.4, 94.6, source=README, settings="README and run script of the released code"
    ),
)

MSMT17 = replace(
    MARKET1501,
    dataset="msmt17",
    clustering=replace(JACCARD, eps=Constant(0.7)),
    sampling=replace(MARKET1501.sampling, iterations=300),
    paper=PaperResult(
        31.8,
        58.9,
        71.3,
        75.8,
        source="the author in issue 7 of the released code",
        settings="the author in issue 7; an early README showed 400 iterations and eps 0.6",
    ),
)

IBN_ENCODER = EncoderSettings(arch="resnet_ibn50a", pooling="gem", height=256, width=128)
NO_IBN_RESULT = PaperResult(settings="run script of the released code; no result was published")

MARKET1501_IBN = replace(MARKET1501, variant="ibn", encoder=IBN_ENCODER, paper=NO_IBN_RESULT)
DUKEMTMCREID_IBN = replace(DUKEMTMCREID, variant="ibn", encoder=IBN_ENCODER, paper=NO_IBN_RESULT)

SUPERVISED = (
    "no code was published for the supervised rows: identities in place of clusters, all else "
    "unchanged, is our inference"
)

MARKET1501_SUPERVISED = replace(
    MARKET1501,
    variant="supervised",
    supervised=True,
    paper=PaperResult(87.2, 94.6, 98.5, 99.1, source=README, settings=SUPERVISED),
)
DUKEMTMCREID_SUPERVISED = replace(
    DUKEMTMCREID,
    variant="supervised",
    supervised=True,
    paper=PaperResult(80.0, 89.8, 95.2, 96.7, source=README, settings=SUPERVISED),
)

SYNTHETIC = on_synthetic(MARKET1501)
SYNTHETIC_SUPERVISED = replace(SYNTHETIC, variant="supervised", supervised=True)
USER = for_own_images(MARKET1501)

RECIPES = (
    MARKET1501,
    MARKET1501_IBN,
    MARKET1501_SUPERVISED,
    DUKEMTMCREID,
    DUKEMTMCREID_IBN,
    DUKEMTMCREID_SUPERVISED,
    MSMT17,
    SYNTHETIC,
    SYNTHETIC_SUPERVISED,
)
