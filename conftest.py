"""Tests use the machine as the command line does, and share its cores."""

import os

from tools.process import keep_memory_and_let_threads_sleep

workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
os.environ.setdefault("OMP_NUM_THREADS", str(max((os.cpu_count() or 1) // workers, 1)))

keep_memory_and_let_threads_sleep()
