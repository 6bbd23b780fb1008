"""How an actor looks, and the head at rest: skin with light and shade, hair, neck and shirt on a fixed canvas.

The shading is what the Viola-Jones cascades look for: eyes darker than the forehead, than the cheeks and than the
bridge of the nose between them.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from features.datasets.synthetic.emotions import FACE_PARTS

# The canvas, in pixels: about twice the size at which a head is filmed, so that the edges come out smooth.
WIDTH, HEIGHT = 320, 336
CENTRE_X, EYE_Y, NOSE_Y, MOUTH_Y, CHIN_Y = 160, 112, 152, 178, 214
BROW_Y = EYE_Y - 24
_FACE_Y, _HALF_HEIGHT = 124, 90

_SKINS = ((246, 214, 190), (236, 196, 166), (224, 178, 146), (205, 156, 122), (176, 126, 94), (146, 102, 76))
_HAIRS = ((38, 30, 26), (72, 48, 32), (110, 74, 42), (168, 128, 72), (142, 62, 34), (150, 148, 146))
_IRISES = ((70, 45, 28), (96, 70, 36), (66, 96, 60), (66, 100, 138), (92, 104, 112))
_SHIRTS = ((60, 78, 116), (120, 44, 50), (58, 96, 72), (94, 88, 84), (160, 132, 84), (84, 60, 104), (40, 44, 52))
_STYLES = ("crop", "parted", "fringe", "long", "bald")

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Look:
    """One actor's looks.

    Colours are RGB 0..255, lengths canvas pixels; `rest` (7,) is the resting face, in the order of FACE_PARTS.
    """

    skin: Colour
    hair: Colour
    iris: Colour
    lips: Colour
    shirt: Colour
    style: str
    half_width: float
    jaw: float
    eye_gap: float
    eye_width: float
    brow_height: float
    nose_width: float
    mouth_width: float
    lip_height: float
    stubble: float
    light_side: float
    rest: np.ndarray


def draw_look(rng: np.random.Generator, *, low_voice: bool) -> Look:
    """A new actor's looks; those with a low voice may wear stubble, the others more often long hair."""
    skin = _vary(_SKINS[rng.integers(len(_SKINS))], 8, rng)
    red = rng.uniform(0.35, 0.75)
    lips = tuple(s * (1 - red) + c * red for s, c in zip(skin, (168, 72, 74), strict=True))
    weights = (0.35, 0.25, 0.20, 0.05, 0.15) if low_voice else (0.05, 0.30, 0.25, 0.40, 0.0)
    return Look(
        skin=skin,
        hair=_vary(_HAIRS[rng.integers(len(_HAIRS))], 8, rng),
        iris=_vary(_IRISES[rng.integers(len(_IRISES))], 8, rng),
        lips=(lips[0], lips[1], lips[2]),
        shirt=_vary(_SHIRTS[rng.integers(len(_SHIRTS))], 15, rng),
        style=str(rng.choice(_STYLES, p=weights)),
        half_width=rng.uniform(66, 74),
        jaw=rng.uniform(0.12, 0.26) if low_voice else rng.uniform(0.20, 0.34),
        eye_gap=rng.uniform(30, 34),
        eye_width=rng.uniform(16, 19),
        brow_height=rng.uniform(4.5, 7.0) if low_voice else rng.uniform(3.0, 5.0),
        nose_width=rng.uniform(11, 16),
        mouth_width=rng.uniform(25, 30),
        lip_height=rng.uniform(4.5, 7.5),
        stubble=rng.uniform(0.0, 0.35) if low_voice and rng.random() < 0.6 else 0.0,
        light_side=rng.uniform(-0.5, 0.5),
        rest=0.12 * rng.standard_normal(len(FACE_PARTS)),
    )


def _vary(colour: tuple[int, int, int], spread: float, rng: np.random.Generator) -> Colour:
    shift = rng.normal(0, spread) + rng.normal(0, spread / 3, 3)
    red, green, blue = np.clip(np.array(colour) + shift, 10, 250)
    return float(red), float(green), float(blue)


def draw_head(look: Look) -> tuple[np.ndarray, np.ndarray]:
    """The head without eyes, brows and mouth: RGB float32 (H, W, 3) 0..255, already multiplied by the coverage float32
    (H, W) 0..1.
    """
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    picture = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    cover = np.zeros((HEIGHT, WIDTH), np.float32)

    def paint(colour: np.ndarray, mask: np.ndarray) -> None:
        picture[:] = picture * (1 - mask[..., None]) + colour * mask[..., None]
        cover[:] = cover * (1 - mask) + mask

    hair = np.array(look.hair, np.float32) * (0.85 + 0.25 * _strands(x, y))[..., None]
    if look.style == "long":
        paint(hair * 0.8, _filled(_oval(look.half_width + 15, 112, _FACE_Y + 12, 0.0)))
    skin = _skin(look, x, y)
    neck = 0.62 + 0.22 * np.clip((y - CHIN_Y) / 34, 0, 1) - 0.12 * np.abs(x - CENTRE_X) / 34
    throat = _box(CENTRE_X - 35, CENTRE_X + 35, CHIN_Y - 40, HEIGHT)
    paint(np.array(look.skin, np.float32) * neck[..., None], _filled(throat))
    paint(np.array(look.shirt, np.float32) * (1 - 0.25 * np.abs(x - CENTRE_X) / 160)[..., None], _filled(_shoulders()))
    for side in (-1, 1):
        paint(skin * 0.85, _filled(_ellipse(CENTRE_X + side * look.half_width, EYE_Y + 16, 9, 17)))
    face = _filled(_oval(look.half_width, _HALF_HEIGHT, _FACE_Y, look.jaw))
    paint(skin, face)
    if look.stubble:
        beard = face * np.clip((y - NOSE_Y - 4) / 20, 0, 1) * look.stubble
        paint(0.4 * np.array(look.skin, np.float32) + 0.2 * np.array(look.hair, np.float32), beard)
    paint(hair, _hair_mask(look, face, x, y))
    return picture, cover


def _skin(look: Look, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Skin colour with light from above and from one side, and the face's hollows and ridges."""

    def spot(dx: float, cy: float, width: float, height: float) -> np.ndarray:
        return np.exp(-(((x - CENTRE_X - dx) / width) ** 2) - ((y - cy) / height) ** 2)

    u, v = (x - CENTRE_X) / look.half_width, (y - _FACE_Y) / _HALF_HEIGHT
    light = 0.97 + 0.10 * look.light_side * u - 0.06 * v - 0.26 * np.clip(u * u + 0.6 * v * v - 0.35, 0, 1)
    light += 0.13 * spot(0, 72, 46, 20) + 0.14 * spot(0, EYE_Y + 14, 5.5, 30) + 0.12 * spot(0, NOSE_Y - 6, 8, 8)
    for side in (-1, 1):
        gap = side * look.eye_gap
        light -= 0.30 * spot(gap, EYE_Y - 2, 21, 12) + 0.08 * spot(side * 12, EYE_Y - 2, 7, 12)
        light += 0.14 * spot(gap * 1.1, EYE_Y + 32, 17, 14)
        light -= 0.12 * spot(side * look.nose_width, NOSE_Y - 8, 4.5, 13)
        light -= 0.42 * spot(side * look.nose_width * 0.5, NOSE_Y + 5, 4.5, 2.6)
    light -= 0.14 * spot(0, NOSE_Y + 9, look.nose_width, 4) + 0.16 * spot(0, MOUTH_Y + 15, 17, 5)
    light += 0.07 * spot(0, CHIN_Y - 14, 15, 9)
    blush = 0.06 * (spot(-40, EYE_Y + 38, 18, 14) + spot(40, EYE_Y + 38, 18, 14))
    colour = np.array(look.skin, np.float32) * light[..., None]
    return colour * (1 - blush[..., None] * np.array((0, 0.8, 0.8), np.float32))


def _strands(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    angle = np.arctan2(y - _FACE_Y - 20, x - CENTRE_X)
    return 0.5 + 0.25 * np.sin(61 * angle) + 0.25 * np.sin(37 * angle + 0.02 * y)


def _hair_mask(look: Look, face: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    if look.style == "bald":
        return np.zeros_like(face)
    skull = _filled(_oval(look.half_width + 6, _HALF_HEIGHT + 8, _FACE_Y - 4, 0.0))
    u = (x - CENTRE_X) / look.half_width
    line = {
        "crop": 62 + 16 * u**4,
        "parted": 56 + 18 * np.abs(u + 0.35) ** 1.5,
        "fringe": 70 + 4 * np.sin(14 * u) + 10 * u**6,
        "long": 54 + 52 * np.abs(u) ** 3,
    }[look.style]
    below = {"crop": 96, "parted": 108, "fringe": 116, "long": 300}[look.style]
    sides = np.clip((np.abs(u) - 0.93) / 0.04, 0, 1) * np.clip((below - y) / 6, 0, 1)
    sides = np.maximum(sides, (1 - face) * np.clip((min(below, 140) - y) / 6, 0, 1))
    top = np.clip((line - y) / 3, 0, 1)
    return cv2.GaussianBlur((skull * np.maximum(top, sides)).astype(np.float32), (0, 0), 1.2)


def _oval(half_width: float, half_height: float, centre_y: float, jaw: float) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    down = np.clip(np.sin(angle), 0, 1)
    across = np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** 0.9 * (1 - jaw * down**1.5)
    return np.stack([CENTRE_X + half_width * across, centre_y + half_height * np.sin(angle)], 1)


def _ellipse(centre_x: float, centre_y: float, half_width: float, half_height: float) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    return np.stack([centre_x + half_width * np.cos(angle), centre_y + half_height * np.sin(angle)], 1)


def _box(left: float, right: float, top: float, bottom: float) -> np.ndarray:
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], float)


def _shoulders() -> np.ndarray:
    x = np.linspace(4, WIDTH - 4, 60)
    across = np.abs(x - CENTRE_X) / (WIDTH / 2)
    y = 240 + 20 * np.clip(1 - across / 0.25, 0, 1) + 56 * across**3
    return np.concatenate([np.stack([x, y], 1), [(WIDTH - 4, HEIGHT), (4, HEIGHT)]])


def _filled(points: np.ndarray) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.fillPoly(mask, [np.round(points * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    return mask.astype(np.float32) / 255
