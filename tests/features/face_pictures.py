"""Pictures with a drawn face, for tests of the ordinary detector."""

from functools import cache

import cv2
import numpy as np

from features.datasets.synthetic.face import Face
from features.datasets.synthetic.looks import CENTRE_X, EYE_Y, NOSE_Y, draw_look


@cache
def look():
    return draw_look(np.random.default_rng(3), low_voice=True)


@cache
def head():
    return Face(look()).draw(np.zeros(7))


def scene(x=None, y=120.0, scale=0.6, degrees=0.0, height=240, width=320, seed=0):
    """RGB background, and with `x` a face whose nose bridge is at (x, y); `seed` names the shot."""
    rough = np.random.default_rng(seed).integers(60, 190, (4, 6, 3), np.uint8)
    picture = cv2.resize(rough, (width, height), interpolation=cv2.INTER_CUBIC)
    return picture if x is None else pasted(picture, x, y, scale, degrees)


def pasted(picture, x, y, scale=0.6, degrees=0.0):
    matrix = cv2.getRotationMatrix2D((CENTRE_X, (EYE_Y + NOSE_Y) / 2), degrees, scale)
    matrix[:, 2] += (x - CENTRE_X, y - (EYE_Y + NOSE_Y) / 2)
    over = cv2.warpAffine(head(), matrix, picture.shape[1::-1], flags=cv2.INTER_AREA).astype(float)
    return (over[..., :3] + picture * (1 - over[..., 3:] / 255)).clip(0, 255).astype(np.uint8)


def grey(picture):
    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
