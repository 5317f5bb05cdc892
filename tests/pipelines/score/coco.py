"""A small set in MS-COCO's own file format, and a generator's drawings for it."""

import json

import numpy as np

from stages import shapes
from stages.pictures import encode_png

PICTURES, EACH, SIDE = 24, 3, 32


def file_name(number):
    return f"COCO_val2014_{number:012d}.png"


def image_id(index):
    return 100 + 7 * index


def caption_id(index, number):
    return 5_000 + 10 * index + number


def build(folder):
    """Write val2014/ and captions_val2014.json; captions of picture i begin with its scene's."""
    pictures = folder / "val2014"
    pictures.mkdir(parents=True)
    images, annotations = [], []
    for index in range(PICTURES):
        scene = shapes.scene(1, index)
        name = file_name(image_id(index))
        (pictures / name).write_bytes(encode_png(shapes.draw(scene, SIDE)))
        images.append({"id": image_id(index), "file_name": name, "height": SIDE, "width": SIDE})
        annotations += [
            {"id": caption_id(index, number), "image_id": image_id(index),
             "caption": f"{scene.caption} number {index} {number}\n"}
            for number in range(EACH)
        ]  # fmt: skip
    write(folder, images, annotations)
    return folder


def write(folder, images, annotations):
    content = {"info": {}, "licenses": [], "images": images, "annotations": annotations}
    (folder / "captions_val2014.json").write_text(json.dumps(content))


def read(folder):
    found = json.loads((folder / "captions_val2014.json").read_text())
    return found["images"], found["annotations"]


def draw(folder, names, noise=0, seed=2):
    """Write a picture of another scene for each name."""
    rng = np.random.default_rng(seed)
    for index, name in enumerate(names):
        pixels = shapes.draw(shapes.scene(seed, index), SIDE).astype(int)
        pixels += rng.integers(-noise, noise + 1, pixels.shape)
        path = folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_png(pixels.clip(0, 255).astype(np.uint8)))
    return folder


def image_ids():
    return [image_id(index) for index in range(PICTURES)]
