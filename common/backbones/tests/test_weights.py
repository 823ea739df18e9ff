"""Weight files: what is asked for, what is read, what is refused."""

import pickle
import socket
import urllib.error
import zipfile
from http.client import IncompleteRead

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torchvision import models

from common.backbones.encoder import build_encoder
from common.backbones.tensor_files import read_tensors
from common.backbones.weights import load_trained, require_weights
from common.errors import UserError
from common.recipe import EncoderSettings


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder of cached weights, and no network."""

    def unreachable(*args, **kwargs):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    (tmp_path / "checkpoints").mkdir()
    return tmp_path / "checkpoints"


@pytest.fixture(scope="module")
def resnet18():
    with torch.random.fork_rng():
        torch.manual_seed(5)
        return models.resnet18(weights=None).state_dict()


@pytest.fixture(scope="module")
def tensors():
    encoder = build_encoder(EncoderSettings(arch="tiny", pooling="parts", weights="random"), seed=5)
    return encoder.state_dict()


def write(path, tensors):
    if path.suffix == ".safetensors":
        save_file({name: t.contiguous() for name, t in tensors.items()}, path)
    elif path.suffix == ".npz":
        np.savez(path, **{name: t.numpy() for name, t in tensors.items()})
    else:
        torch.save(tensors, path)
    return path


def tiny(**changes):
    return EncoderSettings(**{"arch": "tiny", "pooling": "parts", "weights": "random"} | changes)


# which file ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arch", "file"),
    [
        ("resnet18", "resnet18-f37072fd.pth"),
        ("resnet34", "resnet34-b627a593.pth"),
        ("resnet50", "resnet50-0676ba61.pth"),
        ("resnet101", "resnet101-63fe2227.pth"),
        ("resnet152", "resnet152-394f9c45.pth"),
        ("mobilenet_v2", "mobilenet_v2-b0353104.pth"),
    ],
)
def test_a_missing_imagenet_file_is_named_with_address_and_place(folder, arch, file):
    with pytest.raises(UserError) as caught:
        require_weights(EncoderSettings(arch=arch))

    for part in (file, f"https://download.pytorch.org/models/{file}", str(folder), "no network"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    "error", [IncompleteRead(b""), RuntimeError("invalid hash"), TimeoutError()]
)
def test_a_download_that_breaks_off_is_told_like_one_that_cannot_begin(folder, monkeypatch, error):
    before, waited = socket.getdefaulttimeout(), []

    def broken(*args, **kwargs):
        waited.append(socket.getdefaulttimeout())
        raise error

    monkeypatch.setattr(torch.hub, "download_url_to_file", broken)
    with pytest.raises(UserError, match=r"could not be downloaded .*resnet18-f37072fd\.pth"):
        require_weights(EncoderSettings(arch="resnet18"))
    assert (waited, socket.getdefaulttimeout()) == ([15], before)


def test_a_missing_file_is_noticed_before_a_network_is_built(folder, monkeypatch):
    monkeypatch.setattr("common.backbones.encoder.Encoder", None)

    with pytest.raises(UserError, match="resnet50-0676ba61"):
        build_encoder(EncoderSettings())


def test_a_cached_imagenet_file_is_used_without_a_download(folder, resnet18):
    path = write(folder / "resnet18-f37072fd.pth", resnet18)
    settings = EncoderSettings(arch="resnet18")

    encoder = build_encoder(settings)

    assert require_weights(settings) == path
    for name, tensor in encoder.trunk.state_dict().items():
        assert torch.equal(tensor, resnet18[name])
    assert torch.equal(encoder.neck.weight, torch.ones(512))


def test_a_missing_file_is_downloaded_to_the_cache_with_its_checksum(folder, monkeypatch):
    asked = []
    monkeypatch.setattr(
        torch.hub,
        "download_url_to_file",
        lambda url, target, hash_prefix, progress: asked.append((url, target, hash_prefix)),
    )

    assert require_weights(EncoderSettings(arch="resnet50"), download=False) is None
    assert asked == []

    path = require_weights(EncoderSettings(arch="resnet50"))

    url = "https://download.pytorch.org/models/resnet50-0676ba61.pth"
    assert asked == [(url, str(path), "0676ba61")]
    assert path == folder / "resnet50-0676ba61.pth"


@pytest.mark.parametrize("arch", ["resnet_ibn50a", "resnet_ibn101a"])
def test_a_missing_ibn_file_is_named_with_origin_and_place(folder, arch):
    file = {"resnet_ibn50a": "resnet50_ibn_a", "resnet_ibn101a": "resnet101_ibn_a"}[arch]

    with pytest.raises(UserError) as caught:
        require_weights(EncoderSettings(arch=arch))

    for part in (f"{file}.pth.tar", str(folder), "IBN-Net"):
        assert part in str(caught.value)


@pytest.mark.parametrize("name", ["resnet50_ibn_a.pth.tar", "resnet50_ibn_a-d9d0bb7b.pth"])
def test_both_published_names_of_an_ibn_file_are_found(folder, name):
    (folder / name).touch()

    assert require_weights(EncoderSettings(arch="resnet_ibn50a")) == folder / name


def test_random_weights_need_no_file_and_tiny_has_no_others(folder):
    assert require_weights(EncoderSettings(weights="random")) is None
    with pytest.raises(UserError, match=r"tiny has no ImageNet weights\. Set encoder\.weights="):
        require_weights(tiny(weights="imagenet"))


@pytest.mark.parametrize("name", ["imagnet", "~nobody-here/w.pth"])
def test_a_path_that_does_not_exist_is_repeated(folder, name):
    with pytest.raises(UserError, match=f"no weight file '{name}'"):
        require_weights(EncoderSettings(weights=name))


def test_an_unknown_architecture_is_refused_before_any_download(folder):
    with pytest.raises(UserError, match="vgg16"):
        require_weights(EncoderSettings(arch="vgg16"))


# initial weights ----------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors", ".npz"])
def test_initial_weights_come_from_any_kind_of_file(tmp_path, resnet18, suffix):
    path = write(tmp_path / f"weights{suffix}", resnet18)

    encoder = build_encoder(EncoderSettings(arch="resnet18", weights=str(path)))

    assert torch.equal(encoder.trunk.layer4[1].conv2.weight, resnet18["layer4.1.conv2.weight"])


def test_torchvisions_mobilenet_names_load_from_npz(tmp_path):
    theirs = models.mobilenet_v2(weights=None).eval()
    with torch.no_grad():
        theirs.features[1].conv[0][1].running_mean += 0.1
    path = write(tmp_path / "mobilenet.npz", theirs.state_dict())

    encoder = build_encoder(EncoderSettings(arch="mobilenet_v2", weights=str(path))).eval()

    images = torch.randn(2, 3, 64, 32)
    torch.testing.assert_close(encoder.trunk(images), theirs.features(images))


def test_a_file_of_the_ibn_authors_loads(tmp_path):
    source = build_encoder(EncoderSettings(arch="resnet_ibn50a", weights="random"), seed=5)
    state = {f"module.{name}": t for name, t in source.trunk.state_dict().items()}
    state |= {"module.fc.weight": torch.zeros(1000, 2048), "module.fc.bias": torch.zeros(1000)}
    path = tmp_path / "resnet50_ibn_a.pth.tar"
    torch.save({"epoch": 100, "arch": "resnet50_ibn_a", "state_dict": state}, path)

    encoder = build_encoder(EncoderSettings(arch="resnet_ibn50a", weights=str(path)), domains=2)

    mixed, original = encoder.trunk.layer1[0].bn1, source.trunk.layer1[0].bn1
    assert torch.equal(mixed.IN.weight, original.IN.weight)
    assert torch.equal(mixed.BN.source.weight, original.BN.weight)
    assert torch.equal(encoder.trunk.conv1.weight, source.trunk.conv1.weight)


def test_a_trained_encoder_is_a_start_too_for_one_domain_or_two(tmp_path, tensors):
    path = write(tmp_path / "trained.pth", tensors)

    one = build_encoder(tiny(weights=str(path)))
    two = build_encoder(tiny(weights=str(path)), domains=2)
    again = write(tmp_path / "two.pth", two.state_dict())
    resumed = build_encoder(tiny(weights=str(again)), domains=2)

    assert all(torch.equal(t, tensors[name]) for name, t in one.state_dict().items())
    assert torch.equal(two.neck.source.weight, tensors["neck.weight"])
    assert all(torch.equal(t, resumed.state_dict()[n]) for n, t in two.state_dict().items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("layer2.0.conv1.weight"), "missing: trunk.layer2.0.conv1.weight"),
        (lambda s: s.update(extra=torch.zeros(1)), "unexpected: trunk.extra"),
        (
            lambda s: s.update({"bn1.weight": torch.ones(65)}),
            r"another shape: trunk.bn1.weight \(65,\) instead of \(64,\)",
        ),
        (
            lambda s: s.update({"bn1.weight": torch.full((64,), torch.nan)}),
            "not finite: trunk.bn1.weight",
        ),
    ],
)
def test_tensors_that_do_not_fit_are_listed(tmp_path, resnet18, change, message):
    state = dict(resnet18)
    change(state)
    path = write(tmp_path / "changed.pth", state)

    with pytest.raises(UserError, match=message):
        build_encoder(EncoderSettings(arch="resnet18", weights=str(path)))


def test_weights_of_another_architecture_are_refused_by_name(tmp_path, resnet18):
    path = write(tmp_path / "other.pth", resnet18)

    with pytest.raises(UserError, match="holds a resnet18, the encoder is a resnet34"):
        build_encoder(EncoderSettings(arch="resnet34", weights=str(path)))


# reading ------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["state_dict", "encoder"])
def test_tensors_may_stand_beside_other_values(tmp_path, tensors, key):
    torch.save({key: tensors, "epoch": 3, "map": 0.5}, tmp_path / "a.pt")

    assert read_tensors(tmp_path / "a.pt").keys() == tensors.keys()


@pytest.mark.parametrize("module", [b"numpy._core.multiarray", b"numpy.core.multiarray"])
def test_a_score_kept_as_a_numpy_number_is_harmless(tmp_path, tensors, module):
    plain, path = tmp_path / "plain.pth", tmp_path / "published.pth.tar"
    torch.save({"state_dict": tensors, "best_mAP": np.float64(0.8)}, plain)
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():  # older releases of NumPy wrote the other module's name
            content = old.read(name)
            if name.endswith("data.pkl"):
                assert b"numpy._core.multiarray" in content
                content = content.replace(b"numpy._core.multiarray", module)
            new.writestr(name, content)

    assert read_tensors(path).keys() == tensors.keys()


def test_files_in_the_format_before_zip_are_read(tmp_path, tensors):
    path = tmp_path / "old.pth.tar"
    torch.save({"state_dict": tensors}, path, _use_new_zipfile_serialization=False)

    assert read_tensors(path).keys() == tensors.keys()


class Bomb:
    """Would write a file when unpickled."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (open, (str(self.target), "w"))


@pytest.mark.parametrize("form", ["torch", "old", "pickle"])
def test_a_file_that_asks_to_run_something_is_refused(tmp_path, form):
    path, target = tmp_path / "bomb.pth", tmp_path / "target"
    content = {"state_dict": {"conv1.weight": Bomb(target)}}
    if form == "pickle":
        path.write_bytes(pickle.dumps(content, protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "torch")

    with pytest.raises(UserError, match=r"was refused: it asks for \S*open"):
        read_tensors(path)

    assert not target.exists()


def test_pickled_objects_in_npz_are_refused(tmp_path):
    target = tmp_path / "target"
    np.savez(tmp_path / "bomb.npz", a=np.array([Bomb(target)], dtype=object))

    with pytest.raises(UserError, match="cannot be read as weights"):
        read_tensors(tmp_path / "bomb.npz")

    assert not target.exists()


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".pth.tar", ".safetensors", ".npz"])
@pytest.mark.parametrize("content", [b"", b"not a network"])
def test_damaged_files_are_named(tmp_path, suffix, content):
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(content)

    with pytest.raises(UserError, match=f"damaged{suffix}"):
        read_tensors(path)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".npz"])
def test_truncated_files_are_named(tmp_path, tensors, suffix):
    path = write(tmp_path / f"cut{suffix}", tensors)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    with pytest.raises(UserError, match=f"cut{suffix}"):
        read_tensors(path)


@pytest.mark.parametrize(
    ("member", "compressed"), [(b"\x93NUMPY\1\0\x02\0{[", False), (b"\0" * 300, True)]
)
def test_an_npz_with_a_damaged_member_is_named(tmp_path, member, compressed):
    path = tmp_path / "odd.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if compressed else 0) as file:
        file.writestr("a.npy", member)
    content = path.read_bytes()
    if compressed:  # its first byte names another kind of block
        at = 30 + len("a.npy")
        path.write_bytes(content[:at] + b"\xff" + content[at + 1 :])

    with pytest.raises(UserError, match=r"odd\.npz cannot be read as weights"):
        read_tensors(path)


@pytest.mark.parametrize(
    "odd",
    [
        torch.ones(3, device="meta"),
        torch.ones(3, dtype=torch.complex64),
        torch.ones(3).to(torch.float8_e4m3fn),
        torch.ones(1).expand(2**40),
    ],
    ids=["no values", "complex", "float8", "one for all"],
)
def test_tensors_of_another_make_are_refused_by_name(tmp_path, odd):
    torch.save({"conv1.weight": torch.ones(3), "conv1.bias": odd}, tmp_path / "odd.pt")

    with pytest.raises(UserError, match=r"weights: conv1\.bias are not tensors of numbers"):
        read_tensors(tmp_path / "odd.pt")


@pytest.mark.parametrize("content", [{}, [1, 2], {"epoch": 3}, {"model": {"a": 1}}])
def test_files_without_named_tensors_are_refused(tmp_path, content):
    torch.save(content, tmp_path / "other.pt")

    with pytest.raises(UserError, match=r"holds no named tensors|are not tensors"):
        read_tensors(tmp_path / "other.pt")


def test_other_kinds_of_files_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"safetensors and \.npz files only"):
        read_tensors(tmp_path / "weights.onnx")


def test_initial_weights_are_no_trained_encoder(tmp_path, resnet18):
    path = write(tmp_path / "resnet18.pth", resnet18)

    with pytest.raises(UserError, match="without a neck"):
        load_trained(build_encoder(EncoderSettings(arch="resnet18", weights="random")), path)
