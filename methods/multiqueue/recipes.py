"""Settings of the published runs, and what was published for them."""

from dataclasses import dataclass, replace

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
class MultiQueueSettings:
    """Settings of MultiQueue.

    Args:
        queue_length: Q, entries per cluster, 1 to 1,000.
        temperature: of the softmax, > 0; the start where it is learned.
        learn_temperature: whether Adam trains it.
        temperature_rate: its learning rate as a share of the encoder's, >= 0.
        temperature_floor: a learned one is kept at or above this, >= 0; never reached in a
            published run. Ours.
        normalize_start: fill the queues with unit means. Ours; the released code does not.
        enqueue_blend: share of the old entry kept by a write, in [0, 1); 0 replaces it. Ours: 0.15
            stands in dead code of the release.
    """

    queue_length: int = 16
    temperature: float = 0.05
    learn_temperature: bool = True
    temperature_rate: float = 0.01
    temperature_floor: float = 0.005
    normalize_start: bool = False
    enqueue_blend: float = 0.0

    def __post_init__(self) -> None:
        require_range(self, "[1, 1000]", "queue_length")
        require_range(self, "(0, inf)", "temperature")
        require_range(self, "[0, inf)", "temperature_rate", "temperature_floor")
        require_range(self, "[0, 1)", "enqueue_blend")


FIXED = MultiQueueSettings(learn_temperature=False)
LOG = "published training log (4 GPUs, batch 256)"
COMMANDS = "scripts of the released code"
PERSON = EncoderSettings(arch="resnet50", pooling="gem", height=256, width=128)
GRAPH = InfoMap(similarity=0.5, k1=15, k2=4)

MARKET1501 = Recipe(
    method="multiqueue",
    dataset="market1501",
    settings=MultiQueueSettings(),
    encoder=PERSON,
    sampling=Sampling(batch_size=256, instances=16, iterations=200),
    clustering=Dbscan(eps=Constant(0.6), min_samples=4, k1=30, k2=6),
    lr=3.5e-4,
    lr_factor=StepDecay(every=20, factor=0.1),
    weight_decay=5e-4,
    epochs=50,
    bn_chunks=4,
    eval_every=10,
    seed=1,
)
LONG = replace(MARKET1501.sampling, iterations=400)
VEHICLE = replace(PERSON, height=224, width=224)


def _four_ways(
    base: Recipe,
    learned: PaperScores,
    learned_graph: PaperScores,
    fixed: PaperScores,
    fixed_graph: PaperScores,
) -> tuple[Recipe, ...]:
    """A data set's runs: {DBSCAN, InfoMap} x {learned, fixed temperature 0.05}, all logged."""

    fix = replace(base, settings=FIXED)
    ways = {
        "": (base, learned),
        "infomap": (replace(base, clustering=GRAPH), learned_graph),
        "fixed-temperature": (fix, fixed),
        "infomap-fixed-temperature": (replace(fix, clustering=GRAPH), fixed_graph),
    }
    return tuple(
        replace(run, variant=name, paper=PaperResult(*scores, source=LOG, settings=COMMANDS))
        for name, (run, scores) in ways.items()
    )


def _tuned(base: Recipe, temperature: float) -> Recipe:
    """The ablation prepared by the authors: fixed near the learned final value, not published."""
    settings = replace(FIXED, temperature=temperature)
    paper = PaperResult(settings="ablation script of the released code; no result published")
    return replace(base, variant="tuned-temperature", settings=settings, paper=paper)


DUKEMTMCREID = replace(MARKET1501, dataset="dukemtmcreid")
MSMT17 = replace(MARKET1501, dataset="msmt17", sampling=LONG)
PERSONX = replace(MARKET1501, dataset="personx")
VERI = replace(MARKET1501, dataset="veri", encoder=VEHICLE, sampling=LONG)

# The README's "results" setting: two GPUs, batch 128, 100 epochs.
SMALL = replace(
    MARKET1501,
    variant="two-gpus",
    sampling=Sampling(batch_size=128, instances=16, iterations=200),
    lr=1.75e-4,
    epochs=100,
    bn_chunks=2,
    paper=PaperResult(
        82.8,
        92.8,
        96.9,
        98.0,
        source="result figure in the README",
        settings="README of the released code, 2 GPUs, batch 128",
    ),
)
SMALL_GRAPH = replace(
    SMALL,
    variant="two-gpus-infomap",
    clustering=GRAPH,
    paper=PaperResult(
        82.5,
        92.4,
        97.1,
        98.2,
        source="result figure in the README",
        settings="README; it prints the rate 0.00175, most likely a slip for 0.000175 (taken here)",
    ),
)
SMALL_GRAPH_LITERAL = replace(
    SMALL_GRAPH,
    variant="two-gpus-infomap-literal",
    lr=1.75e-3,
    paper=replace(SMALL_GRAPH.paper, settings="README to the letter: rate 0.00175"),
)

SYNTHETIC = on_synthetic(MARKET1501)
USER = for_own_images(MARKET1501)

RECIPES = (
    *_four_ways(
        MARKET1501,
        (83.3, 93.3, 97.6, 98.4),
        (81.7, 92.3, 96.8, 97.7),
        (82.1, 92.4, 97.0, 98.1),
        (82.0, 92.4, 96.8, 98.1),
    ),
    _tuned(MARKET1501, 0.04),
    SMALL,
    SMALL_GRAPH,
    SMALL_GRAPH_LITERAL,
    *_four_ways(
        DUKEMTMCREID,
        (72.7, 85.1, 91.9, 93.9),
        (74.0, 86.0, 92.1, 94.0),
        (73.1, 85.1, 92.1, 93.6),
        (72.7, 84.8, 92.0, 93.6),
    ),
    _tuned(DUKEMTMCREID, 0.039),
    *_four_ways(
        MSMT17,
        (34.4, 64.8, 75.2, 79.1),
        (31.1, 61.1, 71.9, 76.1),
        (26.2, 55.1, 65.9, 70.1),
        (28.2, 59.0, 69.4, 73.8),
    ),
    _tuned(MSMT17, 0.029),
    *_four_ways(
        PERSONX,
        (76.6, 91.0, 97.2, 98.5),
        (87.8, 95.7, 98.8, 99.4),
        (75.0, 91.7, 97.5, 98.7),
        (88.0, 95.7, 98.7, 99.3),
    ),
    *_four_ways(
        VERI,
        (40.7, 83.3, 88.1, 90.5),
        (39.7, 82.7, 87.1, 89.7),
        (39.9, 83.8, 87.7, 90.2),
        (39.7, 85.2, 89.7, 92.1),
    ),
    SYNTHETIC,
    replace(SYNTHETIC, variant="infomap", clustering=GRAPH),
    replace(SYNTHETIC, variant="fixed-temperature", settings=FIXED),
    replace(SYNTHETIC, variant="infomap-fixed-temperature", settings=FIXED, clustering=GRAPH),
)
