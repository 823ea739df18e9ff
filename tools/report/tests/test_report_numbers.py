"""Every number of a page that a reader compares stands in its place, in its unit."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from common.recipe import PaperResult
from common.types import Samples
from tools.report.clusters import ClusterTable
from tools.report.curves import course
from tools.report.ranking import ranked_lists
from tools.report.results import duration, headline, results
from tools.report.sheets import chosen, cluster_sheets


def text_of(html):
    return re.sub(r"<[^>]+>", "", html)


def rows_of(html):
    rows = re.findall(r"<tr>(.*?)</tr>", html)
    return [[text_of(cell) for cell in re.findall(r"<t[hd].*?</t[hd]>", row)] for row in rows]


def scored(epoch, value):
    scores = {"map": value, "rank1": value + 0.1, "rank5": value + 0.2, "rank10": value + 0.3}
    return {"epoch": epoch, **scores}


@pytest.fixture
def apart(inputs):
    """The same run, whose best test is not the last."""
    last, best = scored(2, 0.45), scored(0, 0.5)
    return replace(inputs, result={**inputs.result, "last": last, "best": best, "seconds": 250.0})


def test_the_results_stand_beside_the_published_ones_with_their_epochs(apart):
    assert rows_of(results(apart)) == [
        ["", "mAP", "rank-1", "rank-5", "rank-10", "after epoch"],
        ["before training", "10.0", "20.0", "30.0", "40.0", "–"],
        ["last test", "45.0", "55.0", "65.0", "75.0", "3"],
        ["best test", "50.0", "60.0", "70.0", "80.0", "1"],
        ["published", "84.2", "93.4", "–", "–", ""],
        ["difference (best − published)", "−34.2", "−33.4", "–", "–", ""],
        ["chance", "1.2", "2.0", "–", "–", ""],
    ]
    strong = re.findall("<strong>([a-z ]+)</strong>", results(apart))
    assert strong == ["best test"], "the one that the paper reports"


def test_what_was_not_published_or_not_tested_has_no_rows(apart):
    ours = PaperResult(settings="ours")
    unpublished = replace(apart, recipe=replace(apart.recipe, paper=ours))
    names = [row[0] for row in rows_of(results(unpublished))]
    assert names == ["", "before training", "last test", "best test", "chance"]
    assert ">Settings: ours. The best test" in results(unpublished)
    assert ">Published numbers: README. The best test" in results(apart)
    assert "No test was made" in results(replace(apart, result={}))
    assert "This data set has no test part" in results(replace(apart, result={}, gallery=None))


def test_the_tiles_show_the_scores_that_are_compared_the_last_clusters_and_the_time(apart):
    tiles = re.findall(r'<div class="tile-number">(.*?)</div>', headline(apart))
    assert [re.sub(r"(<[^>]+>)+", " ", tile).strip() for tile in tiles] == [
        "mAP 50.0 % from 10.0 before training",
        "rank-1 60.0 % from 20.0 before training",
        "clusters 7 in 36 images",
        "outliers 7 19 % of the images",
        "time 4 min 3 epochs",
    ]
    ours = replace(apart.recipe, paper=PaperResult(compares="last"))
    assert "<b>45.0<" in headline(replace(apart, recipe=ours))
    running = headline(replace(apart, result={}, events=apart.events[:2]))
    assert text_of(running).endswith("time4s1 epoch"), "from the log, until there is a result"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(99, ("99", "s")), (100, ("2", "min")), (5999, ("100", "min")), (6000, ("1.7", "h"))],
)
def test_a_time_is_told_in_the_unit_that_suits_it(seconds, said):
    assert duration(seconds) == said


def test_all_numbers_of_an_epoch_stand_in_its_row(inputs):
    head, *epochs = rows_of(course(inputs))
    losses, scores = ["contrast", "distill"], ["mAP encoder", "rank-1 encoder"]
    assert head == ["epoch", *losses, "clusters", "outliers", "eps", "seconds", *scores]
    assert epochs == [
        ["1", "2.000", "1.000", "5", "9", "0.7", "4.5", "", ""],
        ["2", "1.000", "1.000", "6", "8", "0.693", "4.5", "", ""],
        ["3", "0.6667", "1.000", "7", "7", "0.6861", "4.5", "50.0", "60.0"],
    ]
    assert "The same in every epoch: learning rate 0.00035." in course(inputs)


def test_a_ranked_list_counts_the_matches_and_shows_the_nearest_first(inputs):
    """Two of three matches are found, one image of the query's own camera is none."""
    query = Samples(np.array(["q"], object), np.array([7]), np.array([0]))
    pids, cams = np.array([7, 7, 8, 7] + 9 * [9] + [7]), np.array([0, 1, 1, 2] + 9 * [1] + [1])
    gallery = Samples(np.array([f"{i}" for i in range(14)], object), pids, cams)
    angles = torch.linspace(0, 1, 14)
    features = F.normalize(torch.stack([angles.cos(), angles.sin()], dim=1), dim=1).numpy()
    shown = ranked_lists(
        replace(
            inputs,
            query=query,
            query_features=features[:1],
            gallery=gallery,
            gallery_features=features,
        )
    )
    assert "AP 63 % · 2 of 3 matches in the first 10" in shown  # (1/1 + 2/3 + 3/13) / 3
    nearest = re.findall(r'class="tile (\w+)" title="(\d*q?)"', shown)
    assert nearest[:4] == [("query", "q"), ("right", "1"), ("wrong", "2"), ("right", "3")]
    assert [name for _, name in nearest] == ["q", *map(str, range(1, 11))]


def test_a_sheet_counts_its_cluster_and_shows_the_main_identity_first(inputs):
    labels, truth = np.array([4, 4, 4, 4, 4, 4, 4, -1]), np.array([5, 2, 2, -1, 2, 0, 5, 2])
    train = Samples(inputs.train.paths[:8], truth, np.array([0, 1, 1, 0, 0, 1, 0, 0]))
    shown = cluster_sheets(replace(inputs, train=train, labels=labels, truth=truth))
    assert "Cluster 4 · 7 images · 2 cameras · 3 identities" in shown
    captions = re.findall(r'class="(tile[ \w]*)".*?<figcaption>(?:id\xa0(\d))?', shown)
    assert captions[:7] == [
        ("tile", "2"),
        ("tile", "2"),
        ("tile", "2"),
        ("tile", ""),
        ("tile other", "0"),
        ("tile other", "5"),
        ("tile other", "5"),
    ]
    assert "How many, by size" not in shown, "of one cluster"
    facts = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", shown))
    assert facts == {
        "true identities": "3",
        "clusters": "1",
        "outliers": "1",
        "images per cluster, median": "7",
        "pair precision": "26.7 %",  # 3 + 1 of 15 pairs
        "pair recall": "57.1 %",  # 3 + 1 of 6 + 1 pairs
        "purity": "50.0 %",
    }
    assert "identities are used here alone, never in training." in shown
    bound = replace(inputs, recipe=replace(inputs.recipe, supervised=True))
    assert "identities are the clusters of this supervised run." in cluster_sheets(bound)


def test_the_most_telling_clusters_are_chosen_and_none_of_them_twice():
    cameras = np.array([3, 1, 1, 1, 2, 3, 6, 6, 6, 6])
    strangers = np.array([0, 0, 3, 1, 0, 0, 9, 9, 9, 9])
    table = ClusterTable(np.arange(10), np.arange(2, 12), cameras, strangers + 1, strangers)
    kinds = chosen(table, with_cams=True)
    assert ["of the others" in note for _, note, _ in kinds] == [False, True, True]
    found = [(title, rows.tolist()) for title, _, rows in kinds]
    largest, mixed = ("Largest", [9, 8, 7, 6]), ("Most mixed", [2, 3])
    assert found == [largest, mixed, ("Most cameras", [5, 0, 4, 1])]
    alike = replace(table, strangers=0 * strangers)
    assert [title for title, *_ in chosen(alike, with_cams=True)][:2] == ["Largest", "Most cameras"]
    *titles, (last, _, ordinary) = chosen(table, with_cams=False)
    assert [title for title, *_ in titles] == ["Largest", "Most mixed"]
    assert (last, ordinary.tolist()) == ("Of median size", [5, 4, 1, 0])
    assert chosen(ClusterTable(*5 * [np.arange(0)]), with_cams=True) == []


def test_clusters_of_own_images_say_what_to_change(inputs):
    own = replace(inputs, recipe=replace(inputs.recipe, dataset="crops"))
    assert "try a smaller clustering.eps" in cluster_sheets(own)
    assert "try a smaller clustering.eps" not in cluster_sheets(inputs)
