"""The processes of a run: their parts, exchanges, mistakes and losses, and how they are started."""

import logging
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import torch.distributed as dist

from common.errors import LostProcess, UserError
from common.team import Team, _exchange, join_team, require_one_kind, start_team

EXCHANGES = """
import os
import sys
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
import numpy as np
import torch
import common.team
from common.errors import LostProcess, UserError
from common.tests.pretended_gpu import pretended_gpu

torch.set_num_threads(1)
assert os.environ["MASTER_ADDR"] == "127.0.0.1"  # the machine's own name may lead nowhere
Path(sys.argv[1], os.environ["RANK"]).touch()
while len(list(Path(sys.argv[1]).glob("[012]"))) < 3:  # until all have loaded torch
    time.sleep(0.05)
common.team.TIMEOUT = timedelta(seconds=5)
team = common.team.join_team("cpu")

# What the first process does alone may take longer than an exchange.
assert team.text_from_first(lambda: time.sleep(6) or "checked") == "checked"

def complete(team):
    for count in (0, 2, 10):  # fewer rows than processes, and parts of unequal size
        rows = torch.full((count, 2), -1, device=team.device)
        for row in team.part(count):
            rows[row] = row
        assert team.complete_(rows)[:, 0].tolist() == list(range(count))

complete(team)

def labels():
    assert team.first
    return np.arange(-1, 5).reshape(2, 3), {"eps": 0.5}

found, details = team.labels_from_first(labels)
assert found.tolist() == [[-1, 0, 1], [2, 3, 4]] and details == {"eps": 0.5}

def missing_on_one():
    if team.rank == 1:
        raise UserError("no such file: für.jpg")
    return team.rank

said = ""
try:
    team.together(missing_on_one)
except UserError as error:
    said = str(error)
assert said == "process 1: no such file: für.jpg", said
assert team.together(lambda: team.rank) == team.rank
assert team.text_from_first(lambda: f"für {team.rank}") == "für 0"
assert team.text_from_first(lambda: "crops\\udcff") == "crops\\udcff"  # need not be UTF-8

team.require_same("abc", "the weights are")
try:
    team.require_same("abd" if team.rank else "abc", "the weights are")
except UserError as error:
    said = str(error)
assert "1: the weights are not what the first process found (fingerprint abd, there abc)" in said

if not torch.cuda.is_available():  # a real one cannot be pretended
    with pretended_gpu() as gpu:
        on_gpu = replace(team, device=gpu)
        complete(on_gpu)
        assert on_gpu.labels_from_first(labels)[0].tolist() == [[-1, 0, 1], [2, 3, 4]]
        try:
            on_gpu.gather_rows(torch.ones(2))
        except LostProcess as error:
            said = str(error)
    assert "c10d.allgather_.default got tensors of the host" in said

if team.rank == 2:
    os._exit(0)
try:
    team.text_from_first(lambda: "too late")
except LostProcess as error:
    assert "cannot be reached" in str(error)
else:
    raise SystemExit("the loss went unnoticed")
"""


def test_shares_of_a_batch_are_consecutive_and_equal_or_refused():
    batch = np.arange(8)
    shares = [Team(rank, 4).share(batch).tolist() for rank in range(4)]
    assert shares == [[0, 1], [2, 3], [4, 5], [6, 7]]
    with pytest.raises(UserError, match="a batch of 8 is not divisible by 3 processes"):
        Team(0, 3).share(batch)


@pytest.mark.parametrize("count", [0, 1, 5, 64])
@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_parts_are_consecutive_and_nearly_equal(count, size):
    parts = [Team(rank, size).part(count) for rank in range(size)]
    assert [row for part in parts for row in part] == list(range(count))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_exchanges_long_work_mistakes_and_a_loss_among_three_processes(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(EXCHANGES, "utf-8")
    assert start_team(3, [sys.executable, str(program), str(tmp_path)]) is None


@pytest.mark.parametrize(("ending", "code"), [("os.kill(os.getpid(), 9)", -9), ("os._exit(2)", 2)])
def test_a_failing_process_ends_the_others_and_is_named_to_the_caller_alone(ending, code, caplog):
    program = f"import os, time; {ending} if os.environ['RANK'] == '1' else time.sleep(60)"
    since, told_to_stop = time.perf_counter(), signal.getsignal(signal.SIGINT)
    assert start_team(2, [sys.executable, "-c", program]) == (1, code)
    assert time.perf_counter() - since < 50
    assert signal.getsignal(signal.SIGINT) is told_to_stop
    assert caplog.records == []
    assert logging.getLogger().isEnabledFor(logging.CRITICAL)


@pytest.mark.parametrize(
    ("kinds", "said_of_all"),
    [
        (["cuda", "cuda", "cpu"], "process 2 works on cpu, the first one on cuda"),
        (["cpu", "cpu", "cpu"], ""),
    ],
)
def test_processes_on_devices_of_several_kinds_all_say_so(kinds, said_of_all):
    def said(rank):
        try:
            require_one_kind(store, rank, 3, kinds[rank])
        except UserError as error:
            return str(error)
        return ""

    store = dist.HashStore()
    with ThreadPoolExecutor(3) as pool:
        (text,) = set(pool.map(said, range(3)))
    assert text.partition(".")[0] == said_of_all


def test_an_error_of_this_process_in_an_exchange_keeps_its_name():
    for kind in (torch.OutOfMemoryError, torch.AcceleratorError, NotImplementedError):
        with pytest.raises(kind), _exchange():
            raise kind("CUDA out of memory")
    with pytest.raises(LostProcess, match=r"reached \(\[::1\]:47: Reset by peer\)$"), _exchange():
        raise RuntimeError("[/gloo/tcp/pair.cc:545] [::1]:47: Reset by peer. Check the logs.")


def test_a_number_of_processes_without_a_rank_is_one_process(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    assert join_team("cpu").size == 1


def test_there_are_no_more_threads_than_cores_unless_the_environment_names_their_number(
    monkeypatch,
):
    chosen = []
    monkeypatch.setattr("common.team.usable_cores", lambda: 2)
    monkeypatch.setattr(torch, "set_num_threads", chosen.append)
    for threads in (8, 1):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        monkeypatch.setenv("OMP_NUM_THREADS", "8")
        join_team("cpu")
        monkeypatch.delenv("OMP_NUM_THREADS")
        join_team("cpu")
    assert chosen == [2]


def test_every_process_of_a_machine_needs_a_gpu_of_its_own(monkeypatch):
    for name, value in {"WORLD_SIZE": "4", "RANK": "0", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    with pytest.raises(UserError, match="2 processes need a CUDA device each"):
        join_team("cuda")


@pytest.mark.parametrize("local_rank", [0, 1])
def test_each_process_of_a_machine_takes_the_gpu_of_its_number(monkeypatch, local_rank):
    class Taken(Exception):
        pass

    def take(device):
        raise Taken(device)

    launched = {"WORLD_SIZE": 4, "RANK": 3, "LOCAL_RANK": local_rank, "LOCAL_WORLD_SIZE": 2}
    for name, value in launched.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.cuda.set_device", take)
    with pytest.raises(Taken, match=f"cuda:{local_rank}"):
        join_team("cuda")


@pytest.mark.parametrize(("device", "found"), [("cuda:1", [torch.device("cuda", 1)]), ("cpu", [])])
def test_what_names_no_device_takes_the_one_that_was_chosen(monkeypatch, device, found):
    current = []
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.cuda.set_device", current.append)
    join_team(device)
    assert current == found
