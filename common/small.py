"""A paper's recipe at a small size: for the drawn data set, and for own images anywhere.

Memory and loss stay the method's own; network, image size, batch, radius and schedule fit two CPU
cores. Nothing here was published.
"""

from dataclasses import replace

from common.recipe import (
    Augment,
    Clustering,
    Dbscan,
    EncoderSettings,
    PaperResult,
    Recipe,
    Sampling,
)
from common.schedules import Constant, StepDecay

SYNTHETIC = "synthetic"
SYNTHETIC_SOURCE = "synthetic-b"


def on_synthetic(paper: Recipe) -> Recipe:
    """The method on the drawn pedestrians, from random weights.

    A tiny encoder that sees the image in instance-normalized form and pools four horizontal
    parts, and a learning rate for random weights, are what makes it work (docs/synthetic.md).

    Args:
        paper: the recipe whose method settings are kept.
    """
    return replace(
        paper,
        dataset=SYNTHETIC,
        source=SYNTHETIC_SOURCE if paper.source else "",
        encoder=EncoderSettings(
            arch="tiny", pooling="parts", height=64, width=32, weights="random"
        ),
        augment=Augment(pad=3),
        sampling=replace(paper.sampling, batch_size=128, instances=8, iterations=40),
        clustering=_clustering(paper.clustering),
        lr=3e-3,
        lr_factor=StepDecay(every=15, factor=0.1),
        epochs=20,
        bn_chunks=1,
        eval_every=1,
        paper=PaperResult(
            settings="ours, with a tiny encoder from random weights", compares="last"
        ),
    )


def for_own_images(paper: Recipe) -> Recipe:
    """The method on a folder of the user's images: MobileNetV2 at 128 x 64, a short schedule.

    Args:
        paper: the recipe whose method settings are kept.
    """
    return replace(
        paper,
        dataset="folder",
        encoder=EncoderSettings(arch="mobilenet_v2", pooling="avg", height=128, width=64),
        augment=Augment(pad=5),
        sampling=Sampling(batch_size=128, instances=8, iterations=50),
        clustering=_clustering(paper.clustering),
        lr_factor=StepDecay(every=8, factor=0.1),
        epochs=12,
        bn_chunks=2,
        eval_every=3,
        paper=PaperResult(settings="ours, for your own images on any machine", compares="last"),
    )


def _clustering(papers: Clustering) -> Clustering:
    """DBSCAN at one radius for all methods; InfoMap as the paper has it."""
    if isinstance(papers, Dbscan):
        return Dbscan(eps=Constant(0.5), min_samples=4, k1=30, k2=6)
    return papers
