"""The benchmarks of the evaluation and of the memory rules, at small sizes."""

import pytest
import torch

from tools.benchmarks import evaluation, fresh_process, memory


def test_every_memory_rule_equals_its_plain_loop():
    threads = torch.get_num_threads()

    rows = memory.run(clusters=9, dim=12, batch=40, repeats=2, memory=False)

    assert [row["rule"] for row in rows] == ["blend_rows_", "blend_hardest_", "blend_mean_"]
    assert all(row["equal"] for row in rows)
    assert torch.get_num_threads() == threads


def test_memory_of_which_the_system_tells_a_part_is_left_open(tmp_path, monkeypatch):
    status = tmp_path / "status"
    status.write_text("Groups:\nVmRSS:\t    2048 kB\n")
    monkeypatch.setattr(fresh_process, "STATUS", status)

    assert fresh_process.PeakMemory(torch.device("cpu")).before == 2
    assert fresh_process.peak_mb() is None


@pytest.mark.slow
def test_memory_of_the_rules_is_that_of_an_update_alone():
    rows = memory.run(clusters=64, dim=8192, batch=256, repeats=1)

    by_rule = {row["rule"]: row for row in rows}
    assert by_rule["blend_hardest_"]["extra_mb"] >= 8  # the rows of all embeddings, side by side
    assert all(0 <= row["extra_mb"] < 40 for row in rows)
    assert all(0 <= row["plain_extra_mb"] < 40 for row in rows)


@pytest.mark.slow
def test_the_evaluation_is_measured_in_fresh_processes():
    ours, plain = evaluation.run(queries=60, gallery=900, dim=16, repeats=2, device="auto")

    assert (ours["implementation"], plain["implementation"]) == ("ours", "plain")
    assert ours["equal"]
    assert plain["ratio"] == 1.0
    assert 0 < ours["least"] <= ours["seconds"] <= ours["most"]
