"""What would make the host wait for a GPU, recorded on any device: what tests of speed stand on."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

ROOT = f"{Path(__file__).parents[2]}/"
# The environment, with torch in it, may lie in the same folder.
OURS = tuple(f"{ROOT}{room}/" for room in ("common", "methods", "tools"))
aten = torch.ops.aten

# The host must know a value, or how many there are, before it can go on.
ASKING = {
    aten._local_scalar_dense,  # item(), int(), float(), bool(), if
    aten.allclose,
    aten.bincount,
    aten.equal,
    aten.is_nonzero,
    aten.masked_select,
    aten.nonzero,
    aten._unique,
    aten._unique2,
    aten.unique_consecutive,
    aten.unique_dim,
    aten.linalg_cholesky_ex,
    aten.linalg_inv_ex,
    aten._linalg_eigh,
    aten._linalg_svd,
}
INDEXING = {aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_}
TO_HOST = {Tensor.cpu, Tensor.numpy, Tensor.tolist, Tensor.__array__}


@contextmanager
def waits() -> Iterator[list[str]]:
    """Record what in the block would make the host wait for a CUDA device.

    Every tensor counts as one on the device, wherever it lies; what the host knows is in NumPy
    arrays. So `copy_` and assignments of tensors are taken for copies on the device, and are not
    recorded. An entry names the operation, and the file and function of ours that asked for it.
    """
    found: list[str] = []
    with _Operations(found), _Moves(found):
        yield found


class _Operations(TorchDispatchMode):
    """Operations whose result, or its size, depends on values; backward's included."""

    def __init__(self, found: list[str]) -> None:
        super().__init__()
        self.found = found

    def __torch_dispatch__(
        self, func: OpOverload, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if _asks(func, args, kwargs):
            self.found.append(f"{func.overloadpacket} in {_place()}")
        return func(*args, **kwargs)


class _Moves(TorchFunctionMode):
    """Copies to the host, and copies from it that are not asynchronous.

    Between tensors that lie on the host anyway they are no operations, so only their calls show.
    """

    def __init__(self, found: list[str]) -> None:
        super().__init__()
        self.found = found

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in TO_HOST or _copies_from_host(func, args, kwargs):
            self.found.append(f"{func.__name__} in {_place()}")
        return func(*args, **kwargs)


def _asks(func: OpOverload, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    if func.overloadpacket in INDEXING:
        return any(
            index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1]
        )
    if func is aten.repeat_interleave.Tensor:
        return kwargs.get("output_size") is None
    return func.overloadpacket in ASKING


def _copies_from_host(
    func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> bool:
    if func is Tensor.to:
        names_device = [isinstance(value, torch.device | str | Tensor) for value in args[1:]]
        moved = any(names_device) or "device" in kwargs or "other" in kwargs
        return moved and not kwargs.get("non_blocking", False)
    if func in (torch.tensor, torch.as_tensor, Tensor.new_tensor):
        return kwargs.get("device") is not None or func is Tensor.new_tensor
    if func in (Tensor.__getitem__, Tensor.__setitem__):
        index = args[1] if isinstance(args[1], tuple) else (args[1],)
        return any(isinstance(part, list | np.ndarray) for part in index)
    return False


def _place() -> str:
    """File and function of the innermost caller in this project."""
    frame = inspect.currentframe()
    while frame is not None:
        path = frame.f_code.co_filename
        if path.startswith(OURS) and path != __file__:
            return f"{path.removeprefix(ROOT)} {frame.f_code.co_name}"
        frame = frame.f_back
    return "another project"
