"""Films a face: where the head is, how the expression comes and goes, light, background and the camera's noise."""

from collections.abc import Iterator

import cv2
import numpy as np

from features.datasets.synthetic.emotions import FACE_PARTS
from features.datasets.synthetic.face import Face
from features.datasets.synthetic.looks import CENTRE_X, NOSE_Y

FRAME_WIDTH, FRAME_HEIGHT, FRAME_RATE = 208, 176, 25
STILL_SIZE = 144
_PIVOT = (CENTRE_X, NOSE_Y - 10)  # of the head's turning, on the canvas
_NOISE_MOVES = 32  # one picture of noise serves all frames, shifted by up to so many pixels
_SPEECH_OPENS = 0.30
_FACE_JITTER = 0.05


def film(
    face: Face, apex: np.ndarray, loudness: np.ndarray, leaves: bool, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Frames RGB uint8 (FRAME_HEIGHT, FRAME_WIDTH, 3), one for each of `loudness` (T,) 0..1, which moves the mouth.

    `apex` (7,) is the expression at its strongest, as in FACE_PARTS. With `leaves` the head is out of the picture for
    about 40 to 60 % of the clip.
    """
    camera = _Camera(rng)
    expression = onset_apex(_times(loudness), rng)[:, None] * apex  # (T, 7)
    return _filmed(camera, face, expression, loudness, leaves, rng)


def film_course(
    face: Face, expression: np.ndarray, loudness: np.ndarray, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """As `film`, of an expression (T, 7) that changes as it is given."""
    return _filmed(_Camera(rng), face, expression, loudness, False, rng)


def _times(loudness: np.ndarray) -> np.ndarray:
    return np.arange(len(loudness)) / FRAME_RATE


def _filmed(
    camera: "_Camera", face: Face, expression: np.ndarray, loudness: np.ndarray, leaves: bool, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    time_s = _times(loudness)
    parts = face.look.rest + expression  # (T, 7)
    parts += _FACE_JITTER * np.stack([wander(time_s, 1.2, rng) for _ in FACE_PARTS], 1)
    parts[:, FACE_PARTS.index("mouth_open")] += _SPEECH_OPENS * loudness
    closed = _blinks(time_s, rng)
    x, y = 5.0 * wander(time_s, 0.4, rng), 3.0 * wander(time_s, 0.5, rng)
    if leaves:
        x = x + _leaving(time_s, rng)
    angle, size = 4.0 * wander(time_s, 0.4, rng), 1 + 0.02 * wander(time_s, 0.4, rng)
    light = 1 + 0.05 * wander(time_s, 0.6, rng)
    gaze_x, gaze_y = 1.6 * wander(time_s, 0.8, rng), 0.8 * wander(time_s, 0.8, rng)
    for t in range(len(time_s)):
        head = face.draw(parts[t], closed=closed[t], gaze=(gaze_x[t], gaze_y[t]))
        yield camera.shoot(head, (x[t], y[t]), angle[t], size[t], light[t])


def photograph(face: Face, apex: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One still, RGB uint8 (STILL_SIZE, STILL_SIZE, 3), of the expression `apex` (7,); the mouth may be speaking."""
    parts = face.look.rest + rng.uniform(0.8, 1.0) * apex
    parts[FACE_PARTS.index("mouth_open")] += _SPEECH_OPENS * rng.random() * (rng.random() < 0.5)
    x, y, angle, gaze_x, gaze_y = rng.uniform(-1, 1, 5) * (8, 5, 6, 2, 1)
    head = face.draw(parts, gaze=(gaze_x, gaze_y))
    frame = _Camera(rng).shoot(head, (x, y), angle, 1.0, rng.uniform(0.92, 1.08))
    top, left = (FRAME_HEIGHT - STILL_SIZE) // 2, (FRAME_WIDTH - STILL_SIZE) // 2
    return np.ascontiguousarray(frame[top : top + STILL_SIZE, left : left + STILL_SIZE])


def onset_apex(time_s: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Strength (T,) of the expression over time, 0..1: it sets in, stays, and sometimes fades before the end."""
    start, rise = rng.uniform(-0.1, 0.3), rng.uniform(0.2, 0.5)
    strength = smooth_step((time_s - start) / rise)
    if rng.random() < 0.4:
        fade = time_s[-1] - rng.uniform(0.2, 0.5)
        strength = strength * (1 - rng.uniform(0.3, 0.8) * smooth_step((time_s - fade) / 0.4))
    return strength


def wander(time_s: np.ndarray, frequency: float, rng: np.random.Generator) -> np.ndarray:
    """A slow random movement (T,) about 0 with unit spread: a few sines around `frequency` Hz."""
    rates = frequency * rng.uniform(0.4, 1.6, 4)
    phases = rng.uniform(0, 2 * np.pi, 4)
    return np.sin(2 * np.pi * rates * time_s[:, None] + phases).sum(1) / np.sqrt(2)


def smooth_step(position: np.ndarray) -> np.ndarray:
    """0 below 0, 1 above 1, and between them without a corner."""
    clipped = np.clip(position, 0, 1)
    return clipped * clipped * (3 - 2 * clipped)


def _blinks(time_s: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    closed = np.zeros_like(time_s)
    moment = rng.uniform(0, 2.5)
    while moment < time_s[-1]:
        closed = np.maximum(closed, np.clip(1.25 - np.abs(time_s - moment) / 0.09, 0, 1))
        moment += rng.uniform(1.2, 4)
    return closed


def _leaving(time_s: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Pixels by which the head is pushed aside: out of the picture at one end of the clip."""
    turn = rng.uniform(0.4, 0.6) * time_s[-1]
    out = smooth_step((time_s - turn) / 0.3)
    if rng.random() < 0.5:
        out = 1 - out
    return out * rng.choice((-1, 1)) * 1.05 * FRAME_WIDTH


class _Camera:
    """A place and its camera: background, distance, colour of the light, noise of the sensor."""

    def __init__(self, rng: np.random.Generator):
        self._background = _background(rng)
        self._scale = rng.uniform(0.56, 0.66)
        self._centre = (FRAME_WIDTH / 2 + rng.uniform(-14, 14), FRAME_HEIGHT * 0.52 + rng.uniform(-5, 5))
        tint = rng.uniform(0.95, 1.05, 3) * rng.uniform(0.86, 1.08)
        self._tint = np.tile(tint.astype(np.float32), (FRAME_HEIGHT, FRAME_WIDTH, 1))
        shape = (FRAME_HEIGHT + _NOISE_MOVES, FRAME_WIDTH + _NOISE_MOVES, 3)
        self._noise = np.float32(rng.uniform(2.0, 5.0)) * rng.standard_normal(shape, np.float32)
        self._rng = rng

    def shoot(
        self, head: np.ndarray, shift: tuple[float, float], angle: float, size: float, light: float
    ) -> np.ndarray:
        """One frame: `head` RGBA (H, W, 4), its nose `shift` pixels from the usual place, turned by `angle` degrees."""
        move = cv2.getRotationMatrix2D(_PIVOT, angle, self._scale * size)
        move[:, 2] = move[:, 2] + np.add(self._centre, shift) - _PIVOT
        small = cv2.warpAffine(head, move, (FRAME_WIDTH, FRAME_HEIGHT), flags=cv2.INTER_LINEAR)
        uncovered = cv2.cvtColor(255 - cv2.extractChannel(small, 3), cv2.COLOR_GRAY2RGB)
        behind = cv2.multiply(self._background, uncovered, scale=1 / 255, dtype=cv2.CV_32F)
        seen = cv2.add(behind, cv2.cvtColor(small, cv2.COLOR_RGBA2RGB), dtype=cv2.CV_32F)
        seen = cv2.multiply(seen, self._tint, scale=light)
        row, column = self._rng.integers(0, _NOISE_MOVES, 2)
        noise = self._noise[row : row + FRAME_HEIGHT, column : column + FRAME_WIDTH]
        return cv2.add(seen, noise, dtype=cv2.CV_8U)


def _background(rng: np.random.Generator) -> np.ndarray:
    """A wall out of focus with a few things on it, RGB float32 (FRAME_HEIGHT, FRAME_WIDTH, 3)."""
    colour = rng.uniform(70, 190) + rng.uniform(-12, 12, 3)
    coarse = colour + 14 * rng.standard_normal((6, 7, 1)) + 3 * rng.standard_normal((6, 7, 3))
    wall = cv2.resize(coarse.astype(np.float32), (FRAME_WIDTH, FRAME_HEIGHT), interpolation=cv2.INTER_CUBIC)
    for _ in range(rng.integers(1, 5)):
        left, top = rng.integers(-30, FRAME_WIDTH), rng.integers(-30, FRAME_HEIGHT - 40)
        wide, high = rng.integers(20, 80), rng.integers(20, 100)
        thing = tuple(float(c) for c in colour * rng.uniform(0.55, 1.3) + rng.uniform(-25, 25, 3))
        cv2.rectangle(wall, (int(left), int(top)), (int(left + wide), int(top + high)), thing, -1)
    return cv2.GaussianBlur(wall, (0, 0), 2.5).clip(0, 255)
