"""A sweep as it is written on the command line."""

import pytest

from common.errors import UserError
from tools.sweep import sweep_values


def test_a_sweep_is_a_run_for_each_value():
    assert sweep_values("") == [[]]
    assert sweep_values("settings.queue_length=4, 16") == [
        ["settings.queue_length=4"],
        ["settings.queue_length=16"],
    ]
    kinds = "clustering.eps=LinearEps(start=0.6, step=0.01), 0.5"
    assert [len(sweep_values(text)) for text in (kinds, "clustering=Dbscan(),InfoMap()")] == [2, 2]


@pytest.mark.parametrize("sweep", ["lr", "lr=", "lr=0.1", "lr=0.1,"])
def test_a_sweep_without_several_values_is_a_mistake(sweep):
    with pytest.raises(UserError):
        sweep_values(sweep)
