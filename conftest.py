"""Tests use the machine as the command line does, share its cores, and read what it writes."""

import os

from tools.process import keep_memory_and_let_threads_sleep

workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
os.environ.setdefault("OMP_NUM_THREADS", str(max((os.cpu_count() or 1) // workers, 1)))

for name in ("FORCE_COLOR", "GITHUB_ACTIONS", "PY_COLORS"):  # colours where no terminal is
    os.environ.pop(name, None)

keep_memory_and_let_threads_sleep()
