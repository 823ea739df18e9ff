"""Settings of the published runs, and what was published for them."""

from dataclasses import dataclass, replace
from typing import Literal

from common.errors import UserError
from common.ranges import require_range
from common.recipe import Dbscan, EncoderSettings, PaperResult, PaperScores, Recipe, Sampling
from common.schedules import (
    Constant,
    ExponentialEps,
    LinearEps,
    LogEps,
    Schedule,
    StepDecay,
    Warmup,
)
from common.small import for_own_images, on_synthetic


@dataclass(frozen=True)
class DCCCSettings:
    """Settings of DCCC.

    Args:
        update: wgm (weighted, the method), hard, avg or cc (every image in turn).
        update_temperature: of the weights of "wgm", > 0; no effect on the others.
        momentum: share of the old row that is kept, in [0, 1].
        temperature: of the softmax, for student and teacher, > 0.
        soft_weight: w of the soft loss, in [0, 1]; the plain contrast gets 1 - w. All commands
            use 1.
        smooth: share of the teacher's prediction in the soft target, in [0, 1].
        teacher_start: global step at which the teacher becomes a copy of the student, >= 0.
    """

    update: Literal["wgm", "hard", "avg", "cc"] = "wgm"
    update_temperature: float = 0.09
    momentum: float = 0.1
    temperature: float = 0.05
    soft_weight: float = 1.0
    smooth: float = 0.1
    teacher_start: int = 99

    def __post_init__(self) -> None:
        require_range(self, "[0, 1]", "momentum", "soft_weight", "smooth")
        require_range(self, "(0, inf)", "temperature")
        require_range(self, "[0, inf)", "teacher_start")
        if not self.update_temperature > 0:
            raise UserError("settings.update_temperature must be above 0; use update=hard for 0.")


FIGURE = "result figure in the README of the released code"
COMMANDS = "commands of the released code"

JACCARD = Dbscan(eps=ExponentialEps(0.7), min_samples=4, k1=30, k2=6)

MARKET1501 = Recipe(
    method="dccc",
    dataset="market1501",
    settings=DCCCSettings(update_temperature=0.03, smooth=0.3),
    encoder=EncoderSettings(arch="resnet50", pooling="avg", height=256, width=128),
    sampling=Sampling(batch_size=256, instances=16, iterations=200),
    clustering=JACCARD,
    lr=3.5e-4,
    lr_factor=Warmup(epochs=10, start=0.1),
    weight_decay=5e-4,
    epochs=70,
    bn_chunks=4,
    eval_every=2,
    seed=3407,
    paper=PaperResult(86.6, 94.1, 98.0, 98.9, source=FIGURE, settings=COMMANDS),
)
DUKEMTMCREID = replace(
    MARKET1501,
    dataset="dukemtmcreid",
    settings=DCCCSettings(update_temperature=0.07),
    seed=1,
    paper=PaperResult(74.0, 85.4, 92.2, 93.9, source=FIGURE, settings=COMMANDS),
)
MSMT17 = replace(
    MARKET1501,
    dataset="msmt17",
    settings=DCCCSettings(update_temperature=0.6),
    clustering=replace(JACCARD, eps=ExponentialEps(0.8)),
    epochs=80,
    seed=1,
    paper=PaperResult(31.6, 62.3, 73.4, 77.9, source=FIGURE, settings=COMMANDS),
)
STARRED = "the starred row of the figure, most likely IBN-ResNet-50; no command was published"


def _with_ibn(recipe: Recipe, scores: PaperScores) -> Recipe:
    return replace(
        recipe,
        variant="ibn",
        encoder=replace(recipe.encoder, arch="resnet_ibn50a"),
        paper=PaperResult(*scores, source=FIGURE, settings=STARRED),
    )


SWITCH = PaperResult(settings="a switch of the released code; no result published")
OTHER_RADII: dict[str, Schedule] = {
    "eps-fix": Constant(0.6),
    "eps-linear": LinearEps(0.6),
    "eps-step": LinearEps(0.6, step=0.03, every=5),
    "eps-log": LogEps(0.6, epochs=70),
}


def _ablations(base: Recipe, paper: PaperResult) -> tuple[Recipe, ...]:
    """The other updates of the memory, and the plain loss."""
    updates = tuple(
        replace(base, variant=n, settings=replace(base.settings, update=n), paper=paper)
        for n in ("hard", "avg", "cc")
    )
    plain = replace(base.settings, soft_weight=0.0)
    return (*updates, replace(base, variant="plain-loss", settings=plain, paper=paper))


SYNTHETIC = replace(
    on_synthetic(MARKET1501),
    clustering=replace(JACCARD, eps=ExponentialEps(0.6, factor=0.985)),
)
USER = replace(
    for_own_images(MARKET1501), clustering=replace(JACCARD, eps=ExponentialEps(0.55, factor=0.98))
)

RECIPES = (
    MARKET1501,
    _with_ibn(MARKET1501, (88.2, 95.2, 98.3, 99.0)),
    *_ablations(MARKET1501, SWITCH),
    *(
        replace(
            MARKET1501,
            variant=name,
            clustering=replace(JACCARD, eps=eps),
            paper=SWITCH,
        )
        for name, eps in OTHER_RADII.items()
    ),
    replace(MARKET1501, variant="lr-step", lr_factor=StepDecay(every=20), paper=SWITCH),
    DUKEMTMCREID,
    _with_ibn(DUKEMTMCREID, (76.9, 87.1, 93.5, 95.2)),
    MSMT17,
    _with_ibn(MSMT17, (44.3, 73.8, 82.5, 85.7)),
    SYNTHETIC,
    *_ablations(SYNTHETIC, SYNTHETIC.paper),
)
