"""Inception-v3 as the FID is computed with it: the network of 2015 that TensorFlow published.

It differs from the usual Inception-v3 (Szegedy et al. 2016) in four ways, which Heusel et al. 2017
inherited and every published FID depends on: the average pools leave their padding out of the
mean, the last block's pool takes the maximum, there are 1,008 classes, and no auxiliary classifier.
The names of modules are those of the weights that the field shares (pt_inception-2015-12-05).

Dimensions: b batch, c channels, h w pixels, s side of the input (299), d features (2,048),
k classes.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from schemas.errors import SchemaMismatch

SIDE = 299
FEATURES = 2_048
CLASSES = 1_008
COUNTER = "num_batches_tracked"  # of batch norms; files from before torch 0.4.1 have none

Maps = Float[Tensor, "b c h w"]


class Unit(nn.Module):
    """A convolution without a bias, batch norm and a ReLU."""

    def __init__(
        self,
        width: int,
        out: int,
        size: int | tuple[int, int],
        stride: int = 1,
        padding: int | tuple[int, int] = 0,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, out, size, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(out, eps=0.001)

    def forward(self, maps: Maps) -> Maps:
        return F.relu(self.bn(self.conv(maps)))


def row(width: int, out: int) -> Unit:
    """Return a convolution of 1 x 7 that keeps the size."""
    return Unit(width, out, (1, 7), padding=(0, 3))


def column(width: int, out: int) -> Unit:
    """Return a convolution of 7 x 1 that keeps the size."""
    return Unit(width, out, (7, 1), padding=(3, 0))


def mean_pool(maps: Maps) -> Maps:
    """Average 3 x 3 neighbours; at the border only those that are there."""
    return F.avg_pool2d(maps, 3, stride=1, padding=1, count_include_pad=False)


class BlockA(nn.Module):
    """Mixed_5b to 5d: 35 x 35, branches of one, two and three convolutions."""

    def __init__(self, width: int, pooled: int) -> None:
        super().__init__()
        self.branch1x1 = Unit(width, 64, 1)
        self.branch5x5_1 = Unit(width, 48, 1)
        self.branch5x5_2 = Unit(48, 64, 5, padding=2)
        self.branch3x3dbl_1 = Unit(width, 64, 1)
        self.branch3x3dbl_2 = Unit(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = Unit(96, 96, 3, padding=1)
        self.branch_pool = Unit(width, pooled, 1)

    def forward(self, maps: Maps) -> Maps:
        five = self.branch5x5_2(self.branch5x5_1(maps))
        three = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(maps)))
        return torch.cat(
            [self.branch1x1(maps), five, three, self.branch_pool(mean_pool(maps))], dim=1
        )


class BlockB(nn.Module):
    """Mixed_6a: from 35 x 35 to 17 x 17."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.branch3x3 = Unit(width, 384, 3, stride=2)
        self.branch3x3dbl_1 = Unit(width, 64, 1)
        self.branch3x3dbl_2 = Unit(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = Unit(96, 96, 3, stride=2)

    def forward(self, maps: Maps) -> Maps:
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(maps)))
        return torch.cat([self.branch3x3(maps), double, F.max_pool2d(maps, 3, stride=2)], dim=1)


class BlockC(nn.Module):
    """Mixed_6b to 6e: 17 x 17, with 7 x 7 as rows and columns; `inner` channels inside."""

    def __init__(self, inner: int) -> None:
        super().__init__()
        self.branch1x1 = Unit(768, 192, 1)
        self.branch7x7_1 = Unit(768, inner, 1)
        self.branch7x7_2 = row(inner, inner)
        self.branch7x7_3 = column(inner, 192)
        self.branch7x7dbl_1 = Unit(768, inner, 1)
        self.branch7x7dbl_2 = column(inner, inner)
        self.branch7x7dbl_3 = row(inner, inner)
        self.branch7x7dbl_4 = column(inner, inner)
        self.branch7x7dbl_5 = row(inner, 192)
        self.branch_pool = Unit(768, 192, 1)

    def forward(self, maps: Maps) -> Maps:
        seven = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(maps)))
        double = self.branch7x7dbl_2(self.branch7x7dbl_1(maps))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(self.branch7x7dbl_3(double)))
        return torch.cat(
            [self.branch1x1(maps), seven, double, self.branch_pool(mean_pool(maps))], dim=1
        )


class BlockD(nn.Module):
    """Mixed_7a: from 17 x 17 to 8 x 8."""

    def __init__(self) -> None:
        super().__init__()
        self.branch3x3_1 = Unit(768, 192, 1)
        self.branch3x3_2 = Unit(192, 320, 3, stride=2)
        self.branch7x7x3_1 = Unit(768, 192, 1)
        self.branch7x7x3_2 = row(192, 192)
        self.branch7x7x3_3 = column(192, 192)
        self.branch7x7x3_4 = Unit(192, 192, 3, stride=2)

    def forward(self, maps: Maps) -> Maps:
        three = self.branch3x3_2(self.branch3x3_1(maps))
        seven = self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(maps)))
        return torch.cat([three, self.branch7x7x3_4(seven), F.max_pool2d(maps, 3, stride=2)], dim=1)


class BlockE(nn.Module):
    """Mixed_7b and 7c: 8 x 8, branches that fork; the last one's pool takes the maximum."""

    def __init__(self, width: int, *, maximum: bool) -> None:
        super().__init__()
        self.maximum = maximum
        self.branch1x1 = Unit(width, 320, 1)
        self.branch3x3_1 = Unit(width, 384, 1)
        self.branch3x3_2a = Unit(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3_2b = Unit(384, 384, (3, 1), padding=(1, 0))
        self.branch3x3dbl_1 = Unit(width, 448, 1)
        self.branch3x3dbl_2 = Unit(448, 384, 3, padding=1)
        self.branch3x3dbl_3a = Unit(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3dbl_3b = Unit(384, 384, (3, 1), padding=(1, 0))
        self.branch_pool = Unit(width, 192, 1)

    def pool(self, maps: Maps) -> Maps:
        return F.max_pool2d(maps, 3, stride=1, padding=1) if self.maximum else mean_pool(maps)

    def forward(self, maps: Maps) -> Maps:
        three = self.branch3x3_1(maps)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(maps))
        branches = [
            self.branch1x1(maps),
            self.branch3x3_2a(three),
            self.branch3x3_2b(three),
            self.branch3x3dbl_3a(double),
            self.branch3x3dbl_3b(double),
            self.branch_pool(self.pool(maps)),
        ]
        return torch.cat(branches, dim=1)


class Inception(nn.Module):
    """Pictures of 299 x 299 in [-1, 1] to features, and features to class probabilities."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Unit(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = Unit(32, 32, 3)
        self.Conv2d_2b_3x3 = Unit(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = Unit(64, 80, 1)
        self.Conv2d_4a_3x3 = Unit(80, 192, 3)
        self.Mixed_5b = BlockA(192, pooled=32)
        self.Mixed_5c = BlockA(256, pooled=64)
        self.Mixed_5d = BlockA(288, pooled=64)
        self.Mixed_6a = BlockB(288)
        self.Mixed_6b = BlockC(128)
        self.Mixed_6c = BlockC(160)
        self.Mixed_6d = BlockC(160)
        self.Mixed_6e = BlockC(192)
        self.Mixed_7a = BlockD()
        self.Mixed_7b = BlockE(1_280, maximum=False)
        self.Mixed_7c = BlockE(2_048, maximum=True)
        self.fc = nn.Linear(FEATURES, CLASSES)

    def forward(self, pictures: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b d"]:
        """Return the features of the last pool."""
        maps = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(pictures)))
        maps = self.Conv2d_3b_1x1(F.max_pool2d(maps, 3, stride=2))
        maps = F.max_pool2d(self.Conv2d_4a_3x3(maps), 3, stride=2)
        maps = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(maps)))
        maps = self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(maps)))
        maps = self.Mixed_6e(self.Mixed_6d(maps))
        maps = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(maps)))
        return maps.mean(dim=(2, 3))

    def probabilities(self, features: Float[Tensor, "b d"]) -> Float[Tensor, "b k"]:
        """Return the classes' probabilities, without the last bias.

        Salimans et al. 2016 left it out, and with them everyone whose Inception Score is compared.
        """
        return F.linear(features, self.fc.weight).softmax(dim=-1)


def filled(tensors: Mapping[str, Tensor], where: str) -> Inception:
    """Return the network with these weights, in evaluation mode.

    Raises SchemaMismatch for others, such as torchvision's own, whose pools and classes differ.
    """
    network = Inception()
    own = network.state_dict()
    wrong = [
        name
        for name, value in own.items()
        if not name.endswith(COUNTER)
        and (name not in tensors or tensors[name].shape != value.shape)
    ]
    wrong += sorted(tensors.keys() - own.keys())
    if wrong:
        raise SchemaMismatch(
            f"wanted the weights of the FID's Inception-v3 with {CLASSES:,} classes in {where}, "
            f"found {len(wrong)} tensors that are missing, foreign or of another shape, "
            f"{wrong[0]} among them; give pt_inception-2015-12-05, as pytorch-fid publishes it"
        )
    network.load_state_dict(tensors, strict=False)
    return network.eval()
