"""What a command loads before it works: PyTorch takes seconds, and a mistake should take none."""

import os
import subprocess
import sys

import pytest

HEAVY = ("torch", "numpy", "numba", "faiss", "sklearn", "scipy", "matplotlib", "PIL")


def python(*arguments):
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, timeout=60
    )


def test_help_loads_nothing_heavy_and_takes_less_than_a_second():
    code = "import sys, tools.cli; print(*(m for m in sys.argv[1:] if m in sys.modules))"
    assert python("-c", code, *HEAVY).stdout.strip() == ""
    before = os.times()
    assert "reproduce" in python("-m", "tools", "--help").stdout
    after = os.times()  # processor time, which a busy machine does not stretch
    used = after.children_user + after.children_system
    assert used - before.children_user - before.children_system < 1


@pytest.mark.parametrize(
    "command",
    [
        "recipes hhlc",
        "reproduce hhcl synthetic --set clustering.epss=1 --gpus 2",
        "train hhlc --data crops",
        "test hhlc market1501 --weights nowhere",
        "verify hhlc",
        "resume nowhere --gpus 2",
        "report nowhere",
    ],
)
def test_an_unknown_name_or_run_is_told_without_loading_anything_heavy(command):
    code = "import atexit, sys, tools.cli; atexit.register("
    code += f"lambda: print([m for m in {HEAVY} if m in sys.modules])); tools.cli.main()"
    shown = python("-c", code, *command.split())
    assert (shown.returncode, shown.stdout) == (2, "[]\n")
    assert "Did you mean" in shown.stderr or "is not a run folder" in shown.stderr


def test_data_sets_are_looked_at_without_loading_torch():
    code = "import sys, tools.data, tools.data_shown, tools.synth; print('torch' in sys.modules)"
    assert python("-c", code).stdout == "False\n"
