"""From encoded images to arrays of one shape: opening with PIL, checking, padding, cropping, resizing."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from PIL import Image

from common.errors import UserError

# A closed list, because some of PIL's other readers start external programs.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "PPM", "GIF")


class Row(NamedTuple):
    """One image of a source, not decoded yet.

    `where` names it in messages (file, or file and row); images with one `group` belong together (a tile, a patient).
    """

    where: str
    image: bytes | str | np.ndarray
    label: int
    mask: bytes | str | np.ndarray | None = None
    group: str = ""


@dataclass(frozen=True)
class Fit:
    """How images of a set become one shape.

    Parameters
    ----------
    kind : {"exact", "pad", "crop"}
        "exact": every image has the `native` size, anything else is an error; resized to `size` only if one is given.
        "pad": centred on a black square, resized to `size`. "crop": short side resized to `size`, centre cropped.
    channels : int or None
        1 (grey) or 3 (RGB); None: grey if all images are grey.
    size : int or None
        Height and width of the result.
    native : tuple of int or None
        Height and width that "exact" expects; None: those of the first image.
    """

    kind: str
    channels: int | None
    size: int | None = None
    native: tuple[int, int] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the result."""
        return (self.size, self.size) if self.size else self.native


def resolve(fit: Fit, rows: Iterable[Row]) -> Fit:
    """Fill in what `fit` leaves to the images (a user's folder), from their headers alone."""
    if fit.channels is not None and (fit.kind != "exact" or fit.native is not None):
        return fit
    first, grey = None, True
    for row in rows:
        with _open_image(row.image, row.where) as image:
            shape = (image.height, image.width)
            grey = grey and image.mode in ("1", "L", "LA")
        first = first or shape
        if fit.kind == "exact" and shape != first:
            raise UserError(
                f"{row.where}: image is {_by(shape)}, the first one {_by(first)}; "
                "pass a size (image_size) to bring all to one"
            )
    return replace(fit, channels=fit.channels or (1 if grey else 3), native=first if fit.kind == "exact" else None)


def _too_many() -> str:
    return f"more than {Image.MAX_IMAGE_PIXELS} pixels"


def _by(shape: tuple[int, int]) -> str:
    return f"{shape[0]} x {shape[1]}"


def _open_image(data: bytes | str, where: str) -> Image.Image:
    """`PIL.Image.open` whose every refusal is a `UserError`; reads the header only."""
    try:
        image = Image.open(io.BytesIO(data) if isinstance(data, bytes) else data, formats=FORMATS)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise UserError(f"{where}: image refused, {_too_many()}; remove it or make it smaller") from None
    except Exception as error:
        raise UserError(f"{where}: not an image that can be decoded ({_reason(error)})") from None
    if image.mode.startswith(("I", "F")):
        image.close()
        raise UserError(f"{where}: image has mode {image.mode} (more than 8 bits a channel); convert it to 8 bits")
    return image


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return "unknown image format" if "cannot identify" in text else text or type(error).__name__


def _decode_image(data: bytes | str | np.ndarray, where: str, mode: str) -> Image.Image:
    if isinstance(data, np.ndarray):
        return Image.fromarray(data.squeeze(-1) if data.ndim == 3 and data.shape[-1] == 1 else data).convert(mode)
    with _open_image(data, where) as image:
        try:
            return image.convert(mode)
        except Exception as error:
            raise UserError(f"{where}: not an image that can be decoded ({_reason(error)})") from None


def decode(row: Row, fit: Fit, with_mask: bool) -> tuple[np.ndarray, np.ndarray | None]:
    """Pixels (H x W x C uint8) and mask (H x W bool) of one row, in the shape `fit` asks for."""
    image = _decode_image(row.image, row.where, "L" if fit.channels == 1 else "RGB")
    shape = (image.height, image.width)
    if fit.kind == "exact" and shape != fit.native:
        raise UserError(f"{row.where}: image is {_by(shape)}, expected {_by(fit.native)}")
    if fit.kind == "pad" and max(shape) ** 2 > (Image.MAX_IMAGE_PIXELS or float("inf")):
        # PIL counts the pixels that are there; a thin image has few, its square has not.
        raise UserError(f"{row.where}: image refused, {_by(shape)} padded to a square has {_too_many()}; crop it")
    mask = None
    if with_mask and row.mask is not None:
        mask = _decode_image(row.mask, row.where + " (mask)", "L")
        if mask.size != image.size:
            shapes = _by((mask.height, mask.width)), _by((image.height, image.width))
            raise UserError(f"{row.where}: mask is {shapes[0]}, its image {shapes[1]}")
        # Masks are written as 0/1 or 0/255, some with soft edges.
        binary = np.asarray(mask)
        mask = Image.fromarray((binary > binary.max() / 2).astype(np.uint8))
    pixels = np.asarray(_fitted(image, fit, Image.Resampling.BILINEAR)).reshape(*fit.shape, fit.channels)
    if not with_mask:
        return np.ascontiguousarray(pixels), None
    if mask is None:
        return np.ascontiguousarray(pixels), np.zeros(fit.shape, dtype=bool)
    return np.ascontiguousarray(pixels), np.asarray(_fitted(mask, fit, Image.Resampling.NEAREST)) > 0


def _fitted(image: Image.Image, fit: Fit, resample: Image.Resampling) -> Image.Image:
    """Pad, crop and resize as `fit` says; PIL's bilinear filter widens when reducing, so nothing aliases."""
    width, height = image.size
    target = (fit.shape[1], fit.shape[0])
    if fit.kind == "pad" and width != height:
        side = max(width, height)
        square = Image.new(image.mode, (side, side))
        square.paste(image, ((side - width) // 2, (side - height) // 2))
        image = square
    elif fit.kind == "crop":
        # The box in source pixels whose resize equals "short side to size, then centre crop".
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        if image.size != target:
            return image.resize(target, resample, box=(left, top, left + side, top + side))
    return image if image.size == target else image.resize(target, resample)
