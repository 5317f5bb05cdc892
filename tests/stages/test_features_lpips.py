"""LPIPS is torchmetrics' on the same weights; a network that it cannot look with is refused."""

import pytest
import torch
from torchmetrics.functional.image import lpips as theirs

from schemas.errors import SchemaMismatch
from stages.data.digests import sha256_of
from stages.features.lpips import alexnet, open_lpips, vgg16


def save(backbone, path):
    """Write a file as torchvision does, with a layer that LPIPS does not need."""
    tensors = {f"features.{name}": value for name, value in backbone.layers.state_dict().items()}
    torch.save(tensors | {"classifier.6.weight": torch.zeros(10, 4)}, path)
    return str(path)


@pytest.mark.parametrize("make", [alexnet, vgg16])
def test_it_is_torchmetrics_own_on_the_same_weights(make, tmp_path, monkeypatch):
    torch.manual_seed(0)
    backbone = make()
    network, ours = open_lpips(save(backbone, tmp_path / "weights.pth"))
    assert network.name == f"lpips:{backbone.name}"
    assert network.sha256 == sha256_of(str(tmp_path / "weights.pth"))
    monkeypatch.setattr(theirs, "_get_tv_model_features", lambda *_: backbone.layers)
    wanted = theirs._LPIPS(net=backbone.published).eval()
    pictures, others = torch.rand(2, 3, 3, 64, 80).unbind()
    with torch.no_grad():
        expected = wanted(pictures, others, normalize=True).flatten()
    found = ours(pictures, others)
    assert found.tolist() == pytest.approx(expected.tolist(), rel=1e-4)
    assert min(found.tolist()) > 0
    assert ours(pictures, pictures).tolist() == [0, 0, 0]


def test_another_network_is_refused(tmp_path):
    torch.save({"features.0.weight": torch.zeros(4, 3, 3, 3)}, tmp_path / "other.pth")
    with pytest.raises(SchemaMismatch, match=r"weights of AlexNet or VGG16 .* found 1 tensors"):
        open_lpips(str(tmp_path / "other.pth"))
