"""Still pictures by Pillow, which tells damaged ones and knows the orientation of every kind."""

import warnings
from contextlib import suppress
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from features.errors import ClipFailure
from features.machine import raise_machine_fault

# Kinds that begin with a mark of their own: Pillow also takes the first bytes of some videos for pictures.
_KINDS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")
_EIGHT_BITS = frozenset({"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr", "LAB", "HSV"})


def read_still(path: Path, *, gray: bool = False, max_side: int | None = None) -> np.ndarray | None:
    """The still picture at `path` as it is to be shown, uint8 RGB (H, W, 3), with `gray` full-range luma (H, W).

    None where the file is no still picture that Pillow reads (an animated GIF is a video). `max_side` shrinks larger
    pictures. ClipFailure `unreadable` for a picture that is cut off or damaged.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what matters of them is an error when the pixels are read
        try:
            image = Image.open(path, formats=_kinds())
        except (UnidentifiedImageError, PermissionError):
            return None  # FFmpeg may know it, or tells what is wrong
        except Image.DecompressionBombError as error:
            raise ClipFailure("unreadable", f"a picture that is too large ({error})") from None
        except Exception as error:
            raise_machine_fault(error, path)
            raise _damaged("", error) from None
        with image:
            if image.format == "GIF" and getattr(image, "is_animated", False):
                return None
            return _pixels(image, path, gray, max_side)


def _damaged(kind: str, error: Exception) -> ClipFailure:
    # Pillow's decoders raise OSError, SyntaxError, ValueError and others.
    said = str(error).removesuffix(".")
    return ClipFailure("unreadable", f"a {kind}{' ' * bool(kind)}picture that is cut off or damaged ({said})")


def _pixels(image: Image.Image, path: Path, gray: bool, max_side: int | None) -> np.ndarray | None:
    try:
        image.load()
    except Exception as error:
        raise_machine_fault(error, path)
        raise _damaged(image.format or "", error) from None
    with suppress(Exception):  # damaged EXIF says nothing of the pixels
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))
    if image.mode not in _EIGHT_BITS:
        return None
    pixels = np.array(image.convert("L" if gray else "RGB"))
    scale = max_side / max(pixels.shape[:2]) if max_side else 1.0
    return cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else pixels


@cache
def _kinds() -> list[str]:
    Image.init()
    return [kind for kind in _KINDS if kind in Image.OPEN]
