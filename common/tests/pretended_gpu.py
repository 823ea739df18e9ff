"""A GPU that is none: what tests find tensors with that lie on the wrong device."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import Mock, patch

import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

GPU = torch.device("cuda", 0)
MOVING = {torch.ops.aten.copy_, torch.ops.aten._to_copy}


class OnGpu(Tensor):
    """A tensor that says it lies on the GPU, while its numbers lie on the host."""

    numbers: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, numbers: Tensor) -> "OnGpu":
        made = Tensor._make_wrapper_subclass(
            cls, numbers.shape, strides=numbers.stride(), dtype=numbers.dtype, device=GPU
        )
        made.numbers = numbers
        return made

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: OpOverload, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        return _computed(func, args, kwargs or {})

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        copied = self.detach().clone()
        learns = isinstance(self, nn.Parameter)
        memo[id(self)] = nn.Parameter(copied, self.requires_grad) if learns else copied
        return memo[id(self)]

    def tolist(self) -> list[Any]:
        return self.cpu().tolist()


class _Operations(TorchDispatchMode):
    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled here; to skip it torch would load it, for 3 s

    def __torch_dispatch__(
        self, func: OpOverload, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        return _computed(func, args, kwargs or {})


def _computed(func: OpOverload, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """The operation on the host; its result lies where a GPU's would."""
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    there = {id(t.numbers): t for t in tensors if isinstance(t, OnGpu)}
    exchanged = func.namespace == "c10d" and func.overloadpacket is not torch.ops.c10d.barrier
    if exchanged or (there and func.overloadpacket not in MOVING):
        host = [tuple(t.shape) for t in tensors if not isinstance(t, OnGpu)]
        strays = [shape for shape in host if shape or exchanged]
        if strays:
            raise RuntimeError(f"{func} got tensors of the host, {strays}, in place of the GPU's")
    device = torch.device(kwargs.get("device") or (GPU if there else "cpu"))
    if "device" in kwargs:
        kwargs = {**kwargs, "device": "cpu"}
    args, kwargs = tree_map_only(OnGpu, lambda tensor: tensor.numbers, (args, kwargs))
    found = func(*args, **kwargs)
    if device.type == "cpu":
        return found
    return tree_map_only(Tensor, lambda t: there[id(t)] if id(t) in there else OnGpu(t), found)


def _apply(self: nn.Module, move: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
    """`nn.Module._apply`, which changes tensors in place where their class stays the same."""
    for child in self.children():
        _apply(child, move)
    for name, parameter in self._parameters.items():
        if parameter is not None:
            moved = move(parameter.detach())
            self._parameters[name] = nn.Parameter(moved, parameter.requires_grad)
    for name, buffer in self._buffers.items():
        self._buffers[name] = buffer if buffer is None else move(buffer)
    return self


@contextmanager
def pretended_gpu() -> Iterator[torch.device]:
    """A device of type cuda on a machine without one, for all but backward.

    Operations compute on the host, and raise where a GPU would: for a tensor of the host (but
    a single number) beside one of the GPU, and, as NCCL does, for any that processes exchange.
    """
    made, empty = torch.tensor, torch.empty
    torch._C._ensureCUDADeviceGuardSet()
    with (
        patch("torch.cuda._lazy_init"),
        patch("torch.cuda.get_device_properties", lambda device: Mock(major=7, total_memory=2**36)),
        patch("torch.tensor", lambda *a, device="cpu", **k: made(*a, **k).to(device)),
        patch("torch.empty", lambda *a, pin_memory=False, **k: empty(*a, **k)),
        patch("torch.Tensor.pin_memory", lambda tensor: tensor),
        patch("torch.nn.Module._apply", _apply),
        torch.backends.cudnn.flags(enabled=False),
        _Operations(),
    ):
        yield GPU
