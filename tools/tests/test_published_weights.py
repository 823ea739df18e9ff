"""Checkpoints of the methods' authors through `tools test`: the same features, or a refusal."""

import json
import re
import shutil

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from torchvision import models

import tools.test
from common.backbones import build_encoder
from common.data.datasets import fingerprint, load_dataset
from common.data.transform import normalize_image, read_image
from common.evaluator import testing
from common.recipe import EncoderSettings
from common.run import RunDir

SIZE = (64, 32)
SMALL = ("--set", f"encoder.height={SIZE[0]}", "--set", f"encoder.width={SIZE[1]}")


class Power(nn.Module):
    """Generalized mean with one exponent."""

    def __init__(self):
        super().__init__()
        self.p = nn.Parameter(torch.tensor([2.5]))

    def forward(self, x):
        return x.clamp(min=1e-6).pow(self.p).mean(dim=(2, 3)).pow(1 / self.p)


class Mixed(nn.Module):
    """Half instance norm, half batch norm, as in IBN-a."""

    def __init__(self, channels):
        super().__init__()
        self.IN = nn.InstanceNorm2d(channels // 2, affine=True)
        self.BN = nn.BatchNorm2d(channels - channels // 2)

    def forward(self, x):
        first, second = x.split(x.shape[1] // 2, dim=1)
        return torch.cat([self.IN(first), self.BN(second)], dim=1)


class Pair(nn.Module):
    """A batch norm per domain; tests use the target's."""

    def __init__(self, source, target):
        super().__init__()
        self.BN_S, self.BN_T = source, target

    def forward(self, x):
        return self.BN_T(x)


class Released(nn.Module):
    """A network put together as the names in the released checkpoints tell."""

    def __init__(self, depth=50, *, gem=False, ibn=False, stem_relu=True):
        super().__init__()
        net = getattr(models, f"resnet{depth}")(weights=None)
        if depth >= 50:
            net.layer4[0].conv2.stride = net.layer4[0].downsample[0].stride = (1, 1)
        if ibn:
            for block in (*net.layer1, *net.layer2, *net.layer3):
                block.bn1 = Mixed(block.bn1.num_features)
        relu = [net.relu] if stem_relu else []
        stages = net.layer1, net.layer2, net.layer3, net.layer4
        self.base = nn.Sequential(net.conv1, net.bn1, *relu, net.maxpool, *stages)
        self.gap = Power() if gem else nn.AdaptiveAvgPool2d(1)
        self.feat_bn = nn.BatchNorm1d(net.fc.in_features)

    def forward(self, x):
        return F.normalize(self.feat_bn(self.gap(self.base(x)).flatten(1)), dim=1)


def split(network):
    """Two batch norms in place of every one."""
    for name, child in network.named_children():
        if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
            twin = type(child)(child.num_features)
            setattr(network, name, Pair(twin, child))
        else:
            split(child)


def trained(network, seed=3):
    """The network with values in all vectors that no initialization gives."""
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in network.state_dict().values():
            if tensor.dim() == 1:
                tensor.mul_(0.8 + 0.4 * torch.rand(tensor.shape, generator=g)).add_(0.01)
    return network.eval()


def checkpoint(state):
    """What the released codes save, the score as NumPy's number."""
    return {"state_dict": state, "epoch": 50, "best_mAP": np.float64(0.81)}


def published(network, path):
    torch.save(checkpoint(nn.DataParallel(network).state_dict()), path)
    return path


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Six people in Market-1501's layout: a query and two gallery images of each."""
    rng, folder = np.random.default_rng(1), tmp_path_factory.mktemp("data")
    market = folder / "market1501" / "Market-1501-v15.09.15"
    for part, cams in {
        "bounding_box_train": (1,),
        "query": (1,),
        "bounding_box_test": (2, 3),
    }.items():
        (market / part).mkdir(parents=True)
        for pid in range(1, 7):
            for cam in cams:
                pixels = rng.integers(0, 256, (8, 4, 3), dtype=np.uint8)
                image = Image.fromarray(pixels).resize((64, 128), Image.Resampling.NEAREST)
                image.save(market / part / f"{pid:04d}_c{cam}s1_000001_00.jpg")
    return folder


@pytest.fixture
def evaluated(call, root, monkeypatch):
    """`evaluated(path, *arguments)`: the call, and the features that it scored."""
    kept, score = [], tools.test.evaluate_dataset

    def keep(features, *arguments, **options):
        kept.append(features)
        return score(features, *arguments, **options)

    monkeypatch.setattr(tools.test, "evaluate_dataset", keep)

    def run(path, *arguments, data=root):
        place = ("--data-root", data, "--device", "cpu", "--json", *SMALL)
        return call("test", *arguments, "--weights", path, *place), kept

    return run


def features_of(network, root):
    """Query and gallery by the released network itself."""
    samples = testing.tested_samples(load_dataset("market1501", root))
    images = [normalize_image(read_image(path, *SIZE)) for path in samples.paths]
    with torch.no_grad():
        return network(torch.stack(images))


CASES = [  # arguments, network, domains
    (("clustercontrast", "market1501"), {"gem": True, "stem_relu": False}, 1),
    (("hhcl", "market1501"), {}, 1),
    (("hhcl", "market1501", "--variant", "ibn"), {"gem": True, "ibn": True}, 1),
    (("dccc", "market1501", "--set", "encoder.pooling=gem"), {"gem": True}, 1),
    (("spcl", "market1501", "--source", "msmt17"), {}, 2),
    (("spcl", "market1501", "--source", "msmt17", "--variant", "ibn"), {"ibn": True}, 2),
]


@pytest.mark.parametrize(
    ("arguments", "kind", "domains"),
    [CASES[0], *(pytest.param(*case, marks=pytest.mark.slow) for case in CASES[1:])],
    ids=[" ".join(case[0]) for case in CASES],
)
def test_a_published_checkpoint_gives_its_network_s_features(
    evaluated, root, tmp_path, arguments, kind, domains
):
    network = Released(**kind)
    if domains == 2:
        split(network)
    expected = features_of(trained(network), root)
    done, (features,) = evaluated(published(network, tmp_path / "model_best.pth.tar"), *arguments)
    assert done.code == 0, done.err
    assert 0 < json.loads(done.out)["map"] <= 1
    torch.testing.assert_close(features, expected, rtol=1e-3, atol=1e-4)


SMALLER = ("hhcl", "market1501", "--set", "encoder.arch=resnet18")
TINY = ("hhcl", "market1501", "--set", "encoder.arch=tiny")


@pytest.fixture(scope="module")
def state():
    return nn.DataParallel(trained(Released(18))).state_dict()


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    """A checkpoint of HHCL by this project, for tests of what does not depend on names."""
    encoder = build_encoder(EncoderSettings("tiny", weights="random"))
    run = RunDir(tmp_path_factory.mktemp("run"))
    run.save("best.pt", {"encoder": encoder.state_dict(), "method": "hhcl"})
    return run.path / "best.pt"


def test_a_network_of_two_domains_is_tested_by_the_source_s_batch_norms_if_asked(
    evaluated, root, tmp_path
):
    network = Released(18)
    first = network.base[-1][0]
    first.conv1.stride = first.downsample[0].stride = (1, 1)  # as here, also in a ResNet-18
    split(network)
    path = published(trained(network), tmp_path / "model_best.pth.tar")
    for pair in [module for module in network.modules() if isinstance(module, Pair)]:
        pair.BN_T = pair.BN_S
    done, (features,) = evaluated(path, *SMALLER, "--domain", "source")
    assert json.loads(done.out)["domain"] == "source"
    torch.testing.assert_close(features, features_of(network, root), rtol=1e-3, atol=1e-4)


def test_a_network_of_one_domain_has_no_batch_norms_of_a_source(evaluated, state, tmp_path):
    torch.save(checkpoint(state), tmp_path / "model_best.pth.tar")
    done, _ = evaluated(tmp_path / "model_best.pth.tar", *SMALLER, "--domain", "source")
    assert done.code == 2
    assert "Leave --domain out" in done.err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"base.4.0.conv1.weight": None, "feat_bn.running_mean": None},
            "missing: trunk.layer1.0.conv1.weight, neck.running_mean",
        ),
        ({"feat_bn.weight": None}, "holds a resnet18 without a neck"),
        ({"classifier.weight": torch.zeros(3, 512)}, "unexpected: classifier.weight"),
        ({"gap.q": torch.zeros(1)}, "unexpected: pool.q"),
        ({"feat_bn.bias": torch.zeros(7)}, "of another shape: neck.bias (7,) instead of (512,)"),
        ({"feat_bn.bias": torch.full((512,), torch.nan)}, "not finite: neck.bias"),
        ({"gap.p": torch.tensor([3.0])}, "Set encoder.pooling=gem"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused_with_the_names(
    evaluated, state, tmp_path, change, said
):
    changed = state | {f"module.{name}": tensor for name, tensor in change.items()}
    kept = {name: tensor for name, tensor in changed.items() if tensor is not None}
    torch.save(checkpoint(kept), tmp_path / "model_best.pth.tar")
    refused(*evaluated(tmp_path / "model_best.pth.tar", *SMALLER), said)


def refused(done, kept, said):
    """Exit code 2, one sentence, nothing scored."""
    assert (done.code, done.out, kept) == (2, "", [])
    assert re.sub(r"\s+", " ", said) in re.sub(r"\s+", " ", done.err)
    assert "Traceback" not in done.err


def test_a_checkpoint_of_ours_is_refused_where_another_method_wrote_it(evaluated, ours):
    refused(*evaluated(ours, "spcl", *TINY[1:]), "by hhcl, not by spcl. Name its method.")

    done, _ = evaluated(ours, *TINY)
    assert done.code == 0, done.err


def test_a_whole_network_as_an_object_is_refused(evaluated, tmp_path):
    torch.save(nn.Linear(2, 2), tmp_path / "model.pth")
    refused(*evaluated(tmp_path / "model.pth", *SMALLER), "reading it could run a program")


@pytest.mark.parametrize(
    ("name", "said"),
    [("model.pth", "was refused"), ("model.onnx", "are read from .pth, .pt, .tar, .safetensors")],
)
def test_a_file_that_holds_no_tensors_is_refused(evaluated, tmp_path, name, said):
    (tmp_path / name).write_text("weights")
    refused(*evaluated(tmp_path / name, *SMALLER), said)


def test_imagenet_weights_are_no_trained_encoder(evaluated, tmp_path):
    torch.save(models.resnet18(weights=None).state_dict(), tmp_path / "resnet18.pth")
    refused(
        *evaluated(tmp_path / "resnet18.pth", *SMALLER), "initial weights, not a trained encoder"
    )


def spoiled(root, tmp_path, part):
    """A copy of the data in which one image of a part has four colour channels, and its name."""
    shutil.copytree(root, tmp_path / "data")
    name = next((tmp_path / "data").rglob(f"{part}/0003_*.jpg"))
    Image.new("CMYK", (64, 128)).save(name)
    return tmp_path / "data", name


def test_images_are_checked_before_they_are_scored(evaluated, root, ours, tmp_path):
    data, name = spoiled(root, tmp_path, "query")

    done, kept = evaluated(ours, *TINY, data=data)
    refused(done, kept, f"{name}: CMYK")

    done, (features,) = evaluated(ours, *TINY, "--skip-bad-images", data=data)
    assert (done.code, len(features)) == (0, 17)
    assert json.loads(done.out)["data"]["dropped"] == [str(name)]


def test_another_release_than_the_papers_is_told_and_recorded(evaluated, root, ours, tmp_path):
    folder = tmp_path / "msmt17" / "MSMT17_V2"
    shutil.copytree(next(root.rglob("query")).parent, folder)
    method, _, *settings = TINY

    done, _ = evaluated(ours, method, "msmt17", *settings, data=tmp_path)
    tested = json.loads(done.out)

    assert "msmt17 is of version V2, the published numbers are on V1." in done.err
    assert tested["data"]["version"] == "V2"
    assert tested["data"]["fingerprint"] == fingerprint(load_dataset("msmt17", tmp_path))


def test_training_images_are_not_opened_for_a_test(evaluated, root, ours, tmp_path):
    data, _ = spoiled(root, tmp_path, "bounding_box_train")

    done, (features,) = evaluated(ours, *TINY, data=data)
    assert (done.code, len(features)) == (0, 18)


def test_an_own_folder_with_a_test_part_is_scored_like_a_data_set(evaluated, root, ours):
    folder = next(root.rglob("query")).parent
    method, name, *settings = TINY

    done, kept = evaluated(ours, method, name, "nowhere", *settings)
    refused(done, kept, "unknown data set 'nowhere'")

    done, _ = evaluated(ours, method, name, folder, *settings)

    named, own = json.loads(done.out)
    assert {**own, "data": ""} == {**named, "dataset": str(folder), "data": ""}
    assert own["data"]["fingerprint"] == named["data"]["fingerprint"]

    done, _ = evaluated(ours, method, folder, *settings)
    assert json.loads(done.out) == own, "without a data set that has a recipe"


@pytest.mark.parametrize("change", ["precision=fast", "clustering.eps=0.3", "encoder.weights=x"])
def test_a_change_without_effect_on_scores_is_refused(evaluated, ours, change):
    refused(
        *evaluated(ours, *TINY, "--set", change),
        f"--set {change.partition('=')[0]}: a test computes features and scores",
    )
