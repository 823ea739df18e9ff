"""A compiled trunk trains every kind of step as a plain one does, within rounding."""

import functools

import pytest
import torch

from common import training
from common.arithmetic import set_arithmetic
from common.backbones import network
from common.batches import domain_batches
from common.errors import UserError
from common.optimizer import make_optimizer
from common.team import Team
from methods import METHODS
from methods.small_runs import small_data, small_job, small_recipe

KINDS = {
    "one network": ("hhcl", ""),
    "a teacher beside it": ("dccc", ""),
    "partner images": ("dsgl", ""),
    "two domains": ("spcl", "synthetic-b"),
}
# The compiler's graphs, without the minutes that it takes. Tracing the gradient too takes more than
# the whole quick test; of ours, that of batch norm, test_batchnorm.py does it.
TRACED = [pytest.param("one network", "eager", id="one network forward")]
TRACED += [pytest.param(kind, "aot_eager", id=kind, marks=pytest.mark.slow) for kind in KINDS]


def recipe_of(kind):
    method, source = KINDS[kind]
    return small_recipe(METHODS[method].find("synthetic", source))


def losses(recipe, folder, device, *, compiled):
    """Means of an epoch's losses, and the running statistics that it leaves."""
    set_arithmetic(recipe.precision)  # by default convolutions on a GPU round to TF32
    method, job = small_job(recipe, folder, small_data(), Team(device=device))
    for encoder in method.evaluated().values():
        encoder.lay_out(channels_last=True)  # as runs that compile have it, and any on a CPU
        encoder.compiled = compiled

    def features_of(domain):
        return training.features_of(method, job, domain)

    method.begin_training(features_of)
    features = method.clustering_features(features_of)
    pseudo = method.assign(features, 0)
    method.begin_epoch(0, features, pseudo)
    batches = domain_batches(method, job, pseudo.labels)
    optimizer = make_optimizer(method)
    found = training.train_epoch(method, batches, optimizer, job, epoch=0)
    buffers = [buffer.cpu() for buffer in method.encoder.buffers()]
    return found, buffers


def check(kind, folder, device):
    recipe = recipe_of(kind)
    expected, buffers = losses(recipe, folder / "plain", device, compiled=False)
    found, others = losses(recipe, folder / "compiled", device, compiled=True)
    assert found == pytest.approx(expected, rel=1e-3)
    for mine, theirs in zip(others, buffers, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize(("kind", "backend"), TRACED)
def test_a_compiled_step_equals_a_plain_one(kind, backend, tmp_path, monkeypatch):
    seen = []

    @functools.cache
    def traced():
        torch._dynamo.reset()
        graphs = torch.compile(network.pooled, fullgraph=True, dynamic=False, backend=backend)
        return lambda *given: seen.append(graphs(*given)) or seen[-1]

    monkeypatch.setattr(network, "compiled_rows", traced)
    with torch._dynamo.config.patch(recompile_limit=network.COMPILED_KINDS):
        check(kind, tmp_path, torch.device("cpu"))
    assert {(rows.ndim, rows.dtype) for rows in seen} == {(2, torch.float32)}


def test_a_compiler_that_fails_is_told_in_a_sentence_that_says_how_to_do_without(
    tmp_path, monkeypatch
):
    def failing(*given):
        reason = RuntimeError("no kernel for this\nand a page of reasons")
        raise torch._dynamo.exc.BackendCompilerFailed(failing, reason, None)

    monkeypatch.setattr(network, "compiled_rows", lambda: failing)
    method, job = small_job(small_recipe(METHODS["hhcl"].find("synthetic")), tmp_path, small_data())
    method.encoder.compiled = True
    with pytest.raises(UserError, match=r"compiled \(no kernel for this\). Set TORCH_COMPILE_DIS"):
        training.train(method, job)


@pytest.mark.gpu
@pytest.mark.parametrize("kind", KINDS)
def test_a_replayed_step_equals_a_plain_one_on_the_gpu(kind, tmp_path):
    check(kind, tmp_path, torch.device("cuda"))
