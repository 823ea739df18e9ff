"""Several processes on this machine: the same command again under torchrun."""

import os
import subprocess
import sys


def launched() -> bool:
    """Whether this process is one of a team that torchrun started."""
    return "WORLD_SIZE" in os.environ


def launch(processes: int, arguments: list[str]) -> int:
    """Run `tools ARGUMENTS` in that many processes; the exit code of the team.

    Args:
        processes: one per GPU.
        arguments: of the command line, without the program's name.
    """
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [f"--nproc-per-node={processes}", "-m", "tools", *arguments]
    return subprocess.run(command, check=False).returncode
