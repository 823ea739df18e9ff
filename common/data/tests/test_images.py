"""Image sources: the same numbers wherever the pixels lie and whatever computes them."""

import numpy as np
import pytest
import torch
import torchvision.transforms.functional as TF
from PIL import Image
from torchvision.transforms import InterpolationMode

from common.data import cached_images, disk_images, host_batch
from common.data.augment import Draw, draw_batch
from common.data.cached_images import CachedImages, read_pixels
from common.data.images import open_images
from common.data.pixels import normalization_table, transform_batch
from common.data.request import Request
from common.errors import UserError
from common.recipe import Augment
from common.streams import Stream
from common.types import Samples

HEIGHT, WIDTH = 40, 18
AUGMENT = Augment(pad=4)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """Twelve JPEGs of different sizes, with unhandy names."""
    folder = tmp_path_factory.mktemp("own images ä 人")
    rng = np.random.default_rng(3)
    names = []
    for number in range(12):
        size = (int(rng.integers(9, 60)), int(rng.integers(9, 90)))
        coarse = Image.fromarray(rng.integers(0, 256, (4, 3, 3), dtype=np.uint8))
        name = folder / f"{number:02d} persönlich 図.jpg"
        coarse.resize(size, Image.Resampling.BICUBIC).save(name, quality=90)
        names.append(str(name))
    return samples_of(names)


def samples_of(names):
    empty = np.zeros(len(names), np.int64)
    return Samples(np.array([str(name) for name in names], object), empty, empty)


def source(samples, kind, **changes):
    return open_images(samples, HEIGHT, WIDTH, AUGMENT, CPU, kind, **{"workers": 0, **changes})


def requests(samples, seed, views=2, batch=7, count=3, augment=AUGMENT):
    """Views with different images, as partner images are."""
    stream, rng = Stream(seed), np.random.default_rng(seed)
    return [
        Request(
            rng.integers(0, len(samples), (batch, views)),
            tuple(draw_batch(stream, batch, HEIGHT, WIDTH, augment) for _ in range(views)),
        )
        for _ in range(count)
    ]


def assert_same_batches(ours, theirs):
    ours, theirs = list(ours), list(theirs)
    assert len(ours) == len(theirs) > 0
    for a, b in zip(ours, theirs, strict=True):
        assert len(a) == len(b) > 0
        for x, y in zip(a, b, strict=True):
            assert x.dtype == y.dtype == torch.float32
            assert x.is_contiguous()
            assert torch.equal(x, y)


def by_torchvision(path, draw, row):
    """The transform in torchvision's functions, erased as the papers' code does."""
    image = TF.resize(Image.open(path).convert("RGB"), [HEIGHT, WIDTH], InterpolationMode.BICUBIC)
    if draw is not None:
        image = TF.hflip(image) if draw.flip[row] else image
        image = TF.pad(image, AUGMENT.pad)
        image = TF.crop(image, int(draw.top[row]), int(draw.left[row]), HEIGHT, WIDTH)
    tensor = TF.normalize(TF.to_tensor(image), [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    if draw is not None:
        top, left, height, width = map(int, draw.box[row])
        for channel, value in enumerate((0.485, 0.456, 0.406)):
            tensor[channel, top : top + height, left : left + width] = value
    return tensor


@pytest.mark.parametrize("kind", ["host", "disk"])
def test_training_batches_equal_torchvision_bit_by_bit(samples, kind):
    asked = requests(samples, seed=5)
    expected = [
        tuple(
            torch.stack(
                [
                    by_torchvision(samples.paths[index], draw, row)
                    for row, index in enumerate(request.indices[:, view])
                ]
            )
            for view, draw in enumerate(request.draws)
        )
        for request in asked
    ]

    assert_same_batches(source(samples, kind).batches(asked), expected)


@pytest.mark.parametrize("kind", ["host", "disk"])
def test_test_batches_equal_torchvision_bit_by_bit(samples, kind):
    expected = torch.stack([by_torchvision(path, None, 0) for path in samples.paths])

    asked = [Request(np.arange(len(samples))[:, None], None)]

    assert_same_batches(source(samples, kind).batches(asked), [(expected,)])


@pytest.mark.parametrize("seed", range(5))
def test_cache_and_files_give_the_same_batches(samples, seed):
    asked = requests(samples, seed, views=1 + seed % 3)

    assert_same_batches(
        source(samples, "host").batches(asked), source(samples, "disk").batches(asked)
    )


@pytest.mark.parametrize("seed", range(10))
def test_compiled_and_tensor_form_give_the_same_bits(seed):
    pixels = torch.randint(
        256, (9, 3, HEIGHT, WIDTH), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)
    )
    draw = draw_batch(Stream(seed), 20, HEIGHT, WIDTH, AUGMENT)
    index = np.random.default_rng(seed).integers(0, 9, 20)

    for drawn in (draw, None):
        ours = host_batch.host_batch(pixels, index, drawn, AUGMENT.pad)
        assert torch.equal(ours, transform_batch(pixels[index], drawn, AUGMENT.pad))


def test_batches_are_the_same_without_numba(samples, monkeypatch, caplog):
    asked = requests(samples, seed=1)
    expected = list(source(samples, "host").batches(asked))

    monkeypatch.setattr(host_batch, "AVAILABLE", False)
    host_batch._report_missing.cache_clear()

    assert_same_batches(source(samples, "host").batches(asked), expected)
    assert "numba cannot be imported" in caplog.text


def test_two_worker_processes_give_the_same_batches_in_order(samples):
    asked = requests(samples, seed=2, count=6)

    assert_same_batches(
        source(samples, "disk", workers=2).batches(asked),
        source(samples, "disk").batches(asked),
    )


@pytest.mark.parametrize("kind", ["host", "disk"])
def test_few_requests_are_taken_ahead(samples, kind):
    taken = []

    def asked():
        for request in requests(samples, seed=4, count=12):
            taken.append(request)
            yield request

    batches = source(samples, kind).batches(asked())
    next(batches)

    assert len(taken) <= 2


def test_worker_processes_take_at_most_two_requests_each_ahead(samples):
    taken = []

    def asked():
        for request in requests(samples, seed=4, count=12):
            taken.append(request)
            yield request

    batches = source(samples, "disk", workers=2).batches(asked())
    next(batches)

    assert len(taken) <= 1 + 2 * 2
    assert len(list(batches)) == 11


@pytest.mark.parametrize(("batches", "workers"), [(99, 3), (7, 2), (2, 0)])
def test_no_more_workers_are_started_than_shared_memory_has_room_for(
    samples, monkeypatch, caplog, batches, workers
):
    asked = requests(samples, seed=2, views=2)
    size = asked[0].indices.size * 3 * HEIGHT * WIDTH * 4
    monkeypatch.setattr(disk_images, "shared_room", lambda: batches * size)
    started = []
    monkeypatch.setattr(disk_images, "DataLoader", lambda *_, **how: started.append(how) or [])

    assert list(source(samples, "disk", workers=3).batches(asked)) == []

    assert [how["num_workers"] for how in started] == [workers]
    assert ("--shm-size" in caplog.text) == (workers < 3)


def test_reading_files_leaves_the_global_generator_alone(samples):
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)

    list(source(samples, "disk").batches(requests(samples, seed=0)))

    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(("top", "left"), [(0, 0), (4, 4), (8, 8), (0, 8), (8, 0)])
@pytest.mark.parametrize("flip", [False, True])
def test_a_crop_shows_the_shifted_image_on_black(top, left, flip):
    pixels = torch.randint(1, 256, (1, 3, HEIGHT, WIDTH), dtype=torch.uint8)
    draw = Draw(*(np.array([value]) for value in (flip, top, left)), np.zeros((1, 4), np.int64))
    padded = np.zeros((3, HEIGHT + 8, WIDTH + 8), np.uint8)
    padded[:, 4:-4, 4:-4] = pixels[0].flip(2) if flip else pixels[0]
    window = padded[:, top : top + HEIGHT, left : left + WIDTH]
    expected = np.stack([normalization_table().numpy()[c][window[c]] for c in range(3)])

    ours = host_batch.host_batch(pixels, np.array([0]), draw, pad=4)

    assert torch.equal(ours[0], torch.from_numpy(expected))


def test_an_erased_box_holds_the_three_constants_and_nothing_else_changes():
    pixels = torch.zeros(1, 3, HEIGHT, WIDTH, dtype=torch.uint8)
    none = draw_batch(Stream(0), 1, HEIGHT, WIDTH, Augment(flip=0, pad=0, erase=0))
    box = Draw(none.flip, none.top, none.left, np.array([[3, 2, 5, 7]]))

    plain = host_batch.host_batch(pixels, np.array([0]), none, pad=0)[0]
    erased = host_batch.host_batch(pixels, np.array([0]), box, pad=0)[0]

    inside = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
    inside[3:8, 2:9] = True
    for channel, value in enumerate((0.485, 0.456, 0.406)):
        assert (erased[channel][inside] == np.float32(value)).all()
    assert torch.equal(erased[:, ~inside], plain[:, ~inside])


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 7), (17, 5)])
def test_odd_and_tiny_sizes_give_the_same_bits_everywhere(samples, height, width):
    augment = Augment(pad=10)
    draws = (draw_batch(Stream(1), 12, height, width, augment),)
    asked = [Request(np.arange(12)[:, None], draws)]

    ours, theirs = (
        open_images(samples, height, width, augment, CPU, kind, workers=0).batches(asked)
        for kind in ("host", "disk")
    )

    assert_same_batches(ours, theirs)


def test_normalization_follows_the_order_of_operations_in_float32():
    for channel, (mean, std) in enumerate(
        zip((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), strict=True)
    ):
        for byte in range(256):
            unit = np.float32(byte) / np.float32(255)
            expected = (unit - np.float32(mean)) / np.float32(std)
            assert normalization_table()[channel, byte].item() == expected.item()


def test_gray_palette_cmyk_and_transparent_images_become_rgb(tmp_path):
    rng = np.random.default_rng(0)
    rgb = Image.fromarray(rng.integers(0, 256, (20, 10, 3), dtype=np.uint8))
    names = []
    for mode, suffix in [
        ("L", "png"),
        ("P", "png"),
        ("CMYK", "jpg"),
        ("RGBA", "png"),
        ("1", "png"),
    ]:
        names.append(tmp_path / f"{mode}.{suffix}")
        rgb.convert(mode).save(names[-1])
    ours = read_pixels(samples_of(names), 20, 10, CPU, workers=1)

    for name, pixels in zip(names, ours, strict=True):
        expected = np.array(Image.open(name).convert("RGB"))
        assert torch.equal(pixels, torch.from_numpy(expected).permute(2, 0, 1))


def test_of_16_bit_images_the_upper_8_bits_count(tmp_path):
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    Image.fromarray(values).save(tmp_path / "deep.png")

    pixels = read_pixels(samples_of([tmp_path / "deep.png"]), 256, 256, CPU, workers=1)

    assert torch.equal(pixels[0, 0], torch.from_numpy(values >> 8).to(torch.uint8))


def test_a_rotation_tag_is_not_obeyed(tmp_path):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 10, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turned by 90 degrees
    image.save(tmp_path / "turned.png", exif=exif)

    pixels = read_pixels(samples_of([tmp_path / "turned.png"]), 20, 10, CPU, workers=1)

    assert torch.equal(pixels[0], torch.from_numpy(np.array(image)).permute(2, 0, 1))


def broken(folder, how):
    name = folder / f"{how}.jpg"
    whole = folder / "whole.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 40, 3), dtype=np.uint8)).save(
        whole
    )
    if how == "truncated":
        name.write_bytes(whole.read_bytes()[:500])
    elif how == "empty":
        name.write_bytes(b"")
    elif how == "text":
        name.write_text("no image")
    elif how == "float":
        name = name.with_suffix(".tiff")
        Image.fromarray(np.zeros((4, 4), np.float32)).save(name)
    return [whole, name]


@pytest.mark.parametrize("how", ["truncated", "empty", "text", "missing", "float"])
@pytest.mark.parametrize(("kind", "workers"), [("host", 1), ("disk", 0), ("disk", 1)])
def test_an_unreadable_image_stops_with_its_name(tmp_path, how, kind, workers):
    names = broken(tmp_path, how)
    asked = [Request(np.array([[0], [1]]), None)] * 3

    with pytest.raises(UserError) as caught:
        list(source(samples_of(names), kind, workers=workers).batches(asked))

    assert f"{names[1]} cannot be read as an image" in str(caught.value)
    assert "--skip-bad-images" not in str(caught.value), "not every command has this option"
    assert "Traceback" not in str(caught.value)


@pytest.mark.parametrize(("times", "kept"), [(3, True), (2, False)])
def test_auto_keeps_images_where_there_is_room_for_twice_as_many(samples, monkeypatch, times, kept):
    needed = len(samples) * 3 * HEIGHT * WIDTH
    monkeypatch.setattr("common.data.images.host_room", lambda: times * needed)

    assert isinstance(source(samples, "auto"), CachedImages) == kept


def test_asking_for_a_cache_without_room_says_so_before_reading(samples, monkeypatch):
    monkeypatch.setattr("common.data.images.host_room", lambda: 1000)

    with pytest.raises(UserError, match="--images disk"):
        source(samples, "host")


def test_images_read_block_by_block_are_those_of_the_files_and_told_as_they_come(
    samples, monkeypatch
):
    monkeypatch.setattr(cached_images, "BLOCK", 5)
    seen = []

    ours = source(samples, "host", progress=lambda done, total: seen.append((done, total)))

    assert seen == [(5, 12), (10, 12), (12, 12)]
    every = [Request(np.arange(12)[:, None], None)]
    assert_same_batches(ours.batches(every), source(samples, "disk").batches(every))


def test_an_index_outside_the_split_is_an_error(samples):
    for index in (-1, 12):
        with pytest.raises(IndexError):
            list(source(samples, "host").batches([Request(np.array([[index]]), None)]))


@pytest.mark.gpu
@pytest.mark.parametrize("kind", ["device", "host", "disk"])
@pytest.mark.parametrize("views", [1, 2])
def test_batches_on_the_gpu_equal_those_on_the_cpu(samples, kind, views):
    on = torch.device("cuda")
    asked = requests(samples, seed=8, views=views)
    asked.append(Request(np.arange(12)[:, None], None))

    ours = open_images(samples, HEIGHT, WIDTH, AUGMENT, on, kind, workers=0).batches(asked)
    theirs = source(samples, "disk").batches(asked)

    assert_same_batches([tuple(view.cpu() for view in views) for views in ours], theirs)
