"""How the stored cases of evaluation and re-ranking are run."""

import re

import numpy as np
import torch
from torch import Tensor

from common.evaluator.protocols import all_shots, separate_cameras, single_gallery_shot
from common.evaluator.rerank import rerank
from common.evaluator.retrieval import distances, evaluate_distances
from common.reference import Case, Check, close, equal
from common.types import Samples

PROTOCOLS = {"cmc_allshots": all_shots, "cmc_separate_cam": separate_cameras}


def run_evaluation(case: Case) -> list[Check]:
    """Distances from features; every score from the stored distances."""
    stored = case.arrays
    query, gallery = _samples(case, "query"), _samples(case, "gallery")
    matrix = _distances(case, "distmat")
    ours = distances(case.tensor("query_features"), case.tensor("gallery_features"))
    found = evaluate_distances(matrix, query, gallery, ranks=len(stored["cmc_market1501"]))
    checks = [
        close("distances", ours, matrix, 2e-6),
        close("mAP", found.map, stored["mAP"], 1e-9),
        equal("valid queries", found.num_valid, stored["num_valid_queries"]),
        close("cmc_market1501", found.cmc, stored["cmc_market1501"], 1e-9),
    ]
    for key, protocol in PROTOCOLS.items():
        cmc = protocol(matrix, query, gallery, ranks=len(stored[key]))
        checks.append(close(key, cmc, stored[key], 1e-9))
    for key in stored:
        if seeded := re.fullmatch(r"cmc_cuhk03_seed(\d+)", key):
            rng = np.random.RandomState(int(seeded[1]))
            cmc = single_gallery_shot(matrix, query, gallery, rng=rng, ranks=len(stored[key]))
            checks.append(close(key, cmc, stored[key], 1e-9))
    return checks


def run_reranking(case: Case) -> list[Check]:
    """Re-ranked distances from the stored squared distances; mAP before and after."""
    q_g, q_q, g_g = (_distances(case, key) for key in ("q_g", "q_q", "g_g"))
    settings = {key: case.meta[key] for key in ("k1", "k2", "lambda_value")}
    query, gallery = _samples(case, "query"), _samples(case, "gallery")
    before = evaluate_distances(q_g, query, gallery)
    after = evaluate_distances(_distances(case, "reranked"), query, gallery)
    ours = rerank(q_g, q_q, g_g, **settings)
    return [
        close("mAP before", before.map, case.arrays["mAP_before"], 1e-9),
        close("re-ranked distances", ours, case.arrays["reranked"], 2e-6),
        close("mAP after", after.map, case.arrays["mAP_after"], 1e-9),
    ]


CASES = {"common_eval": run_evaluation, "common_rerank": run_reranking}


def _distances(case: Case, key: str) -> Tensor:
    """A matrix in its stored precision, since rounding could make ties."""
    return torch.from_numpy(case.arrays[key])


def _samples(case: Case, part: str) -> Samples:
    pids, cams = case.arrays[f"{part}_ids"], case.arrays[f"{part}_cams"]
    return Samples(np.arange(len(pids)).astype(object), pids, cams)
