"""Features of a set of images: one by one, in order, shared out and without gradient."""

import torch

from common.backbones import build_encoder
from common.data.cached_images import CachedImages
from common.data.pixels import normalized
from common.evaluator.extract import extract
from common.recipe import EncoderSettings
from common.team import Team


def test_every_process_fills_its_part_with_the_features_of_evaluation(monkeypatch):
    g = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (11, 3, 32, 16), generator=g, dtype=torch.uint8)
    encoder = build_encoder(EncoderSettings(arch="tiny", height=32, width=16, weights="random"))
    encoder(normalized(pixels))  # in training: moves the running statistics
    before = {name: buffer.clone() for name, buffer in encoder.named_buffers()}
    expected = encoder.eval()(normalized(pixels)).detach()
    copied, ticks = [], []
    monkeypatch.setattr("common.evaluator.extract.EXTRACTED_AT_ONCE", 4)
    monkeypatch.setattr(Team, "copy_buffers", lambda team, module: copied.append(module))
    monkeypatch.setattr(Team, "complete_", lambda team, rows: rows)

    for rank, own in enumerate((range(5), range(5, 11))):
        images = CachedImages(pixels, 0, torch.device("cpu"))
        found = extract(
            encoder.train(),
            images,
            Team(rank, 2),
            progress=lambda done, total: ticks.append((done, total)),
        )
        assert not found.requires_grad
        torch.testing.assert_close(found[own], expected[own], rtol=0, atol=1e-5)

    assert copied == [encoder, encoder]
    assert ticks == [(4, 5), (5, 5), (4, 6), (6, 6)]
    assert all(torch.equal(buffer, before[name]) for name, buffer in encoder.named_buffers())
