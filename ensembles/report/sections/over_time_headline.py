"""Continuous emotion in one honest sentence: the ensemble, the plain average and the best single models, by CCC."""

from collections.abc import Mapping, Sequence

from ensembles.continuous.run import ContinuousMember, ContinuousRun
from ensembles.records.ensemble import Ensemble, How, Measured, Who, ccc
from ensembles.report.blocks import Block, Cell, Column, Row, Section, Table, Text, Tile, Tiles

_WORDS: Mapping[How, str] = {
    "nested": "held-out recordings, nested",
    "test": "test recordings",
    "test_refit": "test recordings, by refitted models",
    "fit": "fitted: on the recordings that chose it",
}
_RIVALS: Mapping[Who, str] = {
    "candidates_average": "the plain average of all candidates",
    "best_single": "the best single model of each dimension",
}


def headline(found: ContinuousRun, ensembles: Sequence[Ensemble], names: Mapping[str, str]) -> Section:
    """What came out; `names` are what people call the members."""
    recordings = found.recordings
    where = f"{len(set(recordings.recording))} held-out recordings of {len(set(recordings.group))} groups"
    models = f"{_count(len(found.members), 'model')} and {_count(len(ensembles), 'ensemble')}"
    says = f"{models} of {', '.join(found.dimensions)} on {where}, by their concordance with the labels (CCC)."
    title = "Continuous emotion: what came out"
    if not ensembles:
        return Section("continuous", title, says, _single_alone(found.members[0], found, names))
    lead = ensembles[0]
    hows: list[How] = [how for how in ("test_refit", "test", "nested") if how in lead.scores["ensemble"]]
    blocks: list[Block] = [Tiles(_tiles(lead, hows, names))]
    blocks += [Text(sentence(lead, how), "plain") for how in hows]
    blocks += [Text(told, "warn") for told in warnings(lead, hows)] or [Text(told, "good") for told in _won(lead, hows)]
    if lead.verdict:
        blocks.append(Text(_called(lead.verdict, lead, names)))
    return Section("continuous", title, says, [*blocks, _table(lead, hows, names)])


def sentence(lead: Ensemble, how: How) -> str:
    """All that is measured on one kind of recordings."""
    own = lead.scores["ensemble"][how]
    where = f"{_count(own.n_clips, 'held-out recording')}, by weights of others"
    if how != "nested":
        where = f"{_count(own.n_clips, 'test recording')} that nothing was chosen on"
        where += ", by refitted models" * (how == "test_refit")
    text = f"On {where} ({_count(own.n_groups, 'group')}), the ensemble {lead.name} reaches a mean CCC "
    text += f"of {_told(own)}"
    for who, rival in _rivals(lead, how).items():
        chosen = f", chosen {'anew in each fold' if how == 'nested' else 'by held-out recordings'}" * (
            who == "best_single"
        )
        text += f"; {_RIVALS[who]}{chosen}, {_told(rival)}"
    return f"{text}."


def warnings(lead: Ensemble, hows: Sequence[How]) -> list[str]:
    """Where the ensemble isn't ahead of what is simpler."""
    found = []
    for how in hows:
        own = _ccc(lead.scores["ensemble"][how])
        beaten = {_RIVALS[who]: _ccc(rival) for who, rival in _rivals(lead, how).items() if _ccc(rival) >= own}
        if beaten:
            told = " and ".join(f"{name} ({value:.3f})" for name, value in beaten.items())
            verb = "is as good or better" if len(beaten) == 1 else "are as good or better"
            found.append(f"The ensemble ({own:.3f}) does not win on {_WORDS[how]}: {told} {verb}.")
    return found


def _won(lead: Ensemble, hows: Sequence[How]) -> list[str]:
    compared = {how: _rivals(lead, how) for how in hows}
    told = [f"{_WORDS[how]} of {' and '.join(_RIVALS[who] for who in own)}" for how, own in compared.items() if own]
    return [f"The ensemble is ahead on {'; on '.join(told)}."] if told else []


def _tiles(lead: Ensemble, hows: Sequence[How], names: Mapping[str, str]) -> list[Tile]:
    if not hows:
        note = "on the recordings that chose the weights: no estimate for others"
        return [Tile("Ensemble, fitted", f"{_ccc(lead.scores['ensemble']['fit']):.3f}", note)]
    how = hows[0]
    tiles = [Tile(f"Ensemble on {_WORDS[how]}, mean CCC", *_value(lead.scores["ensemble"][how]), main=True)]
    for who, rival in _rivals(lead, how).items():
        value, note = _value(rival)
        if who == "best_single":
            tiles.append(
                Tile(
                    "Best single model, by held-out recordings",
                    value,
                    f"{_called(lead.best_single, lead, names)}; {note}",
                )
            )
        else:
            tiles.append(Tile("Plain average of all candidates", value, note))
    nested = lead.scores["ensemble"].get("nested")
    if nested is not None and how != "nested":
        tiles.append(Tile("Estimate without test recordings", *_value(nested)))
    return tiles


def _single_alone(best: ContinuousMember, found: ContinuousRun, names: Mapping[str, str]) -> list[Block]:
    count = len(set(found.recordings.recording))
    note = f"{names.get(best.name, best.name)}, on {_count(count, 'held-out recording')}"
    if len(found.members) > 1:
        note += f"; it is the best of {len(found.members)} by these very recordings, so it looks better than it is"
    tile = Tile("Best single model, mean CCC", f"{best.metrics['ccc']:.3f}", note, main=True)
    return [Tiles([tile]), Text("No ensemble is fitted yet: `emofuse ensemble fit` searches its weights.", "plain")]


def _table(lead: Ensemble, hows: Sequence[How], names: Mapping[str, str]) -> Table:
    shown: list[How] = [*hows, "fit"]
    who: Mapping[Who, str] = {
        "ensemble": f"ensemble {lead.name}",
        "candidates_average": "plain average of all candidates",
        "best_single": f"best single model ({_called(lead.best_single, lead, names)})",
    }
    rows = []
    for dimension in ("", *lead.outputs):
        for one, name in who.items():
            own = lead.scores.get(one, {})
            cells = [
                Cell(ccc(own[how], dimension), sort=own[how].metrics[_key(dimension)]) if how in own else Cell("-")
                for how in shown
            ]
            rows.append(
                Row([Cell(name), Cell(dimension or "mean"), *cells], strong=one == "ensemble" and not dimension)
            )
    columns = [Column("what"), Column("dimension", choices=True), *(Column(_WORDS[how], True) for how in shown)]
    return Table("continuous", "CCC with 95 % intervals over groups", columns, rows)


def _rivals(lead: Ensemble, how: How) -> dict[Who, Measured]:
    return {who: lead.scores[who][how] for who in _RIVALS if how in lead.scores.get(who, {})}


def _called(text: str, lead: Ensemble, names: Mapping[str, str]) -> str:
    """A text with what people call the members that it names."""
    for name in lead.over_time.best_singles if lead.over_time else ():
        text = text.replace(name, names.get(name, name))
    return text


def _key(dimension: str) -> str:
    return f"ccc_{dimension}" if dimension else "ccc"


def _ccc(measured: Measured) -> float:
    return measured.metrics["ccc"]


def _value(measured: Measured) -> tuple[str, str]:
    bounds = measured.intervals.get("ccc")
    interval = f"95 % interval {bounds.low:.3f} to {bounds.high:.3f}, " if bounds else ""
    groups = _count(measured.n_groups, "group")
    return f"{_ccc(measured):.3f}", f"{interval}{_count(measured.n_clips, 'recording')} of {groups}"


def _told(measured: Measured) -> str:
    bounds = measured.intervals.get("ccc")
    interval = f" (95 % interval {bounds.low:.3f} to {bounds.high:.3f})" if bounds else ""
    return f"{_ccc(measured):.3f}{interval}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
