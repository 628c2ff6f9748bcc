"""The networks that are timed, written out so that no package of models is needed."""

from torch import nn


def convolution(inputs, outputs, size=3, stride=1, groups=1, activation=nn.ReLU6):
    layers = [nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False), nn.BatchNorm2d(outputs)]
    return nn.Sequential(*layers, *([activation()] if activation else []))


class Sum(nn.Module):
    """branch(x) + shortcut(x), and a ReLU behind it where asked."""

    def __init__(self, branch, shortcut=None, relu=False):
        super().__init__()
        self.branch, self.shortcut = branch, shortcut or nn.Identity()
        self.activation = nn.ReLU() if relu else nn.Identity()

    def forward(self, x):
        return self.activation(self.branch(x) + self.shortcut(x))


def inverted_residual(inputs, outputs, stride, expansion, size=3):
    wide = inputs * expansion
    body = nn.Sequential(
        *([convolution(inputs, wide, 1)] if expansion > 1 else []),
        convolution(wide, wide, size, stride, groups=wide),
        convolution(wide, outputs, 1, activation=None),
    )
    return Sum(body) if stride == 1 and inputs == outputs else body


def mobilenet_v2():
    layers, channels = [convolution(3, 32, 3, 2)], 32
    for expansion, outputs, count, stride in [
        (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)
    ]:
        for i in range(count):
            layers.append(inverted_residual(channels, outputs, stride if i == 0 else 1, expansion))
            channels = outputs
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, 1000)]
    return nn.Sequential(*layers, convolution(channels, 1280, 1), *head)


def basic_block(inputs, outputs, stride):
    body = nn.Sequential(
        convolution(inputs, outputs, 3, stride, activation=nn.ReLU), convolution(outputs, outputs, activation=None)
    )
    same = stride == 1 and inputs == outputs
    return Sum(body, None if same else convolution(inputs, outputs, 1, stride, activation=None), relu=True)


def resnet(stem, widths, blocks, classes):
    layers, channels = list(stem), widths[0]
    for stage, width in enumerate(widths):
        for i in range(blocks):
            layers.append(basic_block(channels, width, 2 if i == 0 and stage > 0 else 1))
            channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


def resnet18():
    stem = [convolution(3, 64, 7, 2, activation=nn.ReLU), nn.MaxPool2d(3, 2, 1)]
    return resnet(stem, [64, 128, 256, 512], 2, 1000)


def resnet8():
    return resnet([convolution(3, 16, activation=nn.ReLU)], [16, 32, 64], 1, 10)


class Squeezed(nn.Module):
    """x times a weight of each channel that is computed from the channels' means."""

    def __init__(self, channels, narrow):
        super().__init__()
        self.weights = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, narrow, 1), nn.ReLU(), nn.Conv2d(narrow, channels, 1),
            nn.Hardsigmoid(),
        )

    def forward(self, x):
        return x * self.weights(x)


def whole(value):
    """The next multiple of 8 that is not a tenth below."""
    rounded = max(8, int(value + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * value else rounded


def mobilenet_v3_small():
    layers, channels = [convolution(3, 16, 3, 2, activation=nn.Hardswish)], 16
    for size, wide, outputs, squeezes, activation, stride in [
        (3, 16, 16, True, nn.ReLU, 2), (3, 72, 24, False, nn.ReLU, 2), (3, 88, 24, False, nn.ReLU, 1),
        (5, 96, 40, True, nn.Hardswish, 2), (5, 240, 40, True, nn.Hardswish, 1), (5, 240, 40, True, nn.Hardswish, 1),
        (5, 120, 48, True, nn.Hardswish, 1), (5, 144, 48, True, nn.Hardswish, 1), (5, 288, 96, True, nn.Hardswish, 2),
        (5, 576, 96, True, nn.Hardswish, 1), (5, 576, 96, True, nn.Hardswish, 1),
    ]:
        body = nn.Sequential(
            *([convolution(channels, wide, 1, activation=activation)] if wide != channels else []),
            convolution(wide, wide, size, stride, groups=wide, activation=activation),
            *([Squeezed(wide, whole(wide / 4))] if squeezes else []),
            convolution(wide, outputs, 1, activation=None),
        )
        layers.append(Sum(body) if stride == 1 and channels == outputs else body)
        channels = outputs
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(576, 1024), nn.Hardswish(), nn.Linear(1024, 1000)]
    return nn.Sequential(*layers, convolution(channels, 576, 1, activation=nn.Hardswish), *head)


def efficientnet_lite0():
    layers, channels = [convolution(3, 32, 3, 2)], 32
    for expansion, outputs, count, stride, size in [
        (1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3), (6, 112, 3, 1, 5), (6, 192, 4, 2, 5),
        (6, 320, 1, 1, 3),
    ]:
        for i in range(count):
            layers.append(inverted_residual(channels, outputs, stride if i == 0 else 1, expansion, size))
            channels = outputs
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, 1000)]
    return nn.Sequential(*layers, convolution(channels, 1280, 1), *head)


def ds_cnn():
    """Key words in 49 frames of 10 coefficients, as MLPerf Tiny has it."""
    layers = [nn.Conv2d(1, 64, (10, 4), 2, (5, 1), bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    for _ in range(4):
        layers += [convolution(64, 64, 3, groups=64, activation=nn.ReLU), convolution(64, 64, 1, activation=nn.ReLU)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 12))


def autoencoder():
    """Of 640 numbers of sound, as MLPerf Tiny has it."""
    layers, width = [], 640
    for outputs in [128] * 4 + [8] + [128] * 4:
        layers += [nn.Linear(width, outputs), nn.BatchNorm1d(outputs), nn.ReLU()]
        width = outputs
    return nn.Sequential(*layers, nn.Linear(width, 640))


# Name: how it is made, the shape of a sample.
NETWORKS = {
    "mobilenet_v2": (mobilenet_v2, (3, 224, 224)),
    "mobilenet_v3_small": (mobilenet_v3_small, (3, 224, 224)),
    "efficientnet_lite0": (efficientnet_lite0, (3, 224, 224)),
    "resnet18": (resnet18, (3, 224, 224)),
    "resnet8": (resnet8, (3, 32, 32)),
    "ds_cnn": (ds_cnn, (1, 49, 10)),
    "autoencoder": (autoencoder, (640,)),
}
