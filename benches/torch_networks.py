"""The networks of `localgrad`'s catalogue in PyTorch, layer for layer."""

import torch.nn.functional as F
from torch import nn


def conv_bn(inputs, outputs, kernel, stride=1, groups=1):
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(outputs)]


class Residual(nn.Module):
    """relu(main(x) + shortcut(x)), with a projection where the shape changes."""

    def __init__(self, main, inputs, outputs, stride, projection=None):
        super().__init__()
        self.main = nn.Sequential(*main)
        same = stride == 1 and inputs == outputs
        projection = projection or conv_bn(inputs, outputs, 1, stride)
        self.shortcut = nn.Identity() if same else nn.Sequential(*projection)

    def forward(self, x):
        return F.relu(self.main(x) + self.shortcut(x), inplace=True)


def basic(inputs, width, stride):
    relu = nn.ReLU(inplace=True)
    main = [*conv_bn(inputs, width, 3, stride), relu, *conv_bn(width, width, 3)]
    return Residual(main, inputs, width, stride), width


def bottleneck(inputs, inner, stride):
    relu = nn.ReLU(inplace=True)
    main = [*conv_bn(inputs, inner, 1), relu, *conv_bn(inner, inner, 3, stride), relu]
    return Residual([*main, *conv_bn(inner, 4 * inner, 1)], inputs, 4 * inner, stride), 4 * inner


def stages(unit, inputs, widths, counts):
    """Units of every stage; all stages but the first begin with stride 2."""
    layers = []
    for stage, (width, count) in enumerate(zip(widths, counts)):
        for position in range(count):
            layer, inputs = unit(inputs, width, 2 if stage > 0 and position == 0 else 1)
            layers.append(layer)
    return layers, inputs


def classifier(inputs, classes):
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes)]


def cifar_resnet(depth, channels, classes):
    """ResNet-20, 32, …: three stages of basic units, 16 to 64 channels."""
    units, last = stages(basic, 16, [16, 32, 64], [(depth - 2) // 6] * 3)
    stem = [*conv_bn(channels, 16, 3), nn.ReLU(inplace=True)]
    return nn.Sequential(*stem, *units, *classifier(last, classes))


def imagenet_resnet(unit, counts, channels, side, classes):
    """ResNet-18, 50, …: four stages, 64 to 512 inner channels; a small stem for small images."""
    small = side <= 64
    stem = [*conv_bn(channels, 64, 3 if small else 7, 1 if small else 2), nn.ReLU(inplace=True)]
    if not small:
        stem.append(nn.MaxPool2d(3, 2, 1))
    units, last = stages(unit, 64, [64, 128, 256, 512], counts)
    return nn.Sequential(*stem, *units, *classifier(last, classes))


def vgg11_bn(channels, side, classes):
    """With batch norm and, for small images, one linear layer."""
    if side > 64:
        raise SystemExit("vgg11_bn is compared on images of at most 64 pixels")
    layers, inputs = [], channels
    for stage, count in enumerate([1, 1, 2, 2, 2]):
        for _ in range(count):
            width = 64 << min(stage, 3)
            layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            inputs = width
        if stage < 4 or side >= 32:
            layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, *classifier(inputs, classes))


class InvertedResidual(nn.Module):
    """1x1 to more channels, 3x3 depthwise, 1x1 to fewer; the input is added where the shape stays."""

    def __init__(self, inputs, width, stride, expansion):
        super().__init__()
        inner = inputs * expansion
        grow = [*conv_bn(inputs, inner, 1), nn.ReLU6(inplace=True)] if expansion > 1 else []
        depthwise = [*conv_bn(inner, inner, 3, stride, groups=inner), nn.ReLU6(inplace=True)]
        self.main = nn.Sequential(*grow, *depthwise, *conv_bn(inner, width, 1))
        self.adds = stride == 1 and inputs == width

    def forward(self, x):
        return x + self.main(x) if self.adds else self.main(x)


def mobilenet_v2(channels, side, classes):
    small = side <= 64
    layers = [*conv_bn(channels, 32, 3, 1 if small else 2), nn.ReLU6(inplace=True)]
    inputs = 32
    table = [(1, 16, 1, 1), (6, 24, 2, 1 if small else 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1)]
    for expansion, width, count, first_stride in [*table, (6, 160, 3, 2), (6, 320, 1, 1)]:
        for position in range(count):
            layers.append(InvertedResidual(inputs, width, first_stride if position == 0 else 1, expansion))
            inputs = width
    layers += [*conv_bn(inputs, 1280, 1), nn.ReLU6(inplace=True)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(1280, classes))


class SqueezeExcite(nn.Module):
    """A gate on each channel, from the means over the image."""

    def __init__(self, channels, squeezed, inner, outer):
        super().__init__()
        fc1, fc2 = nn.Conv2d(channels, squeezed, 1), nn.Conv2d(squeezed, channels, 1)
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), fc1, inner, fc2, outer)

    def forward(self, x):
        return x * self.gate(x)


class DropPath(nn.Module):
    """Leaves out whole samples."""

    def __init__(self, probability):
        super().__init__()
        self.keep = 1 - probability

    def forward(self, x):
        if self.keep == 1 or not self.training:
            return x
        return x * x.new_empty(x.shape[0], 1, 1, 1).bernoulli_(self.keep).div_(self.keep)


class MobileBlock(nn.Module):
    """1x1 to more channels, depthwise, a gate, 1x1 to fewer; the input is added where the shape stays."""

    def __init__(self, inputs, kernel, inner, width, squeezed, stride, activation, gate, drop_path=0.0, **norm):
        super().__init__()

        def conv(inputs, outputs, kernel, stride=1, groups=1):
            plain, _ = conv_bn(inputs, outputs, kernel, stride, groups)
            return [plain, nn.BatchNorm2d(outputs, **norm)]

        grow = [*conv(inputs, inner, 1), activation] if inner != inputs else []
        layers = [*grow, *conv(inner, inner, kernel, stride, inner), activation]
        if squeezed > 0:
            layers.append(SqueezeExcite(inner, squeezed, *gate))
        self.adds = stride == 1 and inputs == width
        layers += conv(inner, width, 1)
        self.main = nn.Sequential(*layers, *([DropPath(drop_path)] if self.adds else []))

    def forward(self, x):
        return x + self.main(x) if self.adds else self.main(x)


# Kernel, inner channels, width, channels squeezed to, activation and stride of each unit.
V3_SMALL = [
    (3, 16, 16, 8, nn.ReLU, 2),
    (3, 72, 24, 0, nn.ReLU, 2),
    (3, 88, 24, 0, nn.ReLU, 1),
    (5, 96, 40, 24, nn.Hardswish, 2),
    *[(5, 240, 40, 64, nn.Hardswish, 1)] * 2,
    (5, 120, 48, 32, nn.Hardswish, 1),
    (5, 144, 48, 40, nn.Hardswish, 1),
    (5, 288, 96, 72, nn.Hardswish, 2),
    *[(5, 576, 96, 144, nn.Hardswish, 1)] * 2,
]


def mobilenet_v3_small(channels, side, classes):
    small, norm = side <= 64, {"eps": 1e-3, "momentum": 0.01}
    stem, _ = conv_bn(channels, 16, 3, 1 if small else 2)
    layers = [stem, nn.BatchNorm2d(16, **norm), nn.Hardswish(inplace=True)]
    inputs = 16
    for number, (kernel, inner, width, squeezed, activation, stride) in enumerate(V3_SMALL):
        gate = (nn.ReLU(inplace=True), nn.Hardsigmoid())
        stride = 1 if small and number == 0 else stride
        unit = MobileBlock(inputs, kernel, inner, width, squeezed, stride, activation(inplace=True), gate, **norm)
        layers.append(unit)
        inputs = width
    conv, _ = conv_bn(inputs, 576, 1)
    layers += [conv, nn.BatchNorm2d(576, **norm), nn.Hardswish(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(
        *layers, nn.Linear(576, 1024), nn.Hardswish(inplace=True), nn.Dropout(0.2), nn.Linear(1024, classes)
    )


def efficientnet(channels, side, classes, activation, excites):
    """B0, and Lite0, which has another activation and no gates."""
    small = side <= 64
    layers = [*conv_bn(channels, 32, 3, 1 if small else 2), activation(inplace=True)]
    table = [(1, 3, 1, 16, 1), (6, 3, 1 if small else 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3)]
    table += [(6, 5, 1, 112, 3), (6, 5, 2, 192, 4), (6, 3, 1, 320, 1)]
    inputs, number, count = 32, 0, sum(row[-1] for row in table)
    for expansion, kernel, first_stride, width, units in table:
        for position in range(units):
            stride, squeezed = first_stride if position == 0 else 1, inputs // 4 if excites else 0
            inner, gate = expansion * inputs, (activation(inplace=True), nn.Sigmoid())
            drop_path = 0.2 * number / count
            unit = (inputs, kernel, inner, width, squeezed, stride, activation(inplace=True), gate, drop_path)
            layers.append(MobileBlock(*unit))
            inputs, number = width, number + 1
    layers += [*conv_bn(inputs, 1280, 1), activation(inplace=True)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(1280, classes))


def mlperf_resnet8(channels, classes):
    """Ways around are convolutions with a bias, and without batch norm."""

    def unit(inputs, width, stride):
        main = [*conv_bn(inputs, width, 3, stride), nn.ReLU(inplace=True), *conv_bn(width, width, 3)]
        return Residual(main, inputs, width, stride, [nn.Conv2d(inputs, width, 1, stride)]), width

    units, last = stages(unit, 16, [16, 32, 64], [1, 1, 1])
    stem = [*conv_bn(channels, 16, 3), nn.ReLU(inplace=True)]
    return nn.Sequential(*stem, *units, *classifier(last, classes))


def mlperf_ds_cnn(channels, classes):
    """Depthwise and 1x1 convolutions over 49 steps of ten coefficients."""
    relu = nn.ReLU(inplace=True)
    stem = nn.Conv2d(channels, 64, (10, 4), 2, (5, 1), bias=False)
    layers = [stem, nn.BatchNorm2d(64), relu, nn.Dropout(0.2)]
    for _ in range(4):
        layers += [*conv_bn(64, 64, 3, groups=64), relu, *conv_bn(64, 64, 1), relu]
    return nn.Sequential(*layers, nn.Dropout(0.4), *classifier(64, classes))


def mlperf_autoencoder(image, classes):
    """Dense layers with batch norm; without the biases that it takes away."""
    layers, inputs = [nn.Flatten()], image[0] * image[1] * image[2]
    for width in [128, 128, 128, 128, 8, 128, 128, 128, 128]:
        layers += [nn.Linear(inputs, width, bias=False), nn.BatchNorm1d(width), nn.ReLU(inplace=True)]
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, classes))


def temporal(kernels, dilation, dropout):
    """A unit for windows [C, 1, T]: convolutions along time, each with batch norm, and a way around."""

    def unit(inputs, width, stride):
        main, channels = [], inputs
        for kernel in kernels:
            padding = (0, dilation * (kernel // 2))
            conv = nn.Conv2d(channels, width, (1, kernel), (1, stride), padding, (1, dilation), bias=False)
            main += [conv, nn.BatchNorm2d(width), nn.ReLU(inplace=True), nn.Dropout(dropout)]
            channels, stride = width, 1
        return Residual(main[:-2], inputs, width, stride), width

    return unit


def resnet1d(channels, classes):
    """Wang et al. 2017."""
    units, last = stages(temporal([7, 5, 3], 1, 0.0), channels, [64], [1])
    more, last = stages(temporal([7, 5, 3], 1, 0.0), last, [128], [2])
    return nn.Sequential(*units, *more, *classifier(last, classes))


def tcn(channels, classes):
    """Bai et al. 2018, with batch norm."""
    units, inputs = [], channels
    for number in range(6):
        unit, inputs = temporal([3, 3], 1 << number, 0.2)(inputs, 64, 1)
        units.append(unit)
    return nn.Sequential(*units, *classifier(inputs, classes))


class Text(nn.Module):
    """Words in the place of channels: [N, T] to [N, C, 1, T]."""

    def __init__(self, vocabulary, channels):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, channels)

    def forward(self, tokens):
        return self.embedding(tokens).transpose(1, 2).unsqueeze(2)


def text_tcn(vocabulary, classes):
    """The same for texts."""
    return nn.Sequential(Text(vocabulary, 64), tcn(64, classes))


def network(name, image, classes):
    """The network that `localgrad --model name` trains on images of (channels, height, width), or on
    {"tokens": {"length": ..., "vocabulary": ...}}."""
    if name == "text_tcn":
        return text_tcn(image["tokens"]["vocabulary"], classes)
    channels, side = image[0], max(image[1:])
    deep = {"resnet18": (basic, [2, 2, 2, 2]), "resnet34": (basic, [3, 4, 6, 3]), "resnet50": (bottleneck, [3, 4, 6, 3])}
    if name in deep:
        return imagenet_resnet(*deep[name], channels, side, classes)
    if name in ("resnet8", "resnet14", "resnet20", "resnet26", "resnet32", "resnet44", "resnet56", "resnet110"):
        return cifar_resnet(int(name.removeprefix("resnet")), channels, classes)
    if name == "mlperf_autoencoder":
        return mlperf_autoencoder(image, classes)
    if name in ("mlperf_resnet8", "mlperf_ds_cnn", "resnet1d", "tcn"):
        return globals()[name](channels, classes)
    if name in ("efficientnet_b0", "efficientnet_lite0"):
        excites = name == "efficientnet_b0"
        return efficientnet(channels, side, classes, nn.SiLU if excites else nn.ReLU6, excites)
    if name in ("vgg11_bn", "mobilenet_v2", "mobilenet_v3_small"):
        return globals()[name](channels, side, classes)
    raise SystemExit(f"{name} has no twin in PyTorch; add it to benches/torch_networks.py")
