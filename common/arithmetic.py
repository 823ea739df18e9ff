"""What a precision means on a device: number formats, and whether its network is compiled."""

import os
import shutil
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import torch

from common.errors import UserError
from common.recipe import Precision

COMPILED_STEPS = 4000  # the warm-up is won back about here; docs/benchmarks.md
NOT_COMPILED = "TORCH_COMPILE_DISABLE"  # torch's own: with "1", `torch.compile` does nothing


def set_arithmetic(precision: Precision) -> None:
    """float32 means float32 in both precisions: the papers' GPUs had no TF32.

    "fast" lets cuDNN choose among its algorithms by timing, all of them: by default it times only
    the ten that it expects most of. `Encoder.place_on` does the rest.
    """
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.deterministic = precision == "exact"
    torch.backends.cudnn.benchmark = precision == "fast"
    torch.backends.cudnn.benchmark_limit = 0 if precision == "fast" else 10


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 matrices faster than float32 ones."""
    if device.type == "cuda":
        # Not by `is_bf16_supported`, which asks the current GPU.
        return bool(torch.version.hip) or torch.cuda.get_device_properties(device).major >= 8
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    able = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return any(able.get(name) for name in ("avx512_bf16", "amx_bf16"))


def can_compile(device: torch.device) -> bool:
    """Whether `torch.compile` pays on the device, and what it needs is at hand."""
    forbidden = os.environ.get(NOT_COMPILED) == "1"
    return device.type == "cuda" and not forbidden and not missing_for_compiling()


def missing_for_compiling() -> list[str]:
    """What `torch.compile` lacks here for GPUs.

    Triton builds what starts its kernels with a C compiler and Python's headers. Without them the
    first training step would end a run.
    """
    scheme = sysconfig.get_default_scheme().replace("posix_local", "posix_prefix")  # Debian's
    headers = Path(sysconfig.get_path("include", scheme), "Python.h")
    compilers = [os.environ.get("CC"), *map(shutil.which, ("gcc", "clang"))]
    there = {
        "triton": find_spec("triton") is not None,
        "gcc or clang": any(compilers),
        str(headers): headers.is_file(),
    }
    return [name for name, found in there.items() if not found]


def compiles(precision: Precision, device: torch.device, steps: int) -> bool:
    """Whether a run is fast and compiling saves more in its steps than the warm-up takes."""
    return precision == "fast" and can_compile(device) and steps >= COMPILED_STEPS


@contextmanager
def compiling() -> Iterator[None]:
    """Tell a failure of the compiler, whose versions differ from machine to machine.

    Raises:
        UserError: with the compiler's first line, and how to do without it.
    """
    try:
        yield
    except torch._dynamo.exc.TorchDynamoException as error:
        cause = getattr(error, "inner_exception", error)  # what the message begins with is dynamo's
        reason = str(cause).strip().partition("\n")[0]
        raise UserError(
            f"the network could not be compiled ({reason}). Set {NOT_COMPILED}=1 in the "
            "environment, and resume the run or begin it again: it then computes the same within "
            "rounding, about half as fast."
        ) from error
