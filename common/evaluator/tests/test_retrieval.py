"""mAP and CMC against plain per-query versions, with ties, distractors and lonely queries."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from common.data.check import has_match
from common.errors import UserError
from common.evaluator import retrieval
from common.evaluator.retrieval import (
    GPU_ENTRIES,
    _block_size,
    _slices,
    distances,
    evaluate,
    evaluate_distances,
    ranked,
)
from common.team import Team
from common.types import Samples

SEEDS = range(6)
EXACT = 1e-9  # both sides add the same fractions in float64


def samples(rng, count, ids, cams):
    paths = np.arange(count).astype(object)
    return Samples(paths, rng.integers(0, ids, count), rng.integers(0, cams, count))


def random_case(seed, queries=17, images=90, ids=8, cams=3, levels=None):
    """Features of whole numbers, so that distances are exact; few `levels` make many ties."""
    rng = np.random.default_rng(seed)
    query, gallery = samples(rng, queries, ids + 3, cams), samples(rng, images, ids, cams)
    levels = levels or 50
    fq, fg = (
        torch.from_numpy(rng.integers(0, levels, (n, 5)).astype(np.float32))
        for n in (queries, images)
    )
    return fq, query, fg, gallery


def plain_ranking(row, pid, cam, gallery):
    """Kept gallery positions by (distance, position)."""
    kept = [j for j in range(len(row)) if not (gallery.pids[j] == pid and gallery.cams[j] == cam)]
    return sorted(kept, key=lambda j: (row[j], j))


def plain_scores(matrix, query, gallery, ranks):
    precisions, firsts = [], []
    for row, pid, cam in zip(matrix, query.pids, query.cams, strict=True):
        order = plain_ranking(row, pid, cam, gallery)
        correct = gallery.pids[order] == pid
        if correct.any():
            precisions.append(average_precision_score(correct, -row[order]))
            firsts.append(list(correct).index(True) + 1)
    cmc = [np.mean([first <= k for first in firsts]) for k in range(1, ranks + 1)]
    return np.mean(precisions), np.array(cmc), len(firsts)


def assert_same(found, expected):
    assert found.map == pytest.approx(expected[0], abs=EXACT)
    np.testing.assert_allclose(found.cmc, expected[1], atol=EXACT)
    assert found.num_valid == expected[2]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("levels", [None, 3, 2, 1])
def test_scores_equal_the_plain_version_with_and_without_ties(seed, levels):
    fq, query, fg, gallery = random_case(seed, levels=levels)

    found = evaluate(fq, query, fg, gallery, ranks=20)

    assert_same(found, plain_scores(distances(fq, fg).numpy(), query, gallery, 20))


@pytest.mark.parametrize("seed", SEEDS)
def test_given_distances_are_scored_and_left_as_they_are(seed):
    _, query, _, gallery = random_case(seed)
    matrix = torch.rand(17, 90, generator=torch.Generator().manual_seed(seed))
    before = matrix.clone()

    found = evaluate_distances(matrix, query, gallery, ranks=20)

    assert_same(found, plain_scores(matrix.numpy(), query, gallery, 20))
    assert torch.equal(matrix, before)


@pytest.mark.parametrize("block", [1, 2, 5, 16, 17, 1000])
@pytest.mark.parametrize("levels", [None, 2])
def test_the_block_size_changes_nothing(block, levels, monkeypatch):
    case = random_case(3, levels=levels)

    whole = evaluate(*case)
    monkeypatch.setattr(retrieval, "_block_size", lambda *_: block)
    found = evaluate(*case)

    assert found.map == whole.map
    assert found.num_valid == whole.num_valid
    np.testing.assert_array_equal(found.cmc, whole.cmc)


@pytest.mark.parametrize("distractor", [-1, 0])
def test_many_distractors_of_one_identity_count_as_wrong_images(distractor):
    fq, query, fg, gallery = random_case(4)
    query, gallery = (replace(part, pids=part.pids + 1) for part in (query, gallery))
    others = Samples(*(np.full(400, value) for value in (object(), distractor, 0)))
    far = torch.full((400, fg.shape[1]), 1e3)

    found = evaluate(fq, query, torch.cat([fg, far]), gallery.join(others))

    assert found.map == evaluate(fq, query, fg, gallery).map
    near = evaluate(fq, query, torch.cat([fg, fq[:1].expand(400, -1)]), gallery.join(others))
    assert near.map < found.map


def test_the_distances_held_at_once_are_bounded_for_a_large_gallery():
    rng = np.random.default_rng(0)
    query, gallery = samples(rng, 3000, 50, 3), samples(rng, 1_000_000, 50, 3)

    size = _block_size(query, gallery, torch.device("cpu"))

    assert size * len(gallery) <= GPU_ENTRIES
    assert _slices(len(query), size)[-1].stop >= len(query)


@pytest.mark.parametrize("seed", SEEDS)
def test_half_precision_and_noncontiguous_features_score_like_their_float_copies(seed):
    fq, query, fg, gallery = random_case(seed)
    expected = evaluate(fq, query, fg, gallery)

    half = evaluate(fq.half(), query, fg.half(), gallery)
    strided = evaluate(fq.T.contiguous().T, query, fg.T.contiguous().T, gallery)

    assert half.map == strided.map == expected.map


@pytest.mark.parametrize("piece", [7, 2048])
def test_distances_are_squared_and_not_clamped(piece, monkeypatch):
    monkeypatch.setattr(retrieval, "CPU_PIECE", piece)
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(20, 64, generator=g), torch.randn(30, 64, generator=g)

    found = distances(x, torch.cat([y, x]))

    expected = torch.cdist(x.double(), torch.cat([y, x]).double()).square()
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-4)
    assert found.dtype == torch.float32
    x = torch.nn.functional.normalize(torch.randn(200, 64, generator=g), dim=1)
    assert (distances(x, x).diagonal() < 0).any()


def test_images_of_the_query_from_its_own_camera_do_not_count():
    query = Samples(np.array(["q"], object), np.array([7]), np.array([0]))
    gallery = Samples(np.array(["a", "b", "c"], object), np.array([7, 1, 7]), np.array([0, 0, 1]))

    found = evaluate_distances(torch.tensor([[0.0, 2.0, 1.0]]), query, gallery)

    assert found.map == 1.0
    assert found.rank(1) == 1.0


def test_a_distractor_at_the_same_distance_shares_the_threshold_and_stands_by_position():
    query = Samples(np.array(["q"], object), np.array([7]), np.array([0]))
    before = Samples(np.array(["a", "b"], object), np.array([0, 7]), np.array([1, 1]))
    after = before.take(np.array([1, 0]))
    tie = torch.ones(1, 2)

    assert evaluate_distances(tie, query, before).map == 0.5
    assert evaluate_distances(tie, query, after).map == 0.5
    assert evaluate_distances(tie, query, before).rank(1) == 0.0
    assert evaluate_distances(tie, query, after).rank(1) == 1.0


def test_the_cmc_stays_level_beyond_the_end_of_the_gallery():
    found = evaluate(*random_case(0, images=20, ids=2), ranks=50)

    assert found.cmc.shape == (50,)
    assert (found.cmc[19:] == 1.0).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_has_match_tells_the_queries_that_count(seed):
    _, query, _, gallery = random_case(seed, images=25, cams=2)

    expected = [
        any((gallery.pids == pid) & (gallery.cams != cam))
        for pid, cam in zip(query.pids, query.cams, strict=True)
    ]

    np.testing.assert_array_equal(has_match(query, gallery), expected)


def test_a_single_camera_is_an_error_that_says_so():
    with pytest.raises(UserError, match="only from the query's own camera"):
        evaluate(*random_case(0, cams=1))


def test_unknown_identities_are_an_error_that_says_so():
    fq, query, fg, gallery = random_case(0)
    strangers = Samples(query.paths, query.pids + 100, query.cams)

    with pytest.raises(UserError, match="none of the queries' identities"):
        evaluate(fq, strangers, fg, gallery)


def test_an_empty_gallery_is_an_error_that_says_so():
    fq, query, fg, gallery = random_case(0)

    with pytest.raises(UserError, match="0 gallery images"):
        evaluate(fq, query, fg[:0], gallery.take(slice(0, 0)))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("part", ["1 of 17 query", "1 of 90 gallery"])
def test_features_that_are_not_finite_are_an_error_that_counts_them(value, part):
    fq, query, fg, gallery = random_case(0)
    (fq if "query" in part else fg)[3, 1] = value

    with pytest.raises(UserError, match=f"{part} images are not finite"):
        evaluate(fq, query, fg, gallery)


def test_more_rows_than_images_are_refused_instead_of_scored():
    fq, query, fg, gallery = random_case(0)
    fewer = gallery.take(slice(0, 80))

    with pytest.raises(ValueError, match="17 rows for 16 images"):
        evaluate(fq, query.take(slice(0, 16)), fg, gallery)
    with pytest.raises(ValueError, match="90 rows for 80 images"):
        evaluate(fq, query, fg, fewer)
    with pytest.raises(ValueError, match="90 rows for 80 images"):
        evaluate_distances(distances(fq, fg), query, fewer)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("levels", [None, 2])
def test_ranked_lists_equal_the_plain_ranking(seed, levels, monkeypatch):
    monkeypatch.setattr(retrieval, "_block_size", lambda *_: 2)
    fq, query, fg, gallery = random_case(seed, levels=levels)
    which = np.array([4, 0, 9])

    indices, correct = ranked(fq, query, fg, gallery, which, top=10)

    matrix = distances(fq, fg).numpy()
    for i, q in enumerate(which):
        order = plain_ranking(matrix[q], query.pids[q], query.cams[q], gallery)[:10]
        assert indices[i].tolist() == order
        assert correct[i].tolist() == (gallery.pids[order] == query.pids[q]).tolist()


def test_ranked_lists_end_with_minus_one_when_the_gallery_is_used_up():
    fq, query, fg, gallery = random_case(0, images=6, ids=1, cams=2)
    query = Samples(query.paths, query.pids * 0, query.cams)

    indices, correct = ranked(fq, query, fg, gallery, np.arange(17), top=9)

    kept = [(gallery.cams != cam).sum() for cam in query.cams]
    assert ((indices >= 0).sum(axis=1) == kept).all()
    assert (correct == (indices >= 0)).all()


@pytest.mark.gpu
@pytest.mark.parametrize("levels", [None, 2])
def test_gpu_and_cpu_agree(levels):
    fq, query, fg, gallery = random_case(5, levels=levels)

    found = evaluate(fq.cuda(), query, fg.cuda(), gallery)

    expected = evaluate(fq, query, fg, gallery)
    assert found.map == pytest.approx(expected.map, abs=EXACT)
    np.testing.assert_array_equal(found.cmc, expected.cmc)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # a part alone may have no valid query
@pytest.mark.parametrize("processes", [2, 3, 5])
@pytest.mark.parametrize("block", [None, 5])
def test_several_processes_score_what_one_scores_to_the_last_bit(processes, block, monkeypatch):
    g = torch.Generator().manual_seed(processes)
    fq, fg = torch.randn(170, 24, generator=g), torch.randn(300, 24, generator=g)
    rng = np.random.default_rng(processes)
    query, gallery = samples(rng, 170, 20, 3), samples(rng, 300, 20, 3)
    if block:
        monkeypatch.setattr(retrieval, "_block_size", lambda *_: block)
    alone = evaluate(fq, query, fg, gallery)
    filled = []  # by every process: precisions, ranks; zero where another one scores
    monkeypatch.setattr(Team, "complete_", lambda team, rows: filled.append(rows) or rows)
    for rank in range(processes):
        evaluate(fq, query, fg, gallery, team=Team(rank, processes))
    whole = [sum(filled[0::2]), sum(filled[1::2])]
    monkeypatch.setattr(Team, "complete_", lambda team, rows: whole.pop(0))
    together = evaluate(fq, query, fg, gallery, team=Team(0, processes))
    assert together.map == alone.map
    assert np.array_equal(together.cmc, alone.cmc)
