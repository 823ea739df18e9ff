"""Memory and threads are set before torch is imported, and leave the user's own settings alone."""

import os
import subprocess
import sys

PROGRAM = """
import os, sys
from tools.process import keep_memory_and_let_threads_sleep
keep_memory_and_let_threads_sleep()
assert "torch" not in sys.modules
print(os.environ["OMP_WAIT_POLICY"])
import torch
print(float(torch.ones(3000, 3000).sum()))
"""


def said(**environment):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def test_threads_wait_asleep_and_large_buffers_work():
    assert said() == ["passive", "9000000.0"]


def test_a_policy_of_the_user_s_stays():
    assert said(OMP_WAIT_POLICY="active")[0] == "active"
