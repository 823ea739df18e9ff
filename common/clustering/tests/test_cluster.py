"""From features and settings to pseudo-labels."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from common.clustering import (
    cameras,
    cluster,
    cluster_at,
    compiled,
    label_progress,
    similarity,
    warm_up,
)
from common.errors import UserError
from common.recipe import Dbscan, InfoMap
from common.schedules import Constant, ExponentialEps


def clustered(size=300, dim=32, seed=0, spread=1.0):
    g = torch.Generator().manual_seed(seed)
    centers = torch.randn(size // 15, dim, generator=g)
    identity = torch.arange(size) % len(centers)
    return F.normalize(centers[identity] + spread * torch.randn(size, dim, generator=g), dim=1)


def test_eps_follows_its_schedule():
    settings = Dbscan(eps=ExponentialEps(0.7))
    found = cluster(clustered(spread=1.3), settings, epoch=20)
    assert found.details == {"eps": settings.eps(20)}
    at = cluster_at(clustered(spread=1.3), settings, [settings.eps(20)])[0]
    assert np.array_equal(found.labels, at.labels)


def test_infomap_settings_give_infomap_labels_and_tell_of_the_graph():
    found = cluster(clustered(spread=0.4), InfoMap(), epoch=0)
    assert found.num_clusters == 20
    assert found.details.pop("codelength") > 0
    assert found.details == {"edges": 300 * 14, "modules": 20, "isolated": 0}
    alone = cluster(torch.cat([torch.eye(20), torch.eye(20)[:1]]), InfoMap(), epoch=0)
    assert (alone.labels == -1).all()
    assert alone.details["edges"] == 2
    assert (alone.details["modules"], alone.details["isolated"]) == (1, 19)


def test_centering_removes_what_a_camera_adds():
    cams = np.arange(300) // 20 % 3  # every identity is seen by every camera
    shift = 3 * torch.randn(3, 32, generator=torch.Generator().manual_seed(1))
    plain = clustered(spread=0.5)
    shifted = F.normalize(plain + shift[cams], dim=1)
    clean = cluster(plain, Dbscan(k1=15), 0).num_clusters
    assert cluster(shifted, Dbscan(k1=15), 0, cams).num_clusters != clean
    assert cluster(shifted, Dbscan(k1=15, center_cameras=True), 0, cams).num_clusters == clean


def test_centering_in_blocks_takes_from_each_image_the_mean_of_its_own_camera(monkeypatch):
    monkeypatch.setattr(cameras, "BLOCK", 70)
    monkeypatch.setattr(similarity, "NORMALIZED", 40)
    features, cams = clustered(), np.random.default_rng(0).integers(0, 3, 300)
    found = cameras.centered_by_camera(features, cams)
    for own in (cams == camera for camera in range(3)):
        rest = features[own] - features[own].mean(dim=0)
        torch.testing.assert_close(found[own], F.normalize(rest, dim=1))


def test_an_image_alone_in_its_camera_keeps_its_feature():
    cams = np.arange(300)
    plain = cluster(clustered(), Dbscan(), 0).labels
    centered = cluster(clustered(), Dbscan(center_cameras=True), 0, cams).labels
    assert np.array_equal(plain, centered)


def test_centering_without_cameras_is_refused():
    with pytest.raises(ValueError, match="camera of every image"):
        cluster(clustered(), Dbscan(center_cameras=True), 0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (Dbscan(eps=Constant(1.2)), "eps is 1.2"),
        (Dbscan(eps=Constant(0.0)), "eps is 0"),
    ],
)
def test_settings_that_make_no_labels_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        cluster(clustered(), settings, 0)


@pytest.mark.parametrize("settings", [Dbscan(), Dbscan(center_cameras=True), InfoMap()])
def test_features_that_require_gradient_are_clustered(settings):
    features, cams = clustered(), np.arange(300) % 3
    found = cluster(features.clone().requires_grad_(), settings, 0, cams)
    assert np.array_equal(found.labels, cluster(features, settings, 0, cams).labels)
    assert found.num_clusters > 0


def test_whoever_watches_hears_which_part_is_done_and_of_the_end_of_each(form):
    last = {}

    def watch(what, done, total):
        last[what] = done == total

    with label_progress(watch):
        cluster(clustered(), Dbscan(), 0)
    parts = {"comparing images", "weighing neighbours", "averaging neighbours"}
    assert set(last) - {"ranking candidates"} == {*parts, "comparing neighbours"}
    assert all(last.values())


@pytest.mark.skipif(not compiled.AVAILABLE, reason="numba cannot be used")
def test_warming_up_runs_every_kernel_for_a_cpu_and_none_for_a_gpu(monkeypatch):
    kernels, run = set(), set()

    def watch(name, kernel):
        kernels.add(name)
        return lambda *arguments: (run.add(name), kernel(*arguments))[1]

    for module in (compiled.jaccard, compiled.minima, compiled.search):
        for name, kernel in list(vars(module).items()):
            inner = getattr(kernel, "targetoptions", {}).get("no_cpython_wrapper")
            if inner is False:  # neither one that other kernels alone call nor something else
                monkeypatch.setattr(module, name, watch(name, kernel))
    warm_up(torch.device("cuda"))
    assert run == set()
    warm_up(torch.device("cpu"))
    assert "close_pairs" in kernels
    assert run == kernels


@pytest.mark.skipif(not compiled.AVAILABLE, reason="numba cannot be used")
def test_no_kernel_is_compiled_for_a_constant():
    """Seen where kernels are compiled anew: one that is read from its cache hides its callees."""
    warm_up(torch.device("cpu"))
    for module in (compiled.jaccard, compiled.minima, compiled.search):
        for name, kernel in vars(module).items():
            for types in getattr(kernel, "signatures", ()):
                assert "Literal" not in str(types), name
