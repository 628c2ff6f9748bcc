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


def inverted_residual(inputs, outputs, stride, expansion):
    wide = inputs * expansion
    body = nn.Sequential(
        *([convolution(inputs, wide, 1)] if expansion > 1 else []),
        convolution(wide, wide, 3, stride, groups=wide),
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


# Name: how it is made, the size of its images.
NETWORKS = {"mobilenet_v2": (mobilenet_v2, 224), "resnet18": (resnet18, 224), "resnet8": (resnet8, 32)}
