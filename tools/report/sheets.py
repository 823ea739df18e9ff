"""Contact sheets of clusters, and how the clusters agree with the true identities."""

import numpy as np

from common.data.catalogue import DATASETS
from common.data.thumbnails import thumbnail_box
from common.recipe import Dbscan, Recipe
from common.types import Samples
from tools.report.clusters import ClusterTable, agreement, describe, main_identity, spread
from tools.report.figures import size_chart
from tools.report.inputs import ReportInputs
from tools.report.markup import Html, element, facts, join
from tools.report.pictures import Album, Mark

PER_KIND = 4  # clusters of a kind
PER_CLUSTER = 12  # images of a cluster
OUTLIERS = 24
SEED = 0


def cluster_sheets(inputs: ReportInputs) -> Html:
    """Numbers, sizes and images of the last epoch's clusters."""
    if inputs.labels is None or not len(inputs.labels):
        return Html("")
    train, labels, truth = inputs.train, inputs.labels, inputs.truth
    table = describe(labels, train.cams, truth)
    box = thumbnail_box(inputs.recipe.encoder.height, inputs.recipe.encoder.width)
    ids = np.full(len(train), -1) if truth is None else truth
    album = Album(Samples(train.paths, ids, train.cams), box, inputs.cam_names)
    kinds = [
        _group(title, note, rows, labels, truth, table, album)
        for title, note, rows in chosen(table, with_cams=album.with_cams)
    ]
    told = _numbers(labels, truth, table, supervised=inputs.recipe.supervised)
    numbers = element("div", told, _sizes(truth, table), css="beside")
    return join([numbers, _advice(inputs.recipe), *kinds, _outliers(labels, table, album)])


def chosen(table: ClusterTable, with_cams: bool) -> list[tuple[str, str, np.ndarray]]:
    """Kinds of clusters worth a look: title, explanation, rows of the table; none of them twice."""
    kinds = [("Largest", "the clusters with most images.", table.sizes)]
    if table.strangers.any():
        note = "of the others, those with most images of other identities than their main one (≠)."
        kinds.append(("Most mixed", note, table.strangers))
    if with_cams:
        note = "of the others, those that join most cameras."
        kinds.append(("Most cameras", note, table.cameras))
    if len(table):  # last, because the others are those most likely to join several identities
        nearness = 1 / (1 + np.abs(table.sizes - np.median(table.sizes)))
        kinds.append(("Of median size", "ordinary clusters.", nearness))
    found, used = [], np.zeros(len(table), dtype=bool)
    for title, note, key in kinds:
        order = np.lexsort((table.labels, -table.sizes, -key))
        rows = order[~used[order] & (key[order] > 0)][:PER_KIND]
        used[rows] = True
        if len(rows):
            found.append((title, note, rows))
    return found


def _numbers(
    labels: np.ndarray, truth: np.ndarray | None, table: ClusterTable, *, supervised: bool
) -> Html:
    alone = len(labels) - int(table.sizes.sum())
    pairs = [("clusters", f"{len(table):,}"), ("outliers", f"{alone:,}")]
    if len(table):
        pairs.append(("images per cluster, median", f"{np.median(table.sizes):g}"))
    note = Html("")
    if truth is not None:
        found = agreement(labels, truth)
        pairs.insert(0, ("true identities", f"{len(np.unique(truth[truth >= 0])):,}"))
        if found:
            pairs += [
                ("pair precision", f"{100 * found.precision:.1f} %"),
                ("pair recall", f"{100 * found.recall:.1f} %"),
                ("purity", f"{100 * found.purity:.1f} %"),
            ]
            use = (
                "the clusters of this supervised run"
                if supervised
                else "used here alone, never in training"
            )
            note = element(
                "p",
                "Pair precision: share of the image pairs within clusters that show one identity. "
                "Pair recall: share of an identity's image pairs that a cluster holds together. "
                "Purity: share of clustered images that show their cluster's main identity. "
                f"The true identities are {use}.",
                css="note",
            )
    return element("div", facts(pairs), note)


def _advice(recipe: Recipe) -> Html:
    """What to change on own images, whose pictures may be all that tells good clusters from bad."""
    if recipe.dataset in DATASETS or recipe.supervised or not isinstance(recipe.clustering, Dbscan):
        return Html("")
    return element(
        "p",
        "Where a cluster shows several identities, try a smaller clustering.eps; where an identity "
        "has several clusters, or most images are outliers, a larger one (docs/own_images.md).",
        css="note",
    )


def _sizes(truth: np.ndarray | None, table: ClusterTable) -> Html:
    if len(table) < 2:
        return Html("")
    sizes = {"clusters": table.sizes}
    if truth is not None and (known := truth[truth >= 0]).size:
        sizes["true identities"] = np.unique(known, return_counts=True)[1]
    return size_chart("How many, by size", sizes, "images")


def _group(
    title: str,
    note: str,
    rows: np.ndarray,
    labels: np.ndarray,
    truth: np.ndarray | None,
    table: ClusterTable,
    album: Album,
) -> Html:
    sheets = [_sheet(row, labels, truth, table, album) for row in rows]
    heading = element("h3", title, element("span", f": {note}", css="aside"))
    return element("div", heading, element("div", *sheets, css="sheets"), css="group")


def _sheet(
    row: int, labels: np.ndarray, truth: np.ndarray | None, table: ClusterTable, album: Album
) -> Html:
    """One cluster: members in order of identity, or of camera without truth."""
    members = np.flatnonzero(labels == table.labels[row])
    order, stranger = album.samples.cams, np.zeros(len(labels), dtype=bool)
    text = f"Cluster {table.labels[row]} · {table.sizes[row]:,} images"
    if album.with_cams:
        text += f" · {_count(table.cameras[row], 'camera', 'cameras')}"
    if truth is not None and table.identities[row]:
        main = main_identity(truth[members])
        stranger = (truth >= 0) & (truth != main)
        order = np.where(truth == main, -2, truth)  # the main identity first, then the unknown
        text += f" · {_count(table.identities[row], 'identity', 'identities')}"
    shown = spread(members, order, PER_CLUSTER)
    marks: list[Mark] = ["other" if stranger[i] else "" for i in shown]
    title = element("p", text, css="row-title")
    return element("div", title, album.strip(shown, marks), css="sheet")


def _outliers(labels: np.ndarray, table: ClusterTable, album: Album) -> Html:
    outside = np.flatnonzero(~np.isin(labels, table.labels))
    if len(outside) == 0:
        return Html("")
    drawn = np.random.default_rng(SEED).permutation(outside)[:OUTLIERS]
    note = f": {_count(len(outside), 'image', 'images')} that no cluster took."
    if len(drawn) < len(outside):
        note = f": {len(drawn)} of {len(outside):,} images that no cluster took, drawn at random."
    strip = album.strip(np.sort(drawn), [""] * len(drawn))
    heading = element("h3", "Outliers", element("span", note, css="aside"))
    return element("div", heading, strip, css="group")


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"
