"""What an emotion does to a face and to a voice, and how unclearly one clip shows it.

Each emotion is a point in a space of face parts and a point in a space of voice parts. A clip shows it with some
intensity, mixed with another emotion that looks (or sounds) alike, and with jitter; face and voice are drawn
independently of each other. The look-alikes differ between the two: anger and disgust, fear and surprise, sadness and
neutral share a face; happiness, surprise and anger, or sadness, disgust and neutral share a voice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

EMOTIONS = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")

# Each part runs from -1 to 1, 0 is at rest. Mouth opening and nose wrinkle know no negative side.
FACE_PARTS = ("brow_raise", "brow_slant", "eye_open", "mouth_curve", "mouth_open", "mouth_width", "nose_wrinkle")
FACE = {
    "angry": (-0.80, -0.85, 0.05, -0.45, 0.15, -0.10, 0.45),
    "disgust": (-0.55, -0.50, -0.45, -0.60, 0.30, 0.20, 0.95),
    "fear": (0.65, 0.65, 0.85, -0.35, 0.45, 0.25, 0.05),
    "happy": (0.15, 0.00, -0.30, 1.00, 0.35, 0.80, 0.15),
    "neutral": (0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00),
    "sad": (0.10, 0.75, -0.35, -0.65, 0.00, -0.15, 0.00),
    "surprise": (0.90, 0.15, 0.95, 0.00, 0.85, -0.45, 0.00),
}
FACE_ALIKE = {
    "angry": ("disgust", "disgust", "neutral", "sad"),
    "disgust": ("angry", "angry", "sad"),
    "fear": ("surprise", "surprise", "sad"),
    "happy": ("neutral", "surprise"),
    "neutral": ("sad", "sad", "angry", "happy"),
    "sad": ("neutral", "neutral", "fear", "disgust"),
    "surprise": ("fear", "fear", "happy"),
}

VOICE_PARTS = ("pitch", "range", "slope", "tempo", "loudness", "brightness", "breath", "tremor")
VOICE = {
    "angry": (0.50, 0.70, -0.30, 0.50, 0.95, 0.95, 0.00, 0.05),
    "disgust": (-0.35, 0.05, -0.55, -0.45, 0.00, 0.25, 0.30, 0.00),
    "fear": (0.80, -0.30, 0.15, 0.85, 0.05, 0.15, 0.60, 0.95),
    "happy": (0.65, 0.80, 0.25, 0.40, 0.50, 0.50, 0.00, 0.00),
    "neutral": (0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00),
    "sad": (-0.35, -0.55, -0.35, -0.65, -0.60, -0.60, 0.50, 0.35),
    "surprise": (0.85, 0.95, 0.95, 0.10, 0.40, 0.30, 0.20, 0.00),
}
VOICE_ALIKE = {
    "angry": ("happy", "happy", "surprise"),
    "disgust": ("sad", "neutral", "neutral"),
    "fear": ("surprise", "sad", "happy"),
    "happy": ("surprise", "angry"),
    "neutral": ("sad", "disgust"),
    "sad": ("neutral", "disgust"),
    "surprise": ("happy", "happy", "fear"),
}

# Where an emotion lies on the circle of arousal and valence (Russell 1980), each from -1 to 1.
DIMENSIONS = ("arousal", "valence")
AFFECT = {
    "angry": (0.70, -0.60),
    "disgust": (0.20, -0.70),
    "fear": (0.75, -0.35),
    "happy": (0.50, 0.80),
    "neutral": (0.00, 0.00),
    "sad": (-0.50, -0.55),
    "surprise": (0.80, 0.20),
}

# These numbers set the difficulty. With them a small CNN trained on the stills is right on about two clips in three, a
# linear model of IS10 on about three in five, the two together on more than four in five.
INTENSITY = (0.60, 1.20)
FACE_MIXTURE, VOICE_MIXTURE = 0.55, 0.45
FACE_JITTER, VOICE_JITTER = 0.16, 0.13


@dataclass(frozen=True)
class Showing:
    """How one clip shows its emotion: face parts at the apex and voice parts, in the order of the names above."""

    face: np.ndarray
    voice: np.ndarray


def draw_showing(emotion: str, rng: np.random.Generator) -> Showing:
    """One clip's noisy face and voice for `emotion`; the two noises are independent."""
    return Showing(
        face=_draw(emotion, FACE, FACE_ALIKE, FACE_MIXTURE, FACE_JITTER, rng),
        voice=_draw(emotion, VOICE, VOICE_ALIKE, VOICE_MIXTURE, VOICE_JITTER, rng),
    )


def _draw(
    emotion: str,
    codes: Mapping[str, Sequence[float]],
    alike: Mapping[str, Sequence[str]],
    mixture: float,
    jitter: float,
    rng: np.random.Generator,
) -> np.ndarray:
    other = rng.choice(alike[emotion])
    share = mixture * rng.random()
    mixed = (1 - share) * np.array(codes[emotion]) + share * np.array(codes[other])
    return rng.uniform(*INTENSITY) * mixed + jitter * rng.standard_normal(len(mixed))
