"""Ranked lists: what the network takes for the same person, for good, usual and bad queries."""

import numpy as np
import torch
from torch import Tensor

from common.data.check import has_match
from common.data.thumbnails import thumbnail_box
from common.evaluator.retrieval import distances, ranked, score_
from common.types import Samples
from tools.report.inputs import ReportInputs
from tools.report.markup import Html, element, join
from tools.report.pictures import Album, Mark

SAMPLED = 200  # queries among which examples are sought
PER_KIND = 4
TOP = 10
BLOCK = 20  # queries scored at once: 13 MB for a gallery of 80,000
SEED = 0


def ranked_lists(inputs: ReportInputs) -> Html:
    """The nearest ten of queries with the best, middle and worst average precision."""
    query, gallery = inputs.query, inputs.gallery
    if query is None or gallery is None or not len(query) or not len(gallery):
        return Html("")
    if inputs.query_features is None or inputs.gallery_features is None:
        return Html("")
    of_query, of_gallery = map(torch.from_numpy, (inputs.query_features, inputs.gallery_features))
    scored = np.flatnonzero(has_match(query, gallery))
    if len(scored) == 0:
        return Html("")
    which = _sample(scored)
    precision = average_precisions(of_query, of_gallery, query, gallery, which)
    box = thumbnail_box(inputs.recipe.encoder.height, inputs.recipe.encoder.width)
    albums = Album(query, box, inputs.cam_names), Album(gallery, box, inputs.cam_names)
    groups = []
    for title, places in examples(precision):
        nearest, correct = ranked(of_query, query, of_gallery, gallery, which[places], TOP)
        rows = [
            _row(albums, which[place], precision[place], nearest[row], correct[row])
            for row, place in enumerate(places)
        ]
        groups.append(element("div", element("h3", title), *rows, css="group"))
    return join([_introduction(len(which), len(scored)), *groups])


def average_precisions(
    query_features: Tensor,
    gallery_features: Tensor,
    query: Samples,
    gallery: Samples,
    which: np.ndarray,
) -> np.ndarray:
    """(n,) average precision of the queries at `which`, by the evaluator's rules."""
    found = []
    for start in range(0, len(which), BLOCK):
        part = which[start : start + BLOCK]
        matrix = distances(query_features[torch.from_numpy(part)], gallery_features)
        found.append(score_(matrix, query.take(part), gallery)[0].numpy())
    return np.concatenate(found)


def examples(precision: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Titles and positions of the best, the middle and the worst queries, none of them twice."""
    order = np.argsort(-precision, kind="stable")
    if len(order) < 3 * PER_KIND:
        return [("Queries, best first", order)]
    middle = len(order) // 2 - PER_KIND // 2
    return [
        ("Best", order[:PER_KIND]),
        ("Middle", order[middle : middle + PER_KIND]),
        ("Worst", order[-PER_KIND:]),
    ]


def _sample(scored: np.ndarray) -> np.ndarray:
    drawn = np.random.default_rng(SEED).permutation(scored)[:SAMPLED]
    return np.sort(drawn)


def _row(
    albums: tuple[Album, Album],
    query: int,
    precision: float,
    nearest: np.ndarray,
    correct: np.ndarray,
) -> Html:
    of_query, of_gallery = albums
    shown = nearest >= 0
    marks: list[Mark] = ["right" if right else "wrong" for right in correct[shown]]
    matches = _matches(of_query.samples, of_gallery.samples, query)
    text = f"AP {100 * precision:.0f} % · {correct.sum()} of {matches} matches in the first {TOP}"
    pictures = [of_gallery.picture(i, mark) for i, mark in zip(nearest[shown], marks, strict=True)]
    strip = element("div", of_query.picture(query, "query"), *pictures, css="strip ranked")
    return element("div", element("p", text, css="row-title"), strip, css="row")


def _matches(query: Samples, gallery: Samples, place: int) -> int:
    """Gallery images of the query's identity from other cameras."""
    same = gallery.pids == query.pids[place]
    return int((same & (gallery.cams != query.cams[place])).sum())


def _introduction(sampled: int, scored: int) -> Html:
    drawn = f"{sampled:,} queries drawn at random"
    return element(
        "p",
        f"Query first, then the nearest {TOP} gallery images, nearest first. Images of the query's "
        "identity from its own camera are left out, as in the evaluation. ✓ marks the query's "
        "identity, ✗ any other. Examples by average precision (AP) among "
        f"{drawn if sampled < scored else 'all queries that have a match'}.",
        css="note",
    )
