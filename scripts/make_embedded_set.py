#!/usr/bin/env python3
"""Draws the data set that the command line program carries from the whole of Fashion-MNIST.

    python3 scripts/make_embedded_set.py [SOURCE] [TARGET]

SOURCE is a directory with the four original files (Debian's package dataset-fashion-mnist puts them
into /usr/share/datasets/fashion-mnist, the default); TARGET is cli/data by default. 5,000 training
images are drawn from the training set and 1,000 test images from the test set, as many of each of the
10 classes, and keep the order in which they stood. The same source and the same zlib give the same
bytes.
"""

import gzip
import random
import struct
import sys
from pathlib import Path

CLASSES = 10
SEED = 20170825
SPLITS = (("train", 5000), ("t10k", 1000))
IMAGES_MAGIC = 0x0803
LABELS_MAGIC = 0x0801


def read_images(path):
    """The images of an IDX file as a list of byte strings, and their height and width."""
    content = gzip.decompress(path.read_bytes())
    magic, count, height, width = struct.unpack_from(">4I", content)
    size = height * width
    if magic != IMAGES_MAGIC or len(content) != 16 + count * size:
        sys.exit(f"{path}: not an IDX file of images")
    return [content[16 + i * size : 16 + (i + 1) * size] for i in range(count)], height, width


def read_labels(path):
    """The labels of an IDX file as a byte string."""
    content = gzip.decompress(path.read_bytes())
    magic, count = struct.unpack_from(">2I", content)
    if magic != LABELS_MAGIC or len(content) != 8 + count:
        sys.exit(f"{path}: not an IDX file of labels")
    return content[8:]


def write(path, content):
    """Writes `content` gzipped, without a name or a time in the header."""
    with open(path, "wb") as file:
        with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=file, mtime=0) as packed:
            packed.write(content)


def draw(labels, count, generator):
    """`count` indices into `labels`, equally many of each class, in rising order."""
    chosen = []
    for label in range(CLASSES):
        members = [i for i, found in enumerate(labels) if found == label]
        chosen += generator.sample(members, count // CLASSES)
    return sorted(chosen)


def main():
    source = Path(sys.argv[1] if len(sys.argv) > 1 else "/usr/share/datasets/fashion-mnist")
    target = Path(sys.argv[2] if len(sys.argv) > 2 else Path(__file__).resolve().parent.parent / "cli/data")
    target.mkdir(parents=True, exist_ok=True)
    generator = random.Random(SEED)
    for split, count in SPLITS:
        images_name = f"{split}-images-idx3-ubyte.gz"
        labels_name = f"{split}-labels-idx1-ubyte.gz"
        images, height, width = read_images(source / images_name)
        labels = read_labels(source / labels_name)
        if len(images) != len(labels):
            sys.exit(f"{source}: {len(images)} {split} images but {len(labels)} labels")
        chosen = draw(labels, count, generator)
        header = struct.pack(">4I", IMAGES_MAGIC, count, height, width)
        write(target / images_name, header + b"".join(images[i] for i in chosen))
        header = struct.pack(">2I", LABELS_MAGIC, count)
        write(target / labels_name, header + bytes(labels[i] for i in chosen))


if __name__ == "__main__":
    main()
