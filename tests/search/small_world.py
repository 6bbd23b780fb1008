"""A small world for tests of the search: two feature sets, three families and a corpus, all made in milliseconds."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import yaml

from features.clips import Clip, ClipTable, write_clips
from features.errors import ClipFailure, EmofuseError
from features.files import write_json
from features.sets import FeatureArray, FeatureSet, parse_spec
from features.store.store import set_writer
from models.family import Family, FitResult, Input, Resources
from models.metrics import held_out_metrics
from models.pulse import Stopped, asked_to_stop
from models.space import Choice, Float, Int
from search.budget.forecast import Forecast

CLASSES = ("angry", "happy")
SETS = {
    "vec": FeatureSet("vec", 1, "clip", "", lambda media, params: None, lambda p: (int(p["size"]),), {"size": 4}),
    "imgs": FeatureSet("imgs", 1, "frame", "", lambda media, params: None, lambda p: (2, 2), {}),
}


class Centroid:
    """Scores clips by their distance to the classes' means; an epoch moves half the way there."""

    layers = ("flat", "first")

    def __init__(self, hyperparameters, context, means=None):
        self.hyperparameters, self.context, self.means = hyperparameters, context, means

    def fit(self, train, held_out, *, epochs=None, max_epochs=None, report=None, resume=None):
        rows, y = self._rows(train), train.labels()
        target = np.stack([rows[y == c].mean(0) for c in range(len(train.classes))])
        self.means, start = np.random.default_rng(self.context.seed).normal(size=target.shape), 0
        state = resume / "state.json"
        if state.exists():
            saved = json.loads(state.read_text())
            self.means, start = np.array(saved["means"]), saved["epoch"]
        curve, epoch = [], start
        for epoch in range(start + 1, (epochs or max_epochs or FAMILIES["centroid"].max_epochs) + 1):
            if asked_to_stop():
                raise Stopped
            self.means = (self.means + target) / 2
            write_json(state, {"means": self.means.tolist(), "epoch": epoch})
            curve.append({"epoch": epoch})
            if report and held_out is not None:
                report(epoch, held_out_metrics(self.predict(held_out), held_out.labels()))
        return FitResult(epoch, epoch, {}, tuple(curve))

    def predict(self, examples):
        assert examples.y is None or len(examples) == len(examples.y)
        distance = ((self._rows(examples)[:, None] - self.means) ** 2).sum(-1)
        e = np.exp(-self.hyperparameters["scale"] * distance) + 1e-9
        return (e / e.sum(1, keepdims=True)).astype(np.float32)

    def save(self, folder):
        shapes = {slot: list(shape) for slot, shape in self.context.shapes.items()}
        slot = min(shapes)
        by_slot = {"faces": "toy_cnn", "frames": "pooled", "members_1": "fused"}
        (folder / "model.json").write_text(
            json.dumps(
                {
                    "family": by_slot.get(slot, "centroid"),
                    "hyperparameters": self.hyperparameters,
                    "classes": self.context.classes,
                    "seed": 0,
                    "shapes": shapes,
                    "means": self.means.tolist(),
                }
            )
        )

    def activations(self, images, layer):
        flat = images.reshape(len(images), -1).astype(np.float32)
        return flat if layer == "flat" else flat[:, :1]

    def columns(self, layer):
        return tuple("abcd") if layer == "flat" else ()

    def encode(self, examples):
        return ((self._rows(examples)[:, None] - self.means) ** 2).sum(-1).astype(np.float32)

    def _rows(self, examples):
        widths = {slot: int(np.prod(shape)) for slot, shape in self.context.shapes.items()}
        return np.concatenate(
            [
                np.stack([np.asarray(a, np.float64).reshape(-1, widths[slot]).mean(0) for a in examples.inputs[slot]])
                for slot in sorted(widths)
            ],
            axis=1,
        )


def load(folder, device):
    data = json.loads((folder / "model.json").read_bytes())
    context = SimpleNamespace(shapes=data["shapes"], classes=data["classes"])
    return Centroid(data["hyperparameters"], context, np.array(data["means"]))


CENTROID = Family(
    name="centroid",
    paper="none",
    section="",
    summary="",
    inputs=(Input("x", "clip", 1, "vec"),),
    space={"scale": Float(0.1, 10.0, log=True), "steps": Int(1, 5), "kind": Choice(("a", "b")), "n": Choice((2, 4, 8))},
    published=({"scale": 1.0, "steps": 2, "kind": "a", "n": 4}, {"scale": 5.0, "steps": 2, "kind": "b", "n": 8}),
    build=Centroid,
    load=load,
    max_epochs=6,
    resources=Resources(cpu=1.0, gpu=0.25),
)
FAMILIES = {
    "centroid": CENTROID,
    "toy_cnn": replace(CENTROID, name="toy_cnn", stage="backbone", inputs=(Input("faces", "frame", 2, "imgs"),)),
    "fused": replace(
        CENTROID,
        name="fused",
        stage="fusion",
        inputs=(Input("members", "clip", 1, "centroid", many=True),),
    ),
    "pooled": replace(CENTROID, name="pooled", inputs=(Input("frames", "frame", 1, "toy_cnn.flat"),)),
}


def put_in_place(monkeypatch):
    """Let these be the only feature sets and families."""
    for name, record in SETS.items():
        module = ModuleType(f"fake_{name}")
        module.SET = record
        monkeypatch.setitem(sys.modules, f"fake_{name}", module)
    monkeypatch.setattr("features.sets._MODULES", {name: f"fake_{name}" for name in SETS})
    monkeypatch.setattr("models.registry.families", lambda: FAMILIES)


def corpus(folder: Path, name: str = "clips", sizes=(("train", 8), ("val", 8), ("test", 4)), failed=()) -> Path:
    """A clip table and, in `folder`/store, noisy features that carry the label (null for two test clips)."""
    rng = np.random.default_rng(1)
    clips = [
        Clip(
            f"{name}-{split}-{i}",
            None,
            split,
            None if split == "test" and i > 1 else CLASSES[i % 2],
            f"{'' if name == 'clips' else name}{split}{i // 2}",
            media_sha256=f"{name}{split}{i}",
        )
        for split, count in sizes
        for i in range(count)
    ]
    table = ClipTable(tuple(clips), folder)
    write_clips(table, folder / f"{name}.parquet")
    for spec, shape, steps in (("vec", (4,), 1), ("imgs", (2, 2), 3)):
        writer = set_writer(folder / "store", parse_spec(spec), table)
        for i, clip in enumerate(clips):
            if clip.clip_id in failed:
                writer.fail(clip.clip_id, ClipFailure("no_face", "no face in 3 frames"))
                continue
            values = rng.normal(i % 2, 0.6, (steps, *shape)).astype(np.float32)
            writer.add(clip.clip_id, FeatureArray(values, np.arange(steps) / 25))
        writer.finish()
    return folder / f"{name}.parquet"


def recipe_file(folder: Path, **changes) -> Path:
    """A recipe of one `centroid` entry, changed at its top level."""
    data = {"name": "small", "seed": 3, "stages": [{"stage": "clips", "entries": {"centroid": {"configurations": 2}}}]}
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump({**data, **changes}, sort_keys=False))
    return path


def forecasts(monkeypatch) -> list[str]:
    """What a search would say of its end after each trial."""
    lines, note = list[str](), Forecast.note

    def noted(self, trial):
        note(self, trial)
        lines.append(self.line())

    monkeypatch.setattr(Forecast, "note", noted)
    return lines


def message(function, *args, error=EmofuseError, **kwargs) -> str:
    """The sentence that a mistake is told with."""
    with pytest.raises(error) as caught:
        function(*args, **kwargs)
    return str(caught.value)
