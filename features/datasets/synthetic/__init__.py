"""A small labelled corpus made out of nothing: drawn faces and synthetic voices that show emotions, with noise.

`features.datasets.generated`, `generated_stills` and `generated_recordings` are its adapters.
"""

from features.datasets.synthetic.corpus import make_corpus, make_new_clips, make_stills
from features.datasets.synthetic.recordings import make_recordings

__all__ = ["make_corpus", "make_new_clips", "make_recordings", "make_stills"]
