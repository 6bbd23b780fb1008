"""Draws an expression on a head: brows, eyes, mouth, wrinkles, and the jaw that sinks with an open mouth."""

from collections.abc import Sequence

import cv2
import numpy as np

from features.datasets.synthetic.emotions import FACE_PARTS
from features.datasets.synthetic.looks import (
    BROW_Y,
    CENTRE_X,
    CHIN_Y,
    EYE_Y,
    HEIGHT,
    MOUTH_Y,
    NOSE_Y,
    WIDTH,
    Look,
    draw_head,
)

_SHIFT = 4  # cv2 draws with this many binary digits after the point
_WHITE, _EYEBALL, _PUPIL, _TEETH = (255, 255, 255), (232, 226, 220), (14, 12, 12), (232, 226, 214)
_THROAT, _TONGUE = (62, 22, 24), (158, 74, 76)

Colour = Sequence[float]


class Face:
    """One actor's face; `draw` puts an expression on it."""

    def __init__(self, look: Look):
        self.look = look
        picture, cover = draw_head(look)
        self._head = np.dstack([picture, 255 * cover]).clip(0, 255).astype(np.uint8)

    def draw(self, parts: np.ndarray, *, closed: float = 0.0, gaze: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
        """RGBA uint8 (H, W, 4) of the head, its colours multiplied by its coverage.

        `parts` (7,) as in FACE_PARTS; `closed` 0..1 shuts the lids; `gaze` moves the pupils, in canvas pixels.
        """
        part = dict(zip(FACE_PARTS, map(float, parts), strict=True))
        opening = min(max(part["mouth_open"], 0.0), 1.2)
        drop = 14.0 * opening
        picture = self._with_jaw(drop)
        self._wrinkles(picture, part)
        for side in (-1, 1):
            self._eye(picture, side, part, closed, gaze)
            self._brow(picture, side, part)
        self._mouth(picture, part, opening, MOUTH_Y + 0.45 * drop)
        return picture

    def _with_jaw(self, drop: float) -> np.ndarray:
        """A copy of the head, stretched by `drop` pixels between nose and chin, and squeezed below."""
        top, chin = NOSE_Y + 8, CHIN_Y + 6
        if drop < 0.5:
            return self._head.copy()
        moved = round(chin + drop)
        picture = np.empty_like(self._head)
        picture[:top] = self._head[:top]
        cv2.resize(self._head[top:chin], (WIDTH, moved - top), dst=picture[top:moved])
        cv2.resize(self._head[chin:], (WIDTH, HEIGHT - moved), dst=picture[moved:])
        return picture

    def _brow(self, picture: np.ndarray, side: int, part: dict[str, float]) -> None:
        x = np.linspace(-1, 1, 9)  # from the inner end to the outer one
        slant = part["brow_slant"]
        lift = 11 * part["brow_raise"] + slant * (13 * (1 - x) / 2 - 5 * (1 + x) / 2)
        y = np.minimum(BROW_Y - lift - 4 + 6 * x**2, EYE_Y - 9)
        thick = self.look.brow_height * (0.91 - 0.5 * np.clip(x, -0.2, 1))
        drawn_in = 3.5 * max(0.0, -slant) * (1 - x) / 2
        across = CENTRE_X + side * (self.look.eye_gap + x * (self.look.eye_width + 4) - drawn_in)
        _fill(picture, _band(across, y - thick / 2, y + thick / 2), _mix(self.look.hair, self.look.skin, 0.55, 0.12))

    def _eye(
        self, picture: np.ndarray, side: int, part: dict[str, float], closed: float, gaze: tuple[float, float]
    ) -> None:
        look = self.look
        opening = float(np.clip(1 + 0.62 * part["eye_open"], 0.18, 1.7)) * (1 - closed)
        squint = 2.2 * max(0.0, part["mouth_curve"]) + 2.0 * max(0.0, part["nose_wrinkle"])
        x = np.linspace(-1, 1, 13)
        arch = 1 - np.abs(x) ** 2.2
        centre_x = CENTRE_X + side * look.eye_gap
        left, top, right, bottom = int(centre_x) - 24, EYE_Y - 24, int(centre_x) + 25, EYE_Y + 20
        across = centre_x + side * x * look.eye_width - left
        upper = EYE_Y - 7.8 * opening * arch - 1.5 * x - top
        lower = EYE_Y + max(5.4 * opening - squint, 0.0) * arch - 1.5 * x - top
        patch = picture[top:bottom, left:right]
        if opening > 0.12:
            ball = np.empty_like(patch)
            ball[:] = (*_mix(_EYEBALL, look.skin, 0.66, 0.25), 255)
            middle = (centre_x + gaze[0] - left, EYE_Y - 1 + gaze[1] - top)
            _disc(ball, middle, 7.4, _shaded(look.iris, 0.45))
            _disc(ball, middle, 6.4, look.iris)
            _disc(ball, middle, 3.2, _PUPIL)
            _disc(ball, (middle[0] - 2.0, middle[1] - 2.4), 1.5, _WHITE)
            shadow_of_lid = np.clip((np.arange(bottom - top) - upper.min() + 1.5) / 6, 0.45, 1)
            ball = (ball * shadow_of_lid[:, None, None]).astype(np.uint8)
            mask = np.zeros(patch.shape[:2], np.uint8)
            _fill(mask, _band(across, upper, lower), _WHITE)
            _blend(patch, ball, mask)
        _stroke(patch, across, upper, _shaded(look.skin, 0.22), 2)
        _stroke(patch, across, lower, _shaded(look.skin, 0.5), 1)
        crease = np.minimum(upper - 4.5, EYE_Y - 6 - top)
        _stroke(patch, across[2:-1], crease[2:-1], _shaded(look.skin, 0.52), 1)

    def _mouth(self, picture: np.ndarray, part: dict[str, float], opening: float, middle_y: float) -> None:
        look, curve = self.look, part["mouth_curve"]
        half = look.mouth_width * (1 + 0.26 * part["mouth_width"])
        x = np.linspace(-1, 1, 17)
        across = CENTRE_X + half * x
        line = middle_y - 9 * curve * (x**2 - 0.35)
        gap = 13 * opening * (1 - np.abs(x) ** 2.4)
        sneer = 3.5 * max(0.0, part["nose_wrinkle"]) * np.exp(-(((np.abs(x) - 0.4) / 0.3) ** 2))
        above, below = line - 0.62 * gap - sneer, line + gap
        lip = look.lip_height * (1 - 0.25 * abs(curve)) * (1 - np.abs(x) ** 2.2)
        bow = 1.3 * np.exp(-((x / 0.14) ** 2))
        _fill(picture, _band(across, above - 0.8 * lip + bow, above + 0.5), _shaded(look.lips, 0.86))
        _fill(picture, _band(across, below - 0.5, below + 1.1 * lip), look.lips)
        if opening > 0.06:
            _fill(picture, _band(across, above, below), _THROAT)
            teeth = 5.5 * np.clip(0.5 + 0.5 * part["mouth_width"], 0.15, 1) * min(1.0, 2.2 * opening)
            _fill(picture, _band(CENTRE_X + 0.9 * half * x, above, np.minimum(above + teeth, below)), _TEETH)
        if opening > 0.45:
            _fill(picture, _band(across, below - 0.4 * gap * np.exp(-((x / 0.6) ** 2)), below), _TONGUE)
        _stroke(picture, across, above, _shaded(look.lips, 0.3), 1)
        for side in (-1, 1):
            corner_x, corner_y = CENTRE_X + side * half, line[0]
            ends = np.array([corner_x - 2 * side, corner_x + 1.5 * side])
            _stroke(picture, ends, np.array([corner_y, corner_y - 1.5 * curve]), _shaded(look.lips, 0.4), 2)

    def _wrinkles(self, picture: np.ndarray, part: dict[str, float]) -> None:
        """Folds beside the mouth, furrows between the brows, lines on the forehead, creases on the nose."""
        layer = np.zeros((HEIGHT, WIDTH), np.uint8)
        wrinkled = min(max(part["nose_wrinkle"], 0.0), 1.0)
        fold = min(1.0, max(0.0, 0.9 * part["mouth_curve"]) + 0.8 * wrinkled)
        furrow = float(np.clip(-0.7 * part["brow_raise"] - 0.5 * part["brow_slant"], 0, 1))
        lined = float(np.clip(part["brow_raise"] + 0.3 * abs(part["brow_slant"]) - 0.3, 0, 1))
        t = np.linspace(0, 1, 8)
        for side in (-1, 1):
            fold_x = CENTRE_X + side * (self.look.nose_width + 3 + 16 * t**0.7 + 3 * fold)
            _stroke(layer, fold_x, NOSE_Y - 4 + 26 * t - 3 * fold, [30 + 120 * fold], 2)
            furrow_x, furrow_y = CENTRE_X + side * np.array([6.0, 5.0]), np.array([BROW_Y + 14.0, BROW_Y - 2.0])
            _stroke(layer, furrow_x, furrow_y, [170 * furrow], 2)
            for y in (EYE_Y + 8.0, EYE_Y + 14.0, EYE_Y + 20.0):
                _stroke(layer, CENTRE_X + side * np.array([3.0, 9.0]), np.array([y, y - 4]), [150 * wrinkled], 1)
        x = np.linspace(-1, 1, 11)
        for row in range(3):
            y = BROW_Y - 18 - 7 * row - 6 * part["brow_raise"]
            _stroke(layer, CENTRE_X + 34 * x, y + 3 * x**2, [110 * lined], 1)
        rows, columns = slice(48, 196), slice(CENTRE_X - 56, CENTRE_X + 56)
        soft = cv2.GaussianBlur(layer[rows, columns], (5, 5), 0)
        patch = picture[rows, columns, :3]
        darker = cv2.cvtColor(255 - soft // 2, cv2.COLOR_GRAY2RGB)
        patch[:] = cv2.multiply(np.ascontiguousarray(patch), darker, scale=1 / 255)


def _shaded(colour: Colour, share: float) -> Colour:
    return [share * c for c in colour]


def _mix(one: Colour, other: Colour, share_one: float, share_other: float) -> Colour:
    return [share_one * a + share_other * b for a, b in zip(one, other, strict=True)]


def _fixed(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.round(np.stack([x, y], 1) * (1 << _SHIFT)).astype(np.int32)


def _band(across: np.ndarray, top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    return np.concatenate([_fixed(across, top), _fixed(across, bottom)[::-1]])


def _fill(picture: np.ndarray, outline: np.ndarray, colour: Colour) -> None:
    cv2.fillPoly(picture, [outline], (*colour, 255), cv2.LINE_AA, _SHIFT)


def _stroke(picture: np.ndarray, x: np.ndarray, y: np.ndarray, colour: Colour, thickness: int) -> None:
    cv2.polylines(picture, [_fixed(x, y)], False, (*colour, 255), thickness, cv2.LINE_AA, _SHIFT)


def _disc(picture: np.ndarray, centre: tuple[float, float], radius: float, colour: Colour) -> None:
    x, y, fixed_radius = (round(value * (1 << _SHIFT)) for value in (*centre, radius))
    cv2.circle(picture, (x, y), fixed_radius, (*colour, 255), -1, cv2.LINE_AA, _SHIFT)


def _blend(under: np.ndarray, over: np.ndarray, mask: np.ndarray) -> None:
    share = (mask.astype(np.float32) / 255)[..., None]
    under[..., :3] = under[..., :3] * (1 - share) + over[..., :3] * share
