"""Both forms of the clustering, one after the other."""

import pytest

from common.clustering import compiled


@pytest.fixture(params=["compiled", "tensor"])
def form(request, monkeypatch):
    monkeypatch.setattr(compiled, "AVAILABLE", compiled.AVAILABLE and request.param == "compiled")
    return request.param
