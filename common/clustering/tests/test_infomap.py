"""The neighbour graph of InfoMap, its settings and what becomes of modules."""

import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from common.clustering import infomap as infomap_module
from common.clustering.infomap import infomap_labels, kept_modules, neighbor_graph
from common.errors import MissingPackage
from common.recipe import InfoMap


def clustered(size, dim, seed=0, spread=0.8):
    g = torch.Generator().manual_seed(seed)
    centers = torch.randn(1 + size // 15, dim, generator=g)
    identity = torch.arange(size) % len(centers)
    return centers[identity] + spread * torch.randn(size, dim, generator=g), identity.numpy()


def test_edges_follow_the_definition():
    features, _ = clustered(120, 16, spread=1.5)
    unit = F.normalize(features, dim=1).double()
    similarity = (unit @ unit.T).float().double().numpy()

    graph = neighbor_graph(features, InfoMap(k1=10, similarity=0.5))

    expected = {}
    for i, row in enumerate(similarity):
        nearest = sorted((j for j in range(120) if j != i), key=lambda j: (-row[j], j))[:9]
        expected |= {(i, j): row[j] for j in nearest if row[j] >= 0.5}
    found = dict(zip(map(tuple, graph.edges.tolist()), graph.weights, strict=True))
    assert found.keys() == expected.keys()
    assert max(abs(found[edge] - expected[edge]) for edge in found) < 1e-6
    assert set(graph.singles) == set(range(120)) - {point for edge in expected for point in edge}


def test_an_image_with_entering_edges_only_is_not_single():
    hub = F.normalize(torch.tensor([[1.0, 0.0], [1.0, 0.05], [1.0, 0.1], [1.0, 0.4]]), dim=1)
    graph = neighbor_graph(hub, InfoMap(k1=3, similarity=0.0))
    assert not len(graph.singles)


def test_well_separated_identities_are_found():
    features, identity = clustered(150, 64, spread=0.4)
    found = infomap_labels(features, InfoMap())
    assert len(np.unique(identity)) == found.labels.max() + 1
    assert (
        len({(a, b) for a, b in zip(identity, found.labels, strict=True)}) == found.labels.max() + 1
    )
    assert found.codelength > 0


def test_modules_are_read_also_where_infomap_was_loaded_before_faiss():
    """As by networkx, which PyTorch loads to compile, and whose backend infomap is."""
    pytest.importorskip("faiss")
    program = (
        "import infomap, faiss, torch\n"
        "from common.clustering.infomap import InfoMap, infomap_labels\n"
        "found = infomap_labels(torch.eye(2).repeat_interleave(6, 0), InfoMap(k1=6))\n"
        "print(found.labels.tolist())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == str([0] * 6 + [1] * 6), done.stderr


def test_small_modules_and_single_images_become_outliers():
    module = np.array([3, 3, 3, 1, 1, 0, 2, 2, 2])
    assert kept_modules(module, k2=2).tolist() == [1, 1, 1, -1, -1, -1, 0, 0, 0]


@pytest.mark.parametrize("similarity", [0.5, 0.0])
def test_images_without_any_edge_or_with_edges_of_weight_zero_are_all_outliers(similarity):
    found = infomap_labels(torch.eye(20), InfoMap(similarity=similarity))
    assert (found.labels == -1).all()
    assert (found.module == 0).all()


def test_a_missing_package_gives_the_command_to_install_it(monkeypatch):
    monkeypatch.setattr(infomap_module, "Infomap", None)
    with pytest.raises(MissingPackage, match=r'pip install "unreid\[infomap\]"'):
        infomap_labels(torch.eye(4), InfoMap())
