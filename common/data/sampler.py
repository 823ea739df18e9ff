"""Which images make up the batches of an epoch: P identities with K images each."""

from collections.abc import Iterator

import numpy as np
import torch

from common.errors import UserError
from common.recipe import Sampling
from common.streams import Stream


def identity_pass(
    labels: np.ndarray, cams: np.ndarray, instances: int, cameras: bool, stream: Stream
) -> np.ndarray:
    """One pass of the identity sampler: every class once, K images of each.

    Classes come in random order. Of each, an anchor is drawn, then K - 1 images from the
    members under another camera than the anchor's; from the other members if there are none
    or `cameras` is off; nothing more if the class is a singleton. So a singleton contributes
    one image and shifts what follows.

    Oddity of the released code, kept: candidates are drawn without replacement only if there
    are at least K of them, although K - 1 are needed.

    Args:
        labels: (N,) int64; images with negative labels are left out.
        cams: (N,) int64.
        instances: K >= 1.
        stream: torch's generator permutes the classes (numbered by first appearance in
            `labels`), Python's draws the anchors, NumPy's the other images.

    Returns:
        Image indices, int64: K for each class of at least two members, one for each singleton.
    """
    groups = members_of(labels)
    chosen: list[np.ndarray] = []
    for number in torch.randperm(len(groups), generator=stream.torch).tolist():
        members = groups[number]
        anchor = stream.python.choice(members)
        chosen.append(np.array([anchor]))
        others = _candidates(members, cams, anchor, cameras)
        if len(others):
            few = len(others) < instances
            chosen.append(stream.numpy.choice(others, size=instances - 1, replace=few))
    return np.concatenate(chosen) if chosen else np.empty(0, np.int64)


def plain_pass(labels: np.ndarray, stream: Stream) -> np.ndarray:
    """One pass over all images with a label, shuffled by torch's generator."""
    usable = np.flatnonzero(labels >= 0)
    return usable[torch.randperm(len(usable), generator=stream.torch).numpy()]


def members_of(labels: np.ndarray) -> list[np.ndarray]:
    """Image indices of every class, ascending; classes by first appearance in `labels`."""
    usable = np.flatnonzero(labels >= 0)
    _, first, sizes = np.unique(labels[usable], return_index=True, return_counts=True)
    by_class = usable[np.argsort(labels[usable], kind="stable")]
    groups = np.split(by_class, np.cumsum(sizes)[:-1])
    return [groups[number] for number in np.argsort(first)]


def identity_batches(
    labels: np.ndarray, cams: np.ndarray, sampling: Sampling, stream: Stream
) -> Iterator[np.ndarray]:
    """Endless batches of image indices.

    Batches are consecutive slices of a pass; what is left at its end is dropped, and a new
    pass is drawn when the next batch is asked for.

    Args:
        labels: (N,) int64; images with negative labels are left out.
        cams: (N,) int64.

    Yields:
        (B,) int64.

    Raises:
        UserError: one pass does not fill one batch. Raised at once, before any batch.
    """
    _require_a_batch(labels, sampling)
    return _endless(labels, cams, sampling, stream)


def iterations_of(sampling: Sampling, labels: np.ndarray) -> int:
    """Iterations of an epoch; where the recipe says 0, declared length // B, at least one."""
    return sampling.iterations or max(
        declared_length(labels, sampling.instances) // sampling.batch_size, 1
    )


def declared_length(labels: np.ndarray, instances: int) -> int:
    """Length of a pass as the released sampler declares it: classes * K.

    With singletons that is more than a pass gives. With K = 0, the number of labelled images.
    """
    usable = labels[labels >= 0]
    return len(np.unique(usable)) * instances if instances else len(usable)


def images_per_pass(labels: np.ndarray, instances: int) -> int:
    """Images that a pass gives: K of each class, one of a singleton; with K = 0 all labelled ones.

    Args:
        labels: (N,) int64; images with negative labels are left out.
        instances: K >= 0.
    """
    sizes = np.unique(labels[labels >= 0], return_counts=True)[1]
    return int(np.where(sizes > 1, instances, 1).sum() if instances else sizes.sum())


def _candidates(members: np.ndarray, cams: np.ndarray, anchor: int, cameras: bool) -> np.ndarray:
    if cameras:
        elsewhere = members[cams[members] != cams[anchor]]
        if len(elsewhere):
            return elsewhere
    return members[members != anchor]


def _endless(
    labels: np.ndarray, cams: np.ndarray, sampling: Sampling, stream: Stream
) -> Iterator[np.ndarray]:
    size = sampling.batch_size
    while True:
        if sampling.instances:
            indices = identity_pass(labels, cams, sampling.instances, sampling.cameras, stream)
        else:
            indices = plain_pass(labels, stream)
        for start in range(0, len(indices) - size + 1, size):
            yield indices[start : start + size]


def _require_a_batch(labels: np.ndarray, sampling: Sampling) -> None:
    size, instances = sampling.batch_size, sampling.instances
    given = images_per_pass(labels, instances)
    if given >= size:
        return
    sizes = np.unique(labels[labels >= 0], return_counts=True)[1]
    needed = f"{-(-size // instances)} classes x {instances} images" if instances else "shuffled"
    raise UserError(
        f"{int((sizes > 1).sum())} classes with two images or more and {int((sizes == 1).sum())} "
        f"single images fill {given} of the {size} images of a batch ({needed}). Lower "
        "sampling.batch_size or choose another source."
    )
