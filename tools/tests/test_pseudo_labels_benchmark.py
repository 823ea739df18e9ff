"""The sides of the clustering benchmarks do the same work."""

import numpy as np
import pytest
import torch

from common.clustering import compiled
from common.errors import UserError
from common.recipe import InfoMap
from tools.benchmarks import infomap, pseudo_labels
from tools.benchmarks.pseudo_labels import Setup
from tools.benchmarks.reid_features import reid_like_features


def test_the_dense_yardstick_gives_the_same_labels():
    features, setup = reid_like_features(500, 64), Setup(500, 64)
    sparse = pseudo_labels._sparse_parts(features, setup)
    dense = pseudo_labels._dense_parts(features, setup)
    assert np.array_equal(sparse.labels, dense.labels)
    assert sparse.labels.max() > 5
    assert len(sparse.clock.cpu) == len(sparse.clock.wall) == len(pseudo_labels.PARTS)


def test_numbers_of_threads_take_turns_and_are_compared_with_the_first(monkeypatch):
    used, threads = [], torch.get_num_threads()

    def measure(parts, features, setup):
        used.append(torch.get_num_threads())
        return once(parts, features, setup)

    once = pseudo_labels._measure_once
    monkeypatch.setattr(pseudo_labels, "_measure_once", measure)
    setups = [Setup(300, 16, 2, count) for count in (1, 2)]
    try:
        found = pseudo_labels._measure(setups)
    finally:
        torch.set_num_threads(threads)
    first, second = pseudo_labels._rows(setups, found)
    assert used == [1, 2, 1, 2]
    assert second["faster_whole"] == first["wall_whole"] / second["wall_whole"]
    assert second["faster_after_search"] > 0
    assert (first["threads"], second["threads"], second["extra_mb"]) == (1, 2, None)
    assert "faster_whole" not in first


def test_the_form_of_a_device_gives_the_same_labels(monkeypatch):
    features, setup = reid_like_features(500, 64), Setup(500, 64)
    ours = pseudo_labels._sparse_parts(features, setup)
    monkeypatch.setattr(compiled, "AVAILABLE", False)
    assert np.array_equal(ours.labels, pseudo_labels._sparse_parts(features, setup).labels)


def test_a_row_tells_seconds_memory_and_the_recall_of_an_approximate_search():
    setup = Setup(600, 32, share=0.2)
    features = reid_like_features(600, 32)
    once = pseudo_labels._measure_once(pseudo_labels._sparse_parts, features, setup)
    row = pseudo_labels._row(setup, [once, once])
    assert 0 < row["recall"] < 1
    assert row["whole"] == pytest.approx(row["search"] + row["after_search"])
    assert row["repeats"] == 2
    assert row["least_whole"] <= row["whole"] <= row["most_whole"]
    assert row["least_wall_after_search"] <= row["most_wall_after_search"] < row["wall_whole"]
    assert row["wall_whole"] == pytest.approx(sum(row[f"wall_{p}"] for p in pseudo_labels.PARTS))
    assert row["device_mb"] is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"share": 1.5}, "share is 1.5"),
        ({"sizes": (600, 29)}, "sizes=29: must be at least 30"),
        ({"device": "cuda"}, "no CUDA device"),
    ],
)
def test_what_cannot_be_measured_is_said_at_once(changes, said, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match=said):
        pseudo_labels.run(**changes)


def test_features_are_unit_rows_that_depend_on_the_seed_alone():
    features = reid_like_features(300, 32, seed=3)
    assert torch.allclose(features.norm(dim=1), torch.ones(300))
    assert torch.equal(features, reid_like_features(300, 32, seed=3))


def test_both_forms_of_infomap_are_measured_part_by_part_and_give_the_same_labels():
    features = reid_like_features(400, 32)
    found = {}
    for plain in (False, True):
        setup = infomap.Setup(400, 32, InfoMap(similarity=0.3), plain=plain)
        measured = [infomap._measure_once(features, setup) for _ in range(2)]
        row = infomap._row(setup, measured)
        assert row["edges"] > 400
        assert row["modules"] >= row["clusters"] > 1
        assert row["whole"] == pytest.approx(row["graph"] + row["partition"])  # median of two
        assert 0 < row["least_wall_whole"] < row["wall_whole"] < row["most_wall_whole"]
        found[row["form"]] = measured[0].found
    assert np.array_equal(found["plain"].edges, found["ours"].edges)
    assert np.array_equal(found["plain"].labels, found["ours"].labels)


def test_forms_of_infomap_are_compared_by_edges_and_by_labels():
    labels = np.array([0, 0, 1, 1])
    ours = infomap.Found(np.array([1, 5, 9]), 2, 3.0, labels)
    plain = infomap.Found(np.array([1, 9, 8, 7]), 2, 3.0, 1 - labels)
    seed = infomap.Found(ours.edges, 2, 3.0, np.array([0, 1, 0, 1]))
    assert infomap._compared(ours, plain, seed) == {
        "edges_apart": 3,  # 5 of ours, 7 and 8 of the plain form
        "agreement": 1,
        "agreement_seeds": pytest.approx(-0.5),
    }


@pytest.mark.slow
def test_every_form_is_a_row_with_ratios_beside_a_dense_one():
    rows = pseudo_labels.run(sizes=(300,), dim=16, repeats=1, threads=(1, 2), device="auto")
    assert [row["form"] for row in rows] == 2 * ["dense", "sparse"]
    assert [row["threads"] for row in rows] == [1, 1, 2, 2]
    assert rows[1]["labels_differing"] == 0
    assert rows[1]["ratio_whole"] > 0
    rows = infomap.run(sizes=(300,), dim=16, device="auto")
    assert [row["form"] for row in rows] == ["plain", "ours"]
    assert rows[1]["edges_apart"] == 0
    assert rows[1]["agreement"] == 1
    assert rows[1]["agreement_seeds"] <= 1
    assert rows[1]["ratio_whole"] > 0
