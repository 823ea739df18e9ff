"""Ranges of settings: what is refused, and what is said."""

from types import SimpleNamespace

import pytest

from common.errors import UserError
from common.ranges import require_range
from common.recipe import Approximate, Dbscan, InfoMap
from common.recipe_text import override, parse_changes
from methods import METHODS


@pytest.mark.parametrize(
    ("interval", "inside", "outside"),
    [
        ("[0, 1]", (0, 0.5, 1), (-0.1, 1.1, float("nan"))),
        ("[0, 1)", (0, 0.9), (1, -1)),
        ("(0, 1]", (0.1, 1), (0, 2)),
        ("(0, inf)", (1e-9, 1e9), (0, -1, float("inf"), float("nan"))),
    ],
)
def test_ends_belong_to_the_interval_as_its_brackets_say(interval, inside, outside):
    for value in inside:
        require_range(SimpleNamespace(share=value), interval, "share")
    for value in outside:
        with pytest.raises(UserError, match=f"settings.share={value}: must"):
            require_range(SimpleNamespace(share=value), interval, "share")


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (Dbscan, {"min_samples": 0}),
        (Dbscan, {"k1": 1}),
        (Dbscan, {"k2": 0}),
        (InfoMap, {"similarity": -0.1}),
        (InfoMap, {"similarity": 1.1}),
        (InfoMap, {"k1": 1}),
        (InfoMap, {"k2": -1}),
        (InfoMap, {"trials": 0}),
        (InfoMap, {"seed": -1}),
        (InfoMap, {"seed": 10**20}),
    ],
)
def test_a_clustering_refuses_what_has_no_meaning_when_it_is_made(kind, wrong):
    [(name, value)] = wrong.items()
    with pytest.raises(UserError, match=f"clustering.{name}={value}: must"):
        kind(**wrong)


@pytest.mark.parametrize("share", [0.0, 1.5])
def test_an_approximate_search_looks_at_a_share_of_the_cells(share):
    with pytest.raises(UserError, match=f"clustering.search.share={share}: must lie in"):
        Approximate(share)


def test_a_query_expansion_over_more_than_the_neighbours_is_refused():
    with pytest.raises(UserError, match="k2 is 6, more than k1 = 5"):
        Dbscan(k1=5, k2=6)


def test_k1_may_fall_below_k2_before_k2_follows():
    changes = parse_changes(["clustering.k1=5", "clustering.k2=5"])
    assert override(METHODS["hhcl"].user_recipe, changes).clustering.k1 == 5


def test_the_hard_weight_may_be_zero_where_a_loss_remains():
    recipe = METHODS["hhcl"].user_recipe
    for other in ("memory=CMhybrid_v2", "hybrid_weights=balanced"):
        changes = parse_changes([f"settings.{other}", "settings.hard_weight=0"])
        assert override(recipe, changes).settings.hard_weight == 0
