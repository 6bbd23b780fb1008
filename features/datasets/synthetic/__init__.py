"""A small labelled corpus made out of nothing: drawn faces and synthetic voices that show emotions, with noise.

`features.datasets.generated` and `generated_stills` are its adapters.
"""

from features.datasets.synthetic.corpus import make_corpus, make_new_clips, make_stills

__all__ = ["make_corpus", "make_new_clips", "make_stills"]
