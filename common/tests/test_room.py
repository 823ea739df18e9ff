"""How much memory and how many cores there are: of the machine, a container, a batch job, each
process."""

import os
from unittest.mock import Mock

import pytest
import torch

from common import cores, room
from common.cores import own_cores, usable_cores
from common.team import join_team


def test_the_room_on_this_machine_is_known():
    assert room.host_room() > 2**20


def test_what_torch_keeps_of_an_earlier_run_is_room_on_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (10, 80))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 60)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 5)
    assert room.device_room(torch.device("cuda")) == 65
    assert room.device_room(torch.device("cpu")) == 0


@pytest.mark.parametrize(("total", "free", "found"), [(64, 48, 48), (0, 0, room.NO_LIMIT)])
def test_memory_shared_with_workers_is_limited_where_the_system_says_so(
    tmp_path, monkeypatch, total, free, found
):
    monkeypatch.setattr(room.shutil, "disk_usage", lambda path: Mock(total=total, free=free))
    monkeypatch.setattr(room, "SHARED", tmp_path)
    assert room.shared_room() == found

    monkeypatch.setattr(room, "SHARED", tmp_path / "none")
    assert room.shared_room() == room.NO_LIMIT


def limited(group, limit, used, files=0):
    """A control group as Linux shows it."""
    group.mkdir(exist_ok=True)
    (group / "memory.max").write_text(f"{limit}\n")
    (group / "memory.current").write_text(f"{used}\n")
    (group / "memory.stat").write_text(
        f"anon 7\ninactive_file {files // 2}\nactive_file {files // 2}\n"
    )


def test_the_room_of_a_container_is_its_limit_less_what_is_used_without_files(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(cores, "CGROUP", tmp_path)

    limited(tmp_path, "max", 3_000_000)
    assert room.host_room() > 2**20

    limited(tmp_path, 5_000_000, 3_000_000)
    assert room.host_room() == 2_000_000

    limited(tmp_path, 5_000_000, 4_900_000, files=1_900_000)
    assert room.host_room() == 2_000_000


def test_the_room_of_a_batch_job_is_that_of_the_tightest_group_around_it(tmp_path, monkeypatch):
    own = tmp_path / "own"
    own.write_text("12:pids:/elsewhere\n0::/job_7/step_0\n")
    monkeypatch.setattr(cores, "CGROUP", tmp_path)
    monkeypatch.setattr(cores, "OWN_CGROUPS", own)
    (tmp_path / "job_7" / "step_0").mkdir(parents=True)

    limited(tmp_path / "job_7", 5_000_000, 1_000_000)
    assert room.host_room() == 4_000_000

    limited(tmp_path / "job_7" / "step_0", 3_000_000, 1_000_000)
    assert room.host_room() == 2_000_000


def test_the_room_of_a_batch_job_is_known_where_each_controller_has_groups_of_its_own(
    tmp_path, monkeypatch
):
    own = tmp_path / "own"
    own.write_text("12:cpu,cpuacct:/elsewhere\n4:memory:/job_7\n0::/\n")
    monkeypatch.setattr(cores, "CGROUP", tmp_path)
    monkeypatch.setattr(cores, "OWN_CGROUPS", own)
    group = tmp_path / "memory" / "job_7"
    group.mkdir(parents=True)
    (group.parent / "memory.limit_in_bytes").write_text("9223372036854771712\n")  # none
    (group.parent / "memory.usage_in_bytes").write_text("9000000\n")
    (group / "memory.limit_in_bytes").write_text("5000000\n")
    (group / "memory.usage_in_bytes").write_text("3000000\n")
    (group / "memory.stat").write_text("active_file 7\ntotal_active_file 500000\n")
    assert room.host_room() == 2_500_000


@pytest.mark.parametrize("limit", ["", "max", "5 MB"])
def test_limits_that_are_no_numbers_are_none(tmp_path, monkeypatch, limit):
    monkeypatch.setattr(cores, "CGROUP", tmp_path)
    (tmp_path / "cpu.max").write_text(limit)
    (tmp_path / "memory.max").write_text(limit)
    assert usable_cores() >= 1
    assert room.host_room() > 2**20


def test_processes_on_one_machine_share_its_room_and_cores(tmp_path, monkeypatch):
    monkeypatch.setattr(cores, "CGROUP", tmp_path)
    limited(tmp_path, 5_000_000, 1_000_000)
    alone = own_cores()

    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")

    assert room.host_room() == 1_000_000
    assert own_cores() == max(alone // 4, 1)


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"cpu.max": "max 100000"}, 8),
        ({"cpu.max": "150000 100000"}, 2),
        ({"cpu.max": "1600000 100000"}, 8),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 8),
        ({"cpu/cpu.cfs_quota_us": "150000", "cpu/cpu.cfs_period_us": "100000"}, 2),
    ],
)
def test_the_time_of_a_container_counts_as_cores(tmp_path, monkeypatch, files, found):
    monkeypatch.setattr(cores, "CGROUP", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(8), raising=False)
    (tmp_path / "cpu").mkdir()
    for name, content in files.items():
        (tmp_path / name).write_text(f"{content}\n")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    threads = []
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)

    join_team("cpu")

    assert usable_cores() == found
    assert threads == ([2] if found == 2 else []), "torch's own number stays where it fits"
