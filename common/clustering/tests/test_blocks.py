"""Work in threads: in order, with one thread of each library per item."""

import time
from concurrent.futures import ThreadPoolExecutor, wait
from threading import Barrier, Event, get_ident
from types import SimpleNamespace

import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from common.clustering.blocks import entries_on, in_blocks, in_threads, label_progress, telling


@pytest.fixture(params=[1, 3])
def threads(request):
    """Of torch and of NumPy during a test; else each may have one, which shows nothing."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    with threadpool_limits(request.param, user_api="blas"):
        yield request.param
    torch.set_num_threads(before)


def blas_threads():
    """Of the library that NumPy brings along."""
    found = [one for one in threadpool_info() if "numpy" in one["filepath"]]
    return [one["num_threads"] for one in found]


def test_results_stand_in_the_order_of_the_items(threads):
    assert in_threads(lambda item: 2 * item, range(20)) == list(range(0, 40, 2))


def test_blocks_cover_every_row_once(threads):
    blocks = in_blocks(lambda start, stop: range(start, stop), 1000, 300)
    assert [len(block) for block in blocks] == [300, 300, 300, 100]
    assert [row for block in blocks for row in block] == list(range(1000))
    assert in_blocks(lambda start, stop: range(start, stop), 0) == []


def test_as_many_items_at_a_time_as_torch_has_threads(threads):
    met = Barrier(threads)
    workers = in_threads(lambda item: (met.wait(5), get_ident())[1], range(3 * threads))
    assert len(set(workers)) == threads


def test_a_second_caller_waits_and_both_leave_the_libraries_their_threads(threads):
    begun, overlapped = Event(), Event()
    before = [one["num_threads"] for one in threadpool_info()]
    with ThreadPoolExecutor(2) as callers:
        first = callers.submit(in_threads, lambda item: begun.set() or overlapped.wait(0.1), [0])
        begun.wait()
        second = callers.submit(in_threads, lambda item: (overlapped.set(), wait([first])), [0])
        second.result()
    assert first.result() == [False]
    assert [one["num_threads"] for one in threadpool_info()] == before


def test_libraries_take_one_thread_per_item_and_as_many_as_before_afterwards(threads):
    before = blas_threads()
    inside = in_threads(lambda item: (torch.get_num_threads(), blas_threads()), range(4))
    assert all(torchs == 1 and set(numpys) <= {1} for torchs, numpys in inside)
    with ThreadPoolExecutor(1) as other:
        assert torch.get_num_threads() == other.submit(torch.get_num_threads).result() == threads
    assert blas_threads() == before


def test_a_failing_item_fails_the_whole_and_threads_are_as_before(threads):
    before = blas_threads()
    with pytest.raises(ZeroDivisionError):
        in_threads(lambda item: 1 // item, [2, 1, 0])
    assert torch.get_num_threads() == threads
    assert blas_threads() == before


@pytest.mark.parametrize(("gigabytes", "entries"), [(8, 1 << 27), (141, 1 << 28)])
def test_a_block_takes_a_sixteenth_of_a_small_device(gigabytes, entries, monkeypatch):
    memory = SimpleNamespace(total_memory=gigabytes << 30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: memory)
    assert entries_on(torch.device("cuda"), most=1 << 28) == entries
    assert entries_on(torch.device("meta"), most=1 << 40) == 1 << 28


def test_the_caller_is_told_of_the_end_even_if_another_thread_brings_it_about(threads):
    caller, first_done, told = get_ident(), Event(), []

    def work(item):
        first_done.set() if get_ident() == caller else first_done.wait(5)

    in_threads(work, range(2), lambda *progress: told.append((*progress, get_ident())))
    assert told[-1] == (2, 2, caller)
    assert all(done <= total == 2 for done, total, _ in told)
    assert {thread for *_, thread in told} == {caller}


def test_no_further_item_is_begun_once_one_has_failed(threads):
    begun = []

    def work(item):
        begun.append(item)
        time.sleep(0.01)  # the other threads are still at work
        return 1 // item

    with pytest.raises(ZeroDivisionError):
        in_threads(work, range(100))
    assert len(begun) < 10


def test_progress_is_told_to_whoever_watches_and_to_nobody_afterwards():
    heard, tell = [], telling("comparing images")
    with label_progress(lambda *told: heard.append(told)):
        tell(1, 2)
    tell(2, 2)
    assert heard == [("comparing images", 1, 2)]
