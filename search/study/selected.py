"""The numbers of a layer that tell the classes apart best, by a random forest on stills (Chao 2016, section 3.2).

The forest sees the train split of the backbone's own stills, never a clip.
"""

import numpy as np

from features.errors import WrongUse
from features.progress import progress
from features.store.store import open_set
from models.family import Backbone
from search.recipe.inputs import source
from search.run.folder import RunFolder
from search.run.predictions import Footer

# The paper names scikit-learn's forest and no number of trees; each of them looks at the root of all numbers per split,
# so that few trees would leave most of a layer unseen.
TREES = 500
# As many stills at most as hold so many activations (1 GB).
_NUMBERS = 250_000_000
_AT_ONCE = 256


def most_important(rows: np.ndarray, y: np.ndarray, n: int, *, trees: int = TREES) -> tuple[int, ...]:
    """The `n` columns of `rows` (N, F) with the highest impurity importance for `y` (N,), in ascending order.

    Ties go to the column that comes first.
    """
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(trees, random_state=0, n_jobs=-1).fit(rows, y)
    order = np.argsort(-forest.feature_importances_, kind="stable")
    return tuple(sorted(int(column) for column in order[:n]))


def select(run: RunFolder, footer: Footer, backbone: Backbone, layer: str, n: int) -> tuple[int, ...]:
    """Which `n` numbers of `layer` are kept; `footer` is the backbone's trial."""
    table = run.table("backbone")
    (spec,) = footer.inputs.values()
    images = open_set(run.store, source(spec), table)
    stills = [clip for clip in table.split("train") if images.has(clip.clip_id)]
    width = backbone.activations(images[stills[0].clip_id][:1], layer).shape[1]
    if n > width:
        raise WrongUse(f"Input '{footer.entry}.{layer}:selected={n}': the layer has only {width} numbers.")
    most = max(1, _NUMBERS // width)
    if len(stills) > most:
        stills = [stills[i] for i in sorted(np.random.default_rng(0).permutation(len(stills))[:most])]
    pictures = np.concatenate([images[clip.clip_id][:1] for clip in stills])
    pieces = []
    with progress(f"stills of {footer.entry}.{layer}", len(pictures)) as counter:
        for start in range(0, len(pictures), _AT_ONCE):
            piece = pictures[start : start + _AT_ONCE]
            pieces.append(backbone.activations(piece, layer))
            counter.advance(len(piece))
    return most_important(np.concatenate(pieces), np.array([clip.label for clip in stills]), n)
