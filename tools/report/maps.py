"""The feature map: near points have near features; colours say cluster and identity."""

import colorsys

import numpy as np

from common.evaluator.feature_map import project_to_plane, sample_groups
from tools.report.figures import scatter_chart
from tools.report.inputs import ReportInputs
from tools.report.markup import Html, element, join

SEED = 0
GOLDEN = 0.618033988749895  # turns of the colour wheel between colours: never repeats
SHADES = ((0.62, 0.86), (0.85, 0.70), (0.45, 0.78))  # (saturation, value), by turns


def feature_maps(inputs: ReportInputs) -> Html:
    """t-SNE of training features, coloured by cluster and, with truth, by identity."""
    features, labels, truth = inputs.train_features, inputs.labels, inputs.truth
    if features is None or len(features) < 3 or (labels is None and truth is None):
        return Html("")
    shown = mapped_images(labels, truth)
    plane = project_to_plane(np.asarray(features), SEED)
    clusters = labels[shown] if labels is not None else None
    identities = truth[shown] if truth is not None else None
    maps = []
    if clusters is not None:
        maps.append(_map("By cluster", "outliers: grey crosses", plane, clusters, clusters))
    if identities is not None:
        matched = identities if clusters is None else matched_colors(clusters, identities)
        maps.append(_map("By true identity", "unknown: grey crosses", plane, identities, matched))
    return join(
        [
            _introduction(len(shown), len(inputs.train), len(maps)),
            _origin(inputs),
            element("div", *maps, css="maps"),
        ]
    )


def mapped_images(labels: np.ndarray | None, truth: np.ndarray | None) -> np.ndarray:
    """(n,) the training images that the map shows, ascending: whole identities, else clusters.

    Of labels and truth one at least is known.
    """
    groups = truth if truth is not None else labels
    assert groups is not None
    return sample_groups(groups, SEED)


def _origin(inputs: ReportInputs) -> Html:
    """Whose features and whose clusters are shown: the best network may be an earlier one."""
    best, epochs = inputs.result.get("best"), inputs.epochs
    if not best or not epochs or best["epoch"] == epochs[-1]["epoch"]:
        return Html("")
    text = (
        f"The features are those of the best test, after epoch {best['epoch'] + 1}; the clusters "
        f"are those of epoch {epochs[-1]['epoch'] + 1}, the last one."
    )
    return element("p", text, css="note")


def matched_colors(clusters: np.ndarray, identities: np.ndarray) -> np.ndarray:
    """(n,) colour number per image, such that a right cluster looks alike in both maps.

    Pairs of cluster and identity are matched by the images they share, most first, each at
    most once. A matched identity takes its cluster's colour, any other a colour of its own.
    """
    inside = (clusters >= 0) & (identities >= 0)
    pairs, shared = np.unique(
        np.stack([clusters[inside], identities[inside]]), axis=1, return_counts=True
    )
    color_of: dict[int, int] = {}
    taken: set[int] = set()
    for cluster, identity in pairs[:, np.argsort(-shared, kind="stable")].T.tolist():
        if cluster not in taken and identity not in color_of:
            color_of[identity] = cluster
            taken.add(cluster)
    fresh = int(clusters.max(initial=-1)) + 1
    for identity in np.unique(identities).tolist():
        if identity not in color_of:
            color_of[identity] = fresh
            fresh += 1
    return np.array([color_of[identity] for identity in identities.tolist()])


def palette(numbers: np.ndarray) -> np.ndarray:
    """(n, 3) colours of equal numbers alike, neighbouring numbers far apart."""
    different, place = np.unique(numbers, return_inverse=True)
    colors = [
        colorsys.hsv_to_rgb((number * GOLDEN) % 1.0, *SHADES[number % len(SHADES)])
        for number in different.tolist()
    ]
    return np.array(colors).reshape(-1, 3)[place]


def _map(title: str, note: str, plane: np.ndarray, ids: np.ndarray, colors: np.ndarray) -> Html:
    count = len(np.unique(ids[ids >= 0]))
    spoken = f"{count:,} colour{'s' * (count != 1)}"
    if (ids < 0).any():
        spoken += f"; {note}"
    return scatter_chart(title, spoken, plane, palette(colors), ids < 0)


def _introduction(shown: int, total: int, maps: int) -> Html:
    text = (
        f"{shown:,} of {total:,} training images, whole groups"
        if shown < total
        else (f"All {total:,} training images")
    )
    text += ", placed by t-SNE: near points have near features; far distances mean nothing."
    if maps == 2:
        text += (
            " An identity has the colour of the cluster that holds most of it, so the two maps "
            "differ exactly where clusters and identities do."
        )
    return element("p", text, css="note")
