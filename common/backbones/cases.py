"""How the stored cases of pooling and batch norm are run, through the layers of the encoder."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.backbones.batchnorm import (
    BatchNorm,
    DomainBatchNorm,
    Grouping,
    deinterleave,
    interleave,
)
from common.backbones.pooling import AveragePooling, GeM, MaxPooling
from common.reference import Case, Check, close, close_gradient


def run_gem(case: Case) -> list[Check]:
    """Three poolings of one feature map, and GeM's gradients."""
    a = case.arrays
    x = case.tensor("x").requires_grad_()
    gem = GeM(float(a["p"].item()), case.meta.get("eps", 1e-6))
    pooled = gem(x)
    (pooled * case.tensor("upstream")).sum().backward()
    ours = {
        "gem": pooled,
        "avg": AveragePooling()(x),
        "max": MaxPooling()(x),
        "grad_x": x.grad,
        "grad_p": gem.p.grad,
    }
    return [close(name, value, a[name], 1e-6, relative=1e-5) for name, value in ours.items()]


def run_chunked_norm(case: Case) -> list[Check]:
    """Consecutive batches through one norm: outputs, gradients, running statistics."""
    a, chunks = case.arrays, case.meta["devices"]
    norm = _norm(case, Grouping(chunks), case.tensor("weight"), case.tensor("bias"))
    checks = []
    for s in range(len(a["x"])):
        norm.zero_grad()
        x = case.tensor("x")[s].requires_grad_()
        (y,) = deinterleave(norm(interleave([x], chunks)), chunks)
        (y * case.tensor("upstream")[s]).sum().backward()
        ours = {
            "y": y,
            "running_mean": norm.running_mean,
            "running_var": norm.running_var,
        }
        gradients = {
            "grad_x": x.grad,
            "grad_weight": norm.weight.grad,
            "grad_bias": norm.bias.grad,
        }
        checks += [close(f"{name} {s}", value, a[name][s], 1e-5) for name, value in ours.items()]
        checks += [
            close_gradient(f"{name} {s}", value, a[name][s], 1e-5)
            for name, value in gradients.items()
        ]
    return checks


def run_domain_norm(case: Case) -> list[Check]:
    """Two domains through a 2d norm, the mean over positions and a 1d norm; then evaluation."""
    a, chunks = case.arrays, case.meta["devices"]
    grouping = Grouping(chunks, ("source", "target"))
    bn2, bn1 = (_domain_norm(case, name, grouping) for name in ("bn2", "bn1"))
    rows2 = bn2(interleave([case.tensor("source"), case.tensor("target")], chunks))
    rows1 = bn1(rows2.mean(dim=(2, 3)))
    ours: dict[str, Tensor] = {}
    for name, rows in (("out2", rows2), ("out1", rows1)):
        ours[f"{name}_source"], ours[f"{name}_target"] = deinterleave(rows, chunks, domains=2)
    for name, pair in (("bn2", bn2), ("bn1", bn1)):
        for letter, norm in (("S", pair.source), ("T", pair.target)):
            ours[f"{name}_{letter}_mean1"] = norm.running_mean
            ours[f"{name}_{letter}_var1"] = norm.running_var

    layers = nn.ModuleList([bn2, bn1]).eval()
    for name, domain in (
        ("eval_out1_target", "target"),
        ("eval_out1_target_with_source_bn", "source"),
    ):
        grouping.domains = ("source",) if domain == "source" else ("target",)
        ours[name] = layers[1](layers[0](case.tensor("target")).mean(dim=(2, 3)))
    checks = [close(name, value, a[name], 5e-6) for name, value in ours.items()]
    return [*checks, _trainable(case, layers)]


def run_bnchunks(case: Case) -> list[Check]:
    """The neck (frozen bias) and normalization to unit length; then evaluation."""
    a, chunks = case.arrays, case.meta["chunks"]
    x, weight = case.tensor("x").requires_grad_(), case.tensor("weight")
    neck = _norm(case, Grouping(chunks), weight, torch.zeros_like(weight))
    neck.bias.requires_grad_(False)
    neck.running_mean.copy_(case.tensor("running_mean_before"))
    neck.running_var.copy_(case.tensor("running_var_before"))
    (out,) = deinterleave(F.normalize(neck(interleave([x], chunks)), dim=1), chunks)
    loss = (out * case.tensor("probe")).sum()
    loss.backward()
    ours = {
        "out": (out, 1e-6),
        "running_mean_after": (neck.running_mean, 1e-6),
        "running_var_after": (neck.running_var, 1e-6),
        "out_eval": (F.normalize(neck.eval()(x), dim=1), 1e-6),
    }
    return [
        close("loss", loss, a["loss"], 1e-5, relative=1e-5),
        close_gradient("grad_x", x.grad, a["grad_x"]),
        close_gradient("grad_weight", neck.weight.grad, a["grad_weight"]),
        *(close(name, value, a[name], limit) for name, (value, limit) in ours.items()),
    ]


CASES = {
    "common_gem": run_gem,
    "common_dsbn": run_domain_norm,
    "common_virtual_gpu_bn": run_chunked_norm,
}


def _norm(case: Case, grouping: Grouping, weight: Tensor, bias: Tensor) -> BatchNorm:
    """A norm with the case's parameters, eps and momentum."""
    meta = case.meta
    eps = meta.get("eps", meta.get("bn_eps", 1e-5))
    momentum = meta.get("momentum", meta.get("bn_momentum", 0.1))
    norm = BatchNorm(len(weight), eps, momentum, grouping)
    with torch.no_grad():
        norm.weight.copy_(weight)
        norm.bias.copy_(bias)
    return norm


def _domain_norm(case: Case, name: str, grouping: Grouping) -> DomainBatchNorm:
    norm = _norm(case, grouping, case.tensor(f"{name}_weight"), case.tensor(f"{name}_bias"))
    norm.running_mean.copy_(case.tensor(f"{name}_mean0"))
    norm.running_var.copy_(case.tensor(f"{name}_var0"))
    norm.bias.requires_grad_(False)  # as in the neck; the pair must lose it
    return DomainBatchNorm(norm)


def _trainable(case: Case, layers: nn.ModuleList) -> Check:
    """Every weight and bias of both pairs learns, where the case lists them."""
    names = {"0": "bn2", "1": "bn1", "source": "BN_S", "target": "BN_T"}
    ours = {
        ".".join(names.get(part, part) for part in name.split("."))
        for name, parameter in layers.named_parameters()
        if parameter.requires_grad
    }
    wrong = ours ^ set(case.meta.get("trainable", ours))
    return Check("trainable", float(len(wrong)), 0.0)
