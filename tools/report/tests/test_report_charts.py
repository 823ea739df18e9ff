"""What the charts and the map of a page draw and say."""

import re
from dataclasses import replace

import numpy as np
import pytest

from tools.report.figures import Line, line_chart
from tools.report.maps import _map, feature_maps
from tools.report.page import page


def authors_lines(html):
    """Charts with a line of the authors' log: title to (first, last) value of that line."""
    spoken = r"<title>([^<]+?) by epoch: [^<]*authors&#x27; log from (\S+) to ([^;<]+)"
    return {title: (first, last) for title, first, last in re.findall(spoken, html)}


def test_whatever_the_authors_logged_is_drawn_beside_the_run(inputs):
    reference = {
        "map": [[0, 0.2], [2, 0.55]],
        "clusters": [[0, 4], [2, 8]],
        "outliers": [[0, 7], [2, 6]],
        "contrast": [[0, 3.5], [2, 1.5]],
        "distill": [[0, 0.5], [2, 0.25]],
        "temperature": [[0, 0.05], [2, 0.04]],
    }
    events = [{**event, "temperature": 0.05} for event in inputs.events]  # which need not move

    html = page(replace(inputs, events=events, result={"reference_curve": reference}))

    assert authors_lines(html) == {
        "mAP, %": ("20", "55"),
        "Clusters": ("4", "8"),
        "Outliers": ("7", "6"),
        "Loss: contrast": ("3.5", "1.5"),
        "Loss: distill": ("0.5", "0.25"),
        "Temperature": ("0.05", "0.04"),
    }


def test_losses_share_a_chart_where_the_authors_logged_none(full):
    assert authors_lines(full).keys() == {"mAP, %", "Clusters"}
    assert re.search(r"<title>Loss by epoch: contrast from [^;]+; distill from ", full)


def test_counts_have_whole_numbers_beside_them_and_other_values_need_not():
    def ticks(*values):
        chart = line_chart("Clusters", [Line("this run", range(1, len(values) + 1), values)])
        return re.findall(r"<text[^>]*>([\d.]+)</text>", chart)

    assert [tick for tick in ticks(17, 18, 17) if "." in tick] == []
    assert [tick for tick in ticks(17, 17) if "." in tick] == []
    assert [tick for tick in ticks(17.0, 18.0, 17.0) if "." in tick]


def test_the_key_of_the_sizes_shows_an_area_and_a_dashed_line_as_they_are_drawn(full):
    chart = full[full.index("How many, by size</b>") :].partition("</figure>")[0]
    samples = re.findall(r'sample (\w+)"[^>]*></i>([\w ]+)<', chart)
    assert samples == [("filled", "clusters"), ("dashed", "true identities")]
    assert chart.count("stroke-dasharray") == 1


@pytest.mark.parametrize(
    ("ids", "said"), [([0, 0, -1], "1 colour; odd<"), ([0, 0, 1], "2 colours<")]
)
def test_the_colours_of_a_map_are_counted(ids, said):
    shown = np.array(ids)
    assert said in _map("Map", "odd", np.zeros((3, 2)), shown, shown)


def test_charts_take_their_colours_from_the_page(full):
    assert "#0a0a" not in full
    assert "var(--series-1)" in full


@pytest.mark.parametrize("best", [0, 2])
def test_the_map_says_whose_features_it_shows_where_the_best_network_is_not_the_last(inputs, best):
    result = {**inputs.result, "best": {**inputs.result["best"], "epoch": best}}
    said = str(feature_maps(replace(inputs, result=result)))
    told = "best test, after epoch 1; the clusters are those of epoch 3" in said
    assert told == (best == 0)
