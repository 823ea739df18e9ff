"""Random streams: independent by name, saved and restored exactly."""

import random

import numpy as np
import pytest
import torch

from common.streams import Stream, Streams


def some(stream):
    return (
        torch.rand(3, generator=stream.torch).tolist(),
        [stream.python.random() for _ in range(3)],
        stream.numpy.normal(size=3).tolist(),
    )


def test_the_same_seed_and_name_give_the_same_numbers():
    assert some(Streams(3)["views"]) == some(Streams(3)["views"])
    assert Streams(3)["views"].python.getrandbits(32) == 0x95FDA0BF  # in later versions, too


def test_names_and_seeds_give_different_numbers():
    first = some(Streams(3)["views"])
    assert first != some(Streams(3)["ids"])
    assert first != some(Streams(4)["views"])


def test_drawing_from_one_stream_does_not_move_another():
    streams = Streams(1)
    some(streams["a"])
    assert some(streams["b"]) == some(Streams(1)["b"])


def test_a_stored_state_continues_where_it_stopped(tmp_path):
    streams = Streams(5)
    some(streams["a"])
    torch.save(streams.state_dict(), tmp_path / "state.pt")
    expected = some(streams["a"])

    again = Streams(5)
    again.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))

    assert some(again["a"]) == expected


def test_a_state_that_is_none_is_told_as_a_wrong_value():
    state = Stream(1).state_dict()
    with pytest.raises(ValueError, match="RNG state size"):
        Stream(1).load_state_dict({**state, "torch": state["torch"][:3]})


def test_draws_equal_the_global_generators_of_the_same_seed():
    seed = 2**32 - 7
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)
    numbers = [random.random() for _ in range(3)], np.random.normal(size=3).tolist()
    assert some(Stream(seed)) == (torch.rand(3).tolist(), *numbers)
