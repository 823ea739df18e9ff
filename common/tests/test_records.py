"""The shapes of what a run writes: what fits, and which place is named where something does not."""

import pytest

from common.records import EVENTS, PROGRESS, RESULT, misfit

EPOCH = {"event": "epoch", "epoch": 0, "losses": {"a": 1.5}, "clusters": 3, "outliers": 2}
TEST = {"map": 1, "rank1": 0.5, "rank5": 0.5, "rank10": 0.5, "epoch": 0}
DONE = {"epoch": 0, "steps": 4, "seconds": {"test": 2}, "clusters": [3], "outliers": [0]}
DONE |= {"start": None, "last": TEST, "best": {**TEST, "network": "encoder"}}


def test_numbers_of_either_kind_names_left_out_and_others_fit():
    assert not misfit({**EPOCH, "eps": 0.5, "lr": 1}, EVENTS["epoch"])
    assert not misfit(DONE, PROGRESS)
    assert not misfit({"clusters": [[0, 4.5], [2, 7]]}, RESULT["reference_curve?"])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"losses": {"a": "1.5"}}, "losses.a is '1.5'"),
        ({"losses": [1.5]}, "losses is [1.5]"),
        ({"clusters": 3.5}, "clusters is 3.5"),
        ({"clusters": True}, "clusters is True"),
        ({"seconds": None}, "seconds is None"),
        ({"eps": float("nan")}, "eps is nan"),
        ({"eps": float("-inf")}, "eps is -inf"),
        ({"temperature": 10**400}, "temperature is 1000"),
        ({"lr": "fast"}, "lr is 'fast'"),
    ],
)
def test_a_line_of_the_log_with_another_value_is_told_by_its_name(changed, said):
    assert misfit({**EPOCH, **changed}, EVENTS["epoch"]).startswith(said)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"clusters": [3, None]}, "clusters[1] is None"),
        ({"last": {**TEST, "map": "high"}}, "last.map is 'high'"),
        ({"start": {}}, "start.map is missing"),
        ({"best": 3}, "best is 3"),
    ],
)
def test_a_place_within_a_record_is_told_by_its_full_name(changed, said):
    assert misfit({**DONE, **changed}, PROGRESS) == said


def test_a_published_number_may_be_missing_and_is_never_a_word():
    paper = {**dict.fromkeys(("map", "rank1", "rank5", "rank10")), "source": "", "compares": "last"}
    assert not misfit({**paper, "map": 84.2}, RESULT["paper"])
    assert misfit({**paper, "rank5": "high"}, RESULT["paper"]) == "rank5 is 'high'"
    assert misfit({**paper, "compares": "first"}, RESULT["paper"]) == "compares is 'first'"


def test_what_is_missing_is_told():
    assert misfit({"event": "warning"}, EVENTS["warning"]) == "text is missing"
    assert misfit([], RESULT) == "it is []"
    assert misfit([[2]], [[int, float]]) == "[0] is [2]"
