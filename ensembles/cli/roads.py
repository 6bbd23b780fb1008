"""The roads of the five papers: from a corpus to a run with its submissions, command by command."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ensembles.cli.steps import run_command, show_title
from ensembles.papers.published import RECIPES
from features.clips import read_clips
from features.errors import WrongUse
from features.files import write_bytes
from features.progress import say
from search.recipe.recipe import Recipe, recipe_of_data
from search.recipe.submissions import Submission
from search.recipe.yaml_files import read_yaml
from search.smoke import smoke_recipe

_EQUALISED = "faces:equalise=true"
_QUICK = {"draws": 500, "sigma_min": 0.1}  # a decision search of a smoke run
Edit = Callable[[dict[str, Any]], None]


@dataclass
class Road:
    """What a reproduction is given and where it works; `notes` gathers what it can't do, in plain words.

    `train` are the words that commands that train are given, `extract` those of extractions.
    """

    paper: str
    data: Path
    out: Path
    stills: Path | None = None
    people: Path | None = None
    weights: tuple[str, ...] = ()
    labels: Path | None = None
    train: tuple[str, ...] = ()
    extract: tuple[str, ...] = ()
    smoke: bool = False
    notes: list[str] = field(default_factory=list)

    @property
    def run(self) -> Path:
        """The run folder."""
        return self.out / "run"

    @property
    def store(self) -> Path:
        """The feature store."""
        return self.out / "store"

    def table(self, name: str) -> Path:
        """The place of a clip table."""
        return self.out / f"{name}.parquet"

    def make_table(self, name: str, adapter: str, root: Path, *words: object) -> None:
        """Make a clip table unless it is there."""
        if self.table(name).exists():
            say(f"{self.table(name)} is there already")
            return
        run_command("clips", adapter, root, "-o", self.table(name), *words)

    def features(self, name: str, *sets: str) -> None:
        """Extract sets of a table's clips."""
        chosen = [word for spec in sets for word in ("-s", spec)]
        run_command("features", "extract", self.table(name), *chosen, "-o", self.store, *self.extract)

    def recipe(self, name: str, *edits: Edit) -> Path:
        """The recipe of that name in the folder of the reproduction, edited, and small in a smoke run."""
        path = self.out / f"{name}.yaml"
        source = RECIPES / f"{name}.yaml"
        data = read_yaml(source, "a recipe")
        for edit in edits:
            edit(data)
        text = source.read_text(encoding="utf-8")
        if self.smoke:
            data = _small(recipe_of_data(data, str(source))).as_data()
        if self.smoke or edits:
            what = "at tiny sizes" if self.smoke else "changed where this corpus asks for it"
            text = f"# {source.name}, {what}\n{yaml.safe_dump(data, sort_keys=False, width=110)}"
        write_bytes(path, text.encode())
        return path

    def search(self, recipe: Path, clips: str, stills: str | None, run: Path, weights: Iterable[str] = ()) -> None:
        """Train what a recipe asks for."""
        words: list[object] = ["--clips", self.table(clips), "--store", self.store]
        words += ["--stills", self.table(stills)] if stills else []
        words += [word for item in weights for word in ("--weights", item)]
        run_command("search", "run", recipe, *words, "-o", run, *self.train)

    def test_words(self) -> tuple[object, ...]:
        """What commands are given to score the test clips: nothing where none has a label."""
        if self.labels is not None:
            return ("--test", "--labels", self.labels)
        table = read_clips(self.table("clips"))
        annotated = table.annotations.series if table.annotations else {}
        known = any(clip.label is not None or clip.clip_id in annotated for clip in table.split("test"))
        return ("--test",) if known else ()

    def submissions(self) -> None:
        """Build the recipe's submissions, with the refits that they need."""
        run_command("ensemble", "submissions", self.run, *self.test_words(), *self.train)

    def own_weights(self, entry: str) -> tuple[str, ...]:
        """The weights that the user gave for an entry."""
        return tuple(item for item in self.weights if item.partition("=")[0] == entry)


def _small(recipe: Recipe) -> Recipe:
    small = smoke_recipe(recipe, own_data=True)
    quick = tuple(one.model_copy(update={"params": _QUICK}) if _draws(one) else one for one in small.submissions)
    return small.model_copy(update={"submissions": quick})


def _draws(one: Submission) -> bool:
    """Whether a submission of classes is a decision search, which it is where it names no method."""
    return not one.refit_of and one.method in (None, "decision")


def kahou(road: Road) -> None:
    """AFEW and FER2013."""
    show_title("Tables of clips and stills")
    road.make_table("clips", "afew", road.data)
    road.make_table("stills", "fer2013", needed(road, "stills"), "--store", road.store, "--equalise")
    show_title("Features; faces are registered onto FER2013's mean shape (2.1.2)")
    road.features("clips", _EQUALISED, "is10", "motion_blocks")
    spec = _registered(road)
    if spec != _EQUALISED:
        road.features("clips", spec)

    def registered(data: dict[str, Any]) -> None:
        for entry in data["stages"][0]["entries"].values():
            entry["clip_faces"] = spec

    show_title("All models: CNNs on stills, then both partitions, then the fusion networks")
    road.search(road.recipe("kahou2015", registered), "clips", "stills", road.run)
    show_title("The seven submissions (6.3)")
    road.submissions()


def _registered(road: Road) -> str:
    """The spec of the faces moved onto FER2013's mean shape; unmoved where no landmarks can be found."""
    import contextlib
    import io
    from importlib.util import find_spec

    known = road.out / "registered.txt"
    if known.exists():
        return known.read_text(encoding="utf-8").strip()
    if find_spec("dlib") is None:
        road.notes.append("Faces are not registered (2.1.2): landmarks need `pip install 'emofuse[research]'`.")
        return _EQUALISED
    words = (road.table("clips"), "-s", _EQUALISED, "-o", road.store, "--reference", road.table("stills"))
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        run_command("features", "register", *words, "--reference-set", "fer2013_equalised")
    spec = shown.getvalue().strip().splitlines()[-1]
    print(spec)
    write_bytes(known, spec.encode())
    return spec


def guo(road: Road) -> None:
    """AFEW with the organisers' faces, and FER2013."""
    from features.datasets.afew_faces import face_files

    show_title("Tables of clips and stills")
    given = bool(face_files(road.data))
    faces = ("--store", road.store, "--faces-size", 224, "--faces-colour") if given else ()
    road.make_table("clips", "afew", road.data, *faces)
    stills = ("--store", road.store, "--size", 224, "--colour")
    road.make_table("stills", "fer2013", needed(road, "stills"), *stills)
    show_title("Features")
    road.features("clips", "faces:colour=true,fps=7.5,size=224", "is10", "short_term", "audio_maps")
    edits: list[Edit] = []
    if not given:
        road.notes.append(
            "The corpus holds no faces of the organisers (AlignedFaces_LBPTOP_Points), so there is no second VGG-LSTM, "
            "and no hybrid of exactly the paper's five models."
        )
        edits.append(lambda data: _without(data, "vgg_lstm_given"))
    weights = road.own_weights("vgg16")
    if not weights:
        road.notes.append("No --weights vgg16=FILE: VGG-16 starts anew where the paper starts from VGG-Face (2.1).")
    show_title("All models: VGG-16 on FER2013, then its LSTM and the audio models")
    road.search(road.recipe("guo2019", *edits), "clips", "stills", road.run, weights)
    show_title("Both VGG-LSTM, the hybrid network, and the hybrid trained on train and val (3.2)")
    road.submissions() if given else say("No submission is left: each needs the second VGG-LSTM.")


def _without(data: dict[str, Any], entry: str) -> None:
    """Leave an entry out, and the submissions that need it."""
    for stage in data["stages"]:
        stage["entries"].pop(entry, None)
    gone: set[str] = set()
    kept = []
    for one in data["submissions"]:
        needs = {*one.get("members", ()), *one.get("over", ()), one.get("refit_of")}
        if needs & {entry, *gone}:
            gone.add(one["name"])
        else:
            kept.append(one)
    data["submissions"] = kept


def chao(road: Road) -> None:
    """AFEW, SFEW, and people's faces or weights of a network trained on such."""
    faces, of_stills = "faces:colour=true,size=224", "faces:colour=true,detector=none,size=224"
    weights, edits = road.own_weights("alexnet_face"), list[Edit]()
    if not weights and road.people is not None:
        show_title("A network that tells people apart (3.2)")
        road.make_table("people", "images", road.people)
        road.features("people", of_stills)
        run = road.out / "faces_run"
        road.search(road.recipe("chao2016_faces"), "people", "people", run)
        weights = (f"alexnet_face={run}:alexnet_face",)
    elif not weights:
        road.notes.append(
            "Neither --people FOLDER (faces by person) nor --weights alexnet_face=...: the network starts anew and is "
            "trained on SFEW, where the paper keeps convolutions that know 1,032 people (3.2)."
        )
        edits.append(lambda data: data["stages"][0]["entries"]["alexnet_face"].update(fixed={"frozen": False}))
    show_title("Tables of clips and stills")
    road.make_table("clips", "afew", road.data)
    road.make_table("stills", "images", needed(road, "stills"))
    show_title("Features")
    road.features("stills", of_stills)
    road.features("clips", faces, "landmarks", "yaafe_like:peaks=false")
    show_title("All models: layers of the network, encoders, fusion of encodings")
    road.search(road.recipe("chao2016", *edits), "clips", "stills", road.run, weights)
    show_title("Fusion at the decision level (2.3)")
    road.submissions()


def huang(road: Road) -> None:
    """SEWA."""
    show_title("The table of recordings: the last eight of Train are held out, the development set is test (4.1)")
    road.make_table("clips", "sewa", road.data, "--tune", 8)
    show_title("Features")
    road.features("clips", "faces:size=112,fps=10")
    show_title("All models of tables 2 and 3")
    road.search(road.recipe("huang2018"), "clips", None, road.run)
    show_title("All models, and their fusion, which the paper has not")
    run_command("ensemble", "leaderboard", road.run, *road.test_words())
    run_command("ensemble", "fit", road.run, "--name", "fusion", "--replace", *road.test_words())


def zheng(road: Road) -> None:
    """CHEAVD, and FER2013 or weights of a network trained on it."""
    weights = road.own_weights("convnet100")
    if not weights:
        show_title("The ConvNet on FER2013")
        road.make_table("stills", "fer2013", needed(road, "stills"), "--store", road.store, "--size", 100)
        run = road.out / "fer_run"
        road.search(road.recipe("zheng_fer2013"), "stills", "stills", run)
        weights = (f"convnet100={run}:convnet100",)
    show_title("The table of clips, and features")
    road.make_table("clips", "cheavd", road.data)
    road.features("clips", "faces:size=100")
    show_title("Its dense layers on CHEAVD's faces, then the LSTM with and without attention")
    road.search(road.recipe("zheng"), "clips", "clips", road.run, weights)
    run_command("ensemble", "leaderboard", road.run, "--recall")


ROADS: dict[str, Callable[[Road], None]] = {
    "kahou2015": kahou,
    "guo2019": guo,
    "chao2016": chao,
    "huang2018": huang,
    "zheng": zheng,
}
# By paper: the made-up corpora of a smoke run, by the option that takes them.
LAYOUTS = {
    "kahou2015": {"data": "afew", "stills": "fer2013"},
    "guo2019": {"data": "afew", "stills": "fer2013"},
    "chao2016": {"data": "afew", "stills": "sfew", "people": "people"},
    "huang2018": {"data": "sewa"},
    "zheng": {"data": "cheavd", "stills": "fer2013"},
}
STILLS = {
    "kahou2015": "FER2013's CSV",
    "guo2019": "FER2013's CSV",
    "chao2016": "SFEW's folder",
    "zheng": "FER2013's CSV",
}


def needed(road: Road, option: str) -> Path:
    """What an option gives; WrongUse where it is absent."""
    found: Path | None = getattr(road, option)
    if found is None:
        raise WrongUse(f"{road.paper} needs --{option}, {STILLS[road.paper]}.")
    return found
