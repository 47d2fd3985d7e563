"""Sets that need no download: scikit-learn's digits, and shapes and textures drawn by numpy.

They make the notebooks and tests run anywhere in minutes. They are stand-ins: no number measured on them compares with
a paper's.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

from common.datacache import Rows, Source
from common.decoding import Row


def find_digits() -> dict[str, Source]:
    """scikit-learn's 1,797 8 x 8 digits, enlarged to 28 x 28 so that networks for MNIST take them."""
    return {"all": Source((), _digits, version="digits 1")}


def _digits() -> Rows:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    rows = []
    for i, (image, label) in enumerate(zip(bunch.images, bunch.target, strict=True)):
        small = Image.fromarray(np.round(image * (255 / 16)).astype(np.uint8))
        large = np.asarray(small.resize((28, 28), Image.Resampling.BILINEAR))
        rows.append(Row(f"digits row {i}", large[..., None], int(label)))
    return Rows(tuple("0123456789"), len(rows), rows)


# ---- shapes ----------------------------------------------------------------------------------------------------------

SHAPES = ("circle", "ellipse", "square", "rectangle", "triangle", "arrow", "pentagon", "hexagon", "star", "cross")
_SHAPES_N = {"train": 6000, "test": 1000}
_SIDE = 32


def find_shapes() -> dict[str, Source]:
    """Ten coloured figures on cluttered ground, 32 x 32 x 3, 6,000 to train and 1,000 to test, balanced."""
    return {
        split: Source((), _rows(SHAPES, n, _draw_shapes, (1, k)), "shapes 1")
        for k, (split, n) in enumerate(_SHAPES_N.items())
    }


def _rows(classes: tuple[str, ...], n: int, draw: Callable, stream: tuple[int, int]) -> Callable[[], Rows]:
    """Reader of a generated set: `draw(labels, rng)` gives images and masks (or None) for 250 labels at a time."""

    def read() -> Rows:
        rng = np.random.Generator(np.random.PCG64(stream))
        labels = np.arange(n) % len(classes)
        rows = []
        for start in range(0, n, 250):
            some = labels[start : start + 250]
            images, masks = draw(some, rng)
            for i, label in enumerate(some):
                rows.append(Row(f"row {start + i}", images[i], int(label), None if masks is None else masks[i]))
        return Rows(classes, n, rows, rows[0].mask is not None)

    return read


def _draw_shapes(labels: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, None]:
    """B x 32 x 32 x 3 uint8. Double precision throughout: the bytes must not depend on the platform."""
    n = len(labels)
    grid = np.arange(_SIDE) + 0.5
    y, x = grid[None, :, None], grid[None, None, :]

    # Ground: a linear gradient between two related colours, with strokes of other colours on it.
    ground, figure = _colours(n, rng)
    angle = rng.uniform(0, 2 * np.pi, n)[:, None, None]
    ramp = (np.cos(angle) * (x - 16) + np.sin(angle) * (y - 16)) / 32
    images = ground[:, None, None, :] + ramp[..., None] * rng.normal(0, 30, (n, 1, 1, 3))
    for _ in range(3):
        sdf = _stroke(x, y, rng.uniform(-4, 36, (n, 2)), rng.uniform(-4, 36, (n, 2)), rng.uniform(0.3, 1.0, n))
        colour = np.clip(ground + rng.normal(0, 35, (n, 3)), 0, 255)
        images = _paint(images, sdf, colour, 1.0)

    # The figure, in its own coordinates: shifted, turned, slightly stretched.
    radius = rng.uniform(8.0, 12.0, n)[:, None, None]
    centre = 16 + rng.uniform(-1, 1, (n, 2)) * (15.0 - radius[:, :, 0])
    turn = rng.uniform(-0.45, 0.45, n)[:, None, None]
    stretch = rng.uniform(0.94, 1.06, n)[:, None, None]
    dx, dy = x - centre[:, 0, None, None], y - centre[:, 1, None, None]
    u = (np.cos(turn) * dx + np.sin(turn) * dy) * stretch
    v = (-np.sin(turn) * dx + np.cos(turn) * dy) / stretch
    ratio = rng.uniform(0.62, 0.82, n)[:, None, None]
    sdf = np.empty((n, _SIDE, _SIDE))
    for label, name in enumerate(SHAPES):
        of = labels == label
        sdf[of] = _DISTANCE[name](u[of], v[of], radius[of], ratio[of])
    images = _paint(images, sdf, figure, rng.uniform(0.75, 1.0, n)[:, None, None])

    # One stroke in front, then sensor noise.
    sdf = _stroke(x, y, rng.uniform(0, 32, (n, 2)), rng.uniform(0, 32, (n, 2)), rng.uniform(0.2, 0.6, n))
    images = _paint(images, sdf, np.clip(ground + rng.normal(0, 35, (n, 3)), 0, 255), 1.0)
    images += rng.normal(0, 1, images.shape) * rng.uniform(4, 16, n)[:, None, None, None]
    return np.clip(np.rint(images), 0, 255).astype(np.uint8), None


def _colours(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Colours of ground and figure, n x 3 each, 0..255, always somewhat apart."""
    ground = rng.uniform(15, 125, (n, 3))
    # Any hue, but always towards light: as in MNIST, what is bright is the figure.
    return ground, np.minimum(ground + rng.uniform(30, 130, (n, 3)), 255)


def _paint(images: np.ndarray, sdf: np.ndarray, colour: np.ndarray, opacity) -> np.ndarray:
    """Cover where the signed distance (pixels) is negative; half a pixel of soft edge either side."""
    alpha = (np.clip(0.5 - sdf, 0, 1) * opacity)[..., None]
    return images * (1 - alpha) + colour[:, None, None, :] * alpha


def _stroke(x, y, a: np.ndarray, b: np.ndarray, half_width: np.ndarray) -> np.ndarray:
    """Signed distance to a line with round ends, from `a` to `b` (n x 2)."""
    a, d = a[:, :, None, None], (b - a)[:, :, None, None]
    t = ((x - a[:, 0]) * d[:, 0] + (y - a[:, 1]) * d[:, 1]) / (d[:, 0] ** 2 + d[:, 1] ** 2 + 1e-9)
    t = np.clip(t, 0, 1)
    return np.hypot(x - a[:, 0] - t * d[:, 0], y - a[:, 1] - t * d[:, 1]) - half_width[:, None, None]


def _sides(u, v, n: int) -> np.ndarray:
    """Projections on the normals of a regular polygon, n x B x H x W."""
    angles = 2 * np.pi * np.arange(n) / n
    return np.stack([np.cos(a) * u + np.sin(a) * v for a in angles])


def _polygon(n: int) -> Callable:
    # The apothem that gives every polygon the area of a circle of 0.88 radius: size must not give the class away.
    apothem = 0.88 * np.sqrt(np.pi / (n * np.tan(np.pi / n)))
    return lambda u, v, r, q: _sides(u, v, n).max(axis=0) - apothem * r


def _box(u, v, half_u, half_v) -> np.ndarray:
    return np.maximum(np.abs(u) - half_u, np.abs(v) - half_v)


def _arrow(u, v, r, q) -> np.ndarray:
    # A triangle that points to +u (normals at 60, 180 and 300 degrees) on a short shaft.
    head = _sides(-(u - 0.25 * r), v, 3).max(axis=0) - 0.42 * r
    return np.minimum(head, _box(u + 0.5 * r, v, 0.4 * r, 0.25 * r))


# Signed distance of each class from coordinates, radius and the aspect ratio that only some use.
_DISTANCE = {
    "circle": lambda u, v, r, q: np.hypot(u, v) - 0.88 * r,
    "ellipse": lambda u, v, r, q: (np.hypot(u * np.sqrt(q), v / np.sqrt(q)) - 0.88 * r) * np.sqrt(q),
    "square": _polygon(4),
    "rectangle": lambda u, v, r, q: _box(u, v, 0.78 * r / np.sqrt(q), 0.78 * r * np.sqrt(q)),
    "triangle": _polygon(3),
    "arrow": _arrow,
    "pentagon": _polygon(5),
    "hexagon": _polygon(6),
    # A pentagram is where all but one of five half-planes meet.
    "star": lambda u, v, r, q: np.sort(_sides(u, v, 5), axis=0)[-2] - 0.42 * r,
    "cross": lambda u, v, r, q: np.minimum(_box(u, v, r, 0.3 * r), _box(u, v, 0.3 * r, r)),
}


# ---- textures --------------------------------------------------------------------------------------------------------

TEXTURES = ("ok", "defect")
_TEXTURES_N = {"train": 2000, "test": 1000}
_TILE = 64


def find_textures() -> dict[str, Source]:
    """Grey surfaces 64 x 64, half of them with a defect and its mask; 2,000 to train, 1,000 to test.

    Every image is given the same histogram after the defect is in, so no statistic of the grey values alone (mean,
    spread, extremes, percentiles) tells the classes apart: a network has to look at structure.
    """
    return {
        split: Source((), _rows(TEXTURES, n, _draw_textures, (2, k)), "textures 1")
        for k, (split, n) in enumerate(_TEXTURES_N.items())
    }


def _draw_textures(labels: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Images B x 64 x 64 x 1 uint8 and masks B x 64 x 64 (0 or 255)."""
    surfaces = _surfaces(len(labels), rng)
    profiles = _defects(len(labels), rng) * (labels == 1)[:, None, None]
    # Contrast in units of the surface's spread, to either side.
    contrast = rng.uniform(2.5, 5.0, len(labels)) * rng.choice([-1, 1], len(labels))
    values = surfaces * (1 - 0.8 * profiles) + profiles * contrast[:, None, None]
    return _same_histogram(values)[..., None], np.where(profiles > 0.5, 255, 0).astype(np.uint8)


def _surfaces(n: int, rng: np.random.Generator) -> np.ndarray:
    """Textures of zero mean and unit spread, n x 64 x 64: noise of any grain and direction, stripes, weave."""
    frequency = np.fft.fftfreq(_TILE)
    fy, fx = frequency[None, :, None], frequency[None, None, :]
    angle = rng.uniform(0, np.pi, n)[:, None, None]
    along, across = np.cos(angle) * fx + np.sin(angle) * fy, np.cos(angle) * fy - np.sin(angle) * fx
    fine = rng.uniform(0.5, 1.3, n)[:, None, None]  # correlation lengths in pixels, across and along
    long = fine * rng.choice([1.0, 1.0, 2.0, 4.0], n)[:, None, None]
    gain = np.exp(-2 * np.pi**2 * ((along * long) ** 2 + (across * fine) ** 2))
    noise = np.fft.ifft2(np.fft.fft2(rng.normal(0, 1, (n, _TILE, _TILE))) * gain).real
    noise = _standard(noise)

    grid = np.arange(_TILE)
    y, x = grid[None, :, None], grid[None, None, :]
    u, v = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    period = rng.uniform(4, 9, (n, 1, 1))
    phase = rng.uniform(0, 2 * np.pi, (2, n, 1, 1))
    warp = 0.6 * noise
    waves = np.sin(2 * np.pi * u / period + phase[0] + warp), np.sin(2 * np.pi * v / period + phase[1] + warp)
    kind = rng.integers(0, 4, n)[:, None, None]  # half of the surfaces are plain noise
    pattern = np.where(kind == 2, waves[0], waves[0] * waves[1])
    return _standard(np.where(kind < 2, noise, 1.3 * pattern + 0.7 * noise))


def _defects(n: int, rng: np.random.Generator) -> np.ndarray:
    """One defect an image, n x 64 x 64, 0..1: a soft blob, a bent scratch or a small spot."""
    grid = np.arange(_TILE) + 0.5
    y, x = grid[None, :, None], grid[None, None, :]
    centre = rng.uniform(12, 52, (n, 2))
    dx, dy = x - centre[:, 0, None, None], y - centre[:, 1, None, None]
    angle = rng.uniform(0, np.pi, n)[:, None, None]
    u, v = np.cos(angle) * dx + np.sin(angle) * dy, np.cos(angle) * dy - np.sin(angle) * dx
    size, squeeze = rng.uniform(0, 1, n)[:, None, None], rng.uniform(0.6, 1, n)[:, None, None]
    radius = 4 + 4 * size
    blob = np.exp(-(((u / radius) ** 2 + (v / (squeeze * radius)) ** 2) ** 2) * np.log(2))
    bend = rng.uniform(-0.012, 0.012, n)[:, None, None]
    half_length = 9 + 12 * size
    scratch = np.clip(2.0 - np.abs(v - bend * u**2), 0, 1) * np.clip(half_length - np.abs(u), 0, 1)
    spot = np.clip(2.5 + 2 * size + 0.5 - np.hypot(u, v / squeeze), 0, 1)
    kind = rng.integers(0, 3, n)[:, None, None]
    return np.where(kind == 0, blob, np.where(kind == 1, scratch, spot))


def _standard(values: np.ndarray) -> np.ndarray:
    values = values - values.mean(axis=(1, 2), keepdims=True)
    return values / values.std(axis=(1, 2), keepdims=True)


def _same_histogram(values: np.ndarray) -> np.ndarray:
    """Grey values by rank: each image gets the same 4,096 values, a bell between 8 and 248."""
    n = _TILE * _TILE
    # Irwin-Hall (sum of uniforms) quantiles instead of the normal's: no special functions, so the same everywhere.
    levels = np.sort(np.random.Generator(np.random.PCG64(7)).random((n, 6)).sum(axis=1))
    levels = np.rint(8 + 240 * (levels - levels[0]) / (levels[-1] - levels[0])).astype(np.uint8)
    out = np.empty((len(values), n), dtype=np.uint8)
    order = np.argsort(values.reshape(len(values), n), axis=1, kind="stable")
    np.put_along_axis(out, order, np.broadcast_to(levels, out.shape), axis=1)
    return out.reshape(values.shape)
