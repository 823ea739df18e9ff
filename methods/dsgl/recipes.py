"""Settings of the released commands. No numbers were published with the code."""

from dataclasses import dataclass, replace
from typing import Literal

from common.ranges import require_range
from common.recipe import Dbscan, EncoderSettings, PaperResult, Recipe, Sampling
from common.schedules import Constant, StepDecay
from common.small import for_own_images, on_synthetic


@dataclass(frozen=True)
class DSGLSettings:
    """Settings of DSGL. All weights and shares are constants in the released code.

    Args:
        cls_half: which prototypes the cluster loss uses: hard, or mean (the MSMT17 file).
        momentum: share of the old prototype that is kept, in [0, 1].
        contrast_temperature, disentangle_temperature, entropy_temperature: of the three losses,
            > 0; the released option reaches the first alone.
        disentangle_share: a, pull of a positive group and weight of the negatives, in (0, 1].
        positive_share, negative_share: pulls b+ and b- of the entropy prototypes, in [0, 1].
        disentangle_orders: first-twice (the released loop passes the first nuisance label both
            times) or both.
        entropy_groups: groups of the second nuisance label: found among first labels (released)
            or among second ones (own).
        smooth: epsilon of the label smoothing of the cluster loss, in [0, 1); 0 for none.
    """

    cls_half: Literal["hard", "mean"] = "hard"
    momentum: float = 0.1
    contrast_temperature: float = 0.05
    disentangle_temperature: float = 0.05
    entropy_temperature: float = 0.05
    disentangle_share: float = 0.5
    positive_share: float = 0.8
    negative_share: float = 0.1
    disentangle_orders: Literal["first-twice", "both"] = "first-twice"
    entropy_groups: Literal["released", "own"] = "released"
    smooth: float = 0.0

    def __post_init__(self) -> None:
        temperatures = ("contrast_temperature", "disentangle_temperature", "entropy_temperature")
        require_range(self, "(0, inf)", *temperatures)
        require_range(self, "[0, 1]", "momentum", "positive_share", "negative_share")
        require_range(self, "(0, 1]", "disentangle_share")
        require_range(self, "[0, 1)", "smooth")


JACCARD = Dbscan(eps=Constant(0.45), min_samples=4, k1=30, k2=6)

MARKET1501 = Recipe(
    method="dsgl",
    dataset="market1501",
    settings=DSGLSettings(),
    encoder=EncoderSettings(arch="resnet50", pooling="gem", height=256, width=128),
    sampling=Sampling(batch_size=64, instances=16, iterations=400),
    clustering=JACCARD,
    lr=3.5e-4,
    lr_factor=StepDecay(every=25, factor=0.1),
    weight_decay=5e-4,
    epochs=60,
    bn_chunks=1,
    eval_every=1,
    seed=1,
    paper=PaperResult(
        source="not published in the released code",
        settings="README of the released code; one GPU is the natural reading of its command",
    ),
)
MSMT17 = replace(
    MARKET1501,
    dataset="msmt17",
    settings=DSGLSettings(cls_half="mean"),
    clustering=replace(JACCARD, eps=Constant(0.7)),
    paper=replace(
        MARKET1501.paper,
        settings="README; the mean half is inferred from the release's second memory file",
    ),
)

SYNTHETIC = on_synthetic(MARKET1501)
USER = for_own_images(MARKET1501)

RECIPES = (
    MARKET1501,
    MSMT17,
    SYNTHETIC,
    replace(SYNTHETIC, variant="msmt", settings=DSGLSettings(cls_half="mean")),
)
