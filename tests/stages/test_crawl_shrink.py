"""What is kept of a picture is what img2dataset's resizer would keep, byte for byte."""

import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from schemas.settings import CrawlSettings
from stages.crawl.shrink import Shrink
from tests.stages.formats import saved, shrunk
from tests.stages.hostile import bomb
from tests.stages.photographs import jpeg, photograph

SHORT = 96


def resized_by_img2dataset(data):
    from img2dataset.resizer import Resizer

    resizer = Resizer(
        image_size=SHORT,
        resize_mode="keep_ratio",
        resize_only_if_bigger=True,
        encode_quality=95,
        encode_format="jpg",
    )
    return resizer(io.BytesIO(data), None)


def sides():
    rng = np.random.default_rng(3)
    fixed = [(96, 96), (97, 96), (95, 300), (96, 97), (287, 400)]
    return fixed + [tuple(map(int, rng.integers(20, 900, 2))) for _ in range(20)]


@pytest.mark.parametrize("size", sides(), ids=str)
def test_a_jpeg_becomes_the_same_bytes_as_with_img2dataset(size):
    data = jpeg(photograph(1, *size))
    assert shrunk(data) == resized_by_img2dataset(data)


@pytest.mark.parametrize(
    ("kind", "mode"),
    [(kind, "RGB") for kind in ("PNG", "BMP", "GIF", "WEBP", "TIFF")]
    + [("JPEG", "L"), ("JPEG", "CMYK")],
)
def test_other_forms_become_the_same_bytes_as_with_img2dataset(kind, mode):
    data = saved(Image.fromarray(photograph(2, 240, 150)).convert(mode), kind)
    assert shrunk(data)[5] is None
    assert shrunk(data) == resized_by_img2dataset(data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not_an_image: "),
        (b"<html>", "not_an_image: "),
        (jpeg(photograph(6, 200, 200))[:3_000], "truncated: "),
        (saved(Image.fromarray(photograph(6, 200, 200)))[:3_000], "truncated: "),
        (saved(Image.fromarray(photograph(6, 300, 300))), "too_large: 300 x 300 pixels"),
        (jpeg(photograph(6, 300, 300)), "too_large: 300 x 300 pixels"),
        (bomb(20_000), "too_large: 400000000 pixels"),  # where Pillow itself looks no further
        (saved(Image.new("RGB", (66_000, 1))), "not_an_image: "),  # no JPEG is so wide
    ],
)
def test_what_cannot_be_kept_has_a_reason(data, reason):
    *nothing, error = shrunk(data, max_pixels=80_000)
    assert error.startswith(reason)
    assert nothing == [None] * 5


@pytest.mark.parametrize(
    ("size", "kept"),
    [((40, 30), (85, 64)), ((64, 30), (137, 64)), ((29, 70), (29, 70)), ((64, 200), (64, 200))],
)
def test_what_is_too_small_by_little_is_enlarged_if_asked(size, kept):
    """Sizes are width and height; of 30 pixels and more, short sides become 64."""
    shrink = Shrink(CrawlSettings(side=64, enlarge_from=30))
    data = saved(Image.fromarray(photograph(2, *size)), "PNG")
    image, *sides, error = shrink(io.BytesIO(data))
    assert error is None
    assert tuple(sides) == (*kept, *size)
    assert Image.open(io.BytesIO(image)).size == kept
    assert tuple(shrunk(data)[1:3]) == size  # not asked


def test_threads_do_not_disturb_each_other(capfd):
    files = [jpeg(photograph(seed, 200, 150)) for seed in range(4)]
    work = Shrink(CrawlSettings(side=64))
    alone = [work(io.BytesIO(data)) for data in files]
    with ThreadPoolExecutor(8) as threads:
        assert (
            list(threads.map(lambda n: work(io.BytesIO(files[n % 4])), range(400))) == alone * 100
        )
    print("still heard", flush=True)
    assert "still heard" in capfd.readouterr().out
