"""Trained networks under the names of the released codes, and under ours."""

import re

import pytest
import torch
from torch import nn

from common.backbones.encoder import build_encoder
from common.backbones.network_file import NetworkInfo, describe_network
from common.backbones.weights import load_trained
from common.errors import UserError
from common.recipe import EncoderSettings


def trained(arch="resnet18", domains=1, **changes):
    """An encoder no tensor of which has its initial value."""
    settings = EncoderSettings(arch=arch, weights="random", **changes)
    encoder = build_encoder(settings, domains=domains, seed=5)
    g = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for tensor in encoder.state_dict().values():
            if tensor.dim() == 1:
                tensor.mul_(0.8 + 0.4 * torch.rand(tensor.shape, generator=g))
                tensor.add_(0.01)
    return encoder


@pytest.fixture(scope="module")
def known():
    """An encoder that no test changes."""
    return trained()


def fresh(like, **changes):
    return build_encoder(like.settings, domains=changes.get("domains", like.domains), seed=1)


def released_names(encoder, stages=4):
    """Our names to those of the released codes, rule by rule."""
    order = ["conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"]
    if stages == 3:
        order.remove("relu")
    state = {}
    for name, tensor in encoder.state_dict().items():
        for i, stage in enumerate(order):
            name = re.sub(rf"^trunk\.{stage}\.", f"base.{i}.", name)
        name = re.sub(r"^pool\.", "gap.", name)
        name = re.sub(r"^embedding\.", "feat.", name)
        name = re.sub(r"^neck\.", "feat_bn.", name)
        name = name.replace(".source.", ".BN_S.").replace(".target.", ".BN_T.")
        state[f"module.{name}"] = tensor.clone()
        if name.endswith("running_var"):
            counter = name.replace("running_var", "num_batches_tracked")
            state[f"module.{counter}"] = torch.tensor(7)
    return state


def save(path, state):
    torch.save({"state_dict": state, "epoch": 50, "best_mAP": 0.8}, path)
    return path


@pytest.mark.parametrize(
    ("name", "tensor"), [("neck.weight", torch.tensor(1.0)), ("embedding.weight", torch.ones(3))]
)
def test_a_neck_or_an_embedding_of_no_such_shape_is_refused(known, tmp_path, name, tensor):
    state = {**known.state_dict(), name: tensor}
    with pytest.raises(UserError, match="do not have the shapes"):
        describe_network(save(tmp_path / "odd.pth", state))


def require_known(path, original, **expected):
    """The file gives the original's network, and says what it holds."""
    encoder = fresh(original)
    load_trained(encoder, path)
    found = encoder.state_dict()
    for name, tensor in original.state_dict().items():
        assert torch.equal(tensor, found[name])
    assert describe_network(path) == NetworkInfo(trained=True, **expected)


@pytest.mark.parametrize(
    ("arch", "domains", "changes"),
    [
        ("resnet18", 1, {"pooling": "avg"}),
        ("resnet18", 1, {"pooling": "gem", "embedding": 24}),
        ("resnet18", 2, {"pooling": "gem"}),
        ("resnet50", 1, {"pooling": "gem"}),
        ("resnet_ibn50a", 2, {"pooling": "avg"}),
    ],
)
def test_published_names_are_translated(tmp_path, arch, domains, changes):
    original = trained(arch, domains, **changes)
    path = save(tmp_path / "model_best.pth.tar", released_names(original))

    require_known(
        path,
        original,
        arch=arch,
        pooling="gem" if changes["pooling"] == "gem" else None,
        embedding=changes.get("embedding", 0),
        domains=domains,
    )


@pytest.mark.parametrize(
    ("arch", "domains", "changes"),
    [
        ("tiny", 1, {"pooling": "parts", "parts": 2}),
        ("tiny", 2, {"pooling": "gem", "embedding": 24}),
        ("mobilenet_v2", 2, {"pooling": "max"}),
    ],
)
@pytest.mark.parametrize("name", ["best.pt", "last.pt"])
def test_our_own_names_are_known(tmp_path, name, arch, domains, changes):
    original = trained(arch, domains, **changes)
    state = original.state_dict()
    model = {f"encoder.{key}": value for key, value in state.items()}
    model |= {"memory.bank": torch.zeros(3), "teacher.neck.weight": torch.zeros(3)}
    content = {"encoder": state} if name == "best.pt" else {"model": model, "streams": {}}
    path = tmp_path / name
    torch.save({**content, "format": 1, "arch": arch}, path)

    require_known(
        path,
        original,
        arch=arch,
        pooling=changes["pooling"] if changes["pooling"] != "max" else None,
        parts=changes.get("parts", 1),
        embedding=changes.get("embedding", 0),
        domains=domains,
    )


def test_a_stem_without_relu_is_kept_without(tmp_path):
    original = trained()
    released = released_names(original, stages=3)
    path = save(tmp_path / "model_best.pth.tar", released)
    trunk = {name: tensor for name, tensor in released.items() if "base" in name}
    save(tmp_path / "trunk.pth.tar", trunk)
    original.trunk.relu = nn.Identity()
    images = torch.randn(2, 3, 64, 32, generator=torch.Generator().manual_seed(1))

    encoder = fresh(original)
    load_trained(encoder, path)

    assert not describe_network(path).stem_relu
    torch.testing.assert_close(encoder.eval()(images), original.eval()(images))
    for weights in (path, tmp_path / "trunk.pth.tar"):
        with pytest.raises(UserError, match="without a ReLU in its stem"):
            build_encoder(EncoderSettings(arch="resnet18", weights=str(weights)))


@pytest.mark.parametrize(
    ("theirs", "ours", "message"),
    [
        ({"pooling": "gem"}, {}, "trained with gem pooling, the encoder has avg"),
        ({}, {"pooling": "gem"}, "trained with avg or max pooling, the encoder has gem"),
        ({"pooling": "parts"}, {}, "has avg. Set encoder.pooling=parts."),
        ({}, {"pooling": "parts"}, "has parts. Set encoder.pooling=avg or max."),
        ({"pooling": "parts", "parts": 2}, {"pooling": "parts"}, "Set encoder.parts=2."),
        ({"embedding": 8}, {}, "Set encoder.embedding=8."),
        ({}, {"embedding": 8}, "Set encoder.embedding=0."),
    ],
)
def test_another_pooling_or_embedding_is_refused_by_name(tmp_path, theirs, ours, message):
    path = save(tmp_path / "a.pth", trained("tiny", **theirs).state_dict())

    with pytest.raises(UserError, match=re.escape(message)):
        load_trained(trained("tiny", **ours), path)


@pytest.mark.parametrize(("theirs", "ours"), [(1, 2), (2, 1)])
def test_another_number_of_domains_is_refused(tmp_path, theirs, ours):
    path = save(tmp_path / "a.pth", released_names(trained(domains=theirs)))

    with pytest.raises(UserError, match=f"Build it with domains={theirs}"):
        load_trained(trained(domains=ours), path)


def test_another_architecture_is_refused_by_name(known, tmp_path):
    path = save(tmp_path / "a.pth", released_names(known))

    with pytest.raises(UserError, match="holds a resnet18, the encoder is a resnet34"):
        load_trained(trained("resnet34"), path)


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("classifier.weight", "classifier.weight"),
        ("base.9.weight", "base.9.weight"),
        ("feat_bn.BN_S.weight", "neck.source.weight"),
    ],
)
def test_tensors_without_a_place_are_listed(known, tmp_path, name, ours):
    state = released_names(known) | {f"module.{name}": torch.zeros(2)}
    path = save(tmp_path / "a.pth", state)

    with pytest.raises(UserError, match=re.escape(f"unexpected: {ours}.")):
        load_trained(known, path)


def test_a_long_list_of_tensors_is_cut(known, tmp_path):
    state = released_names(known) | {f"extra{i}": torch.zeros(2) for i in range(40)}

    with pytest.raises(UserError, match="extra11 and 28 more"):
        load_trained(known, save(tmp_path / "a.pth", state))


@pytest.mark.parametrize(
    "state", [{"a": torch.zeros(2)}, {"conv1.weight": torch.zeros(8, 3, 3, 3)}]
)
def test_an_unknown_network_is_refused(tmp_path, state):
    with pytest.raises(UserError, match="holds no network known here"):
        describe_network(save(tmp_path / "a.pth", state))
