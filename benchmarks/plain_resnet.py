"""ResNet-101 as one would write it: float32, NCHW, batch norm left as it is. Names of weights are torchvision's."""

import torch
from torch import Tensor, nn

BLOCKS = (3, 4, 23, 3)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolution around a shortcut (He et al. 2016)."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = nn.Sequential()
        if stride != 1 or channels != 4 * width:
            projection = nn.Conv2d(channels, 4 * width, 1, stride, bias=False)
            self.downsample = nn.Sequential(projection, nn.BatchNorm2d(4 * width))

    def forward(self, x: Tensor) -> Tensor:
        """The block's output [case, 4 * width, H / stride, W / stride]."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        return self.relu(self.bn3(self.conv3(y)) + self.downsample(x))


class PlainResNet101(nn.Module):
    """Three planes in, two logits out."""

    layer1: nn.Sequential
    layer2: nn.Sequential
    layer3: nn.Sequential
    layer4: nn.Sequential

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1))
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        channels = 64
        for stage, count in enumerate(BLOCKS):
            width, blocks = 64 * 2**stage, []
            for block in range(count):
                blocks.append(Bottleneck(channels, width, 2 if stage and not block else 1))
                channels = 4 * width
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(channels, 2)

    def features(self, planes: Tensor) -> Tensor:
        """The last feature map [case, 2048, H/32, W/32]."""
        x = self.stem(self.bn1(self.conv1(planes)))
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))

    def forward(self, planes: Tensor) -> Tensor:
        """Logits [case, class] of planes [case, plane, H, W]."""
        return self.fc(self.features(planes).mean(dim=(2, 3)))


def random_state(seed: int, side_px: int = 64) -> dict[str, Tensor]:
    """Weights and batch-norm statistics of a network that was never trained, with features of order one."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = PlainResNet101()
        for module in net.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = None
            if isinstance(module, Bottleneck):
                nn.init.constant_(module.bn3.weight, 0.25)
        with torch.no_grad():
            net.train()(torch.randn(16, 3, side_px, side_px))
    return net.state_dict()
