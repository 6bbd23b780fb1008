"""What came out, in one honest sentence: the ensemble, the plain average and the best single model."""

from collections.abc import Mapping

from ensembles.records.ensemble import Ensemble, How, Measured, Who, percent, reached
from ensembles.report.blocks import Block, Cell, Column, Row, Section, Table, Text, Tile, Tiles
from ensembles.report.gather import Page

_WORDS: Mapping[How, str] = {
    "nested": "held-out clips, nested",
    "test": "test clips",
    "test_refit": "test clips, by refitted models",
}
_PLAIN = "The ensemble is the plain average of all candidates"
_CHOSEN = ": no other fusion was clearly better on clips that had no part in it"
_FIT: How = "fit"
_AVERAGES: tuple[Who, ...] = ("candidates_average", "uniform_average")


def section(page: Page) -> Section | None:
    """The headline of a run of classes."""
    if page.board is None:
        return None
    lead = page.lead
    if lead is None:
        best = page.board.members[0]
        bounds = f", 95 % interval {_between(best.interval)}" if best.interval else ""
        value = f"{100 * best.accuracy:.1f} %"
        note = f"{page.called(best.name)}, on {page.board.n_clips} held-out clips{bounds}"
        if len(page.board.members) > 1:
            note += f"; it is the best of {len(page.board.members)} by these very clips, so it looks better than it is"
        blocks: list[Block] = [Tiles([Tile("Best single model", value, note, main=True)])]
        blocks.append(Text("No ensemble is fitted yet: `emofuse ensemble fit` searches its weights.", "plain"))
        return Section("headline", "What came out", "The best model so far; no ensemble is fitted.", blocks)
    hows: list[How] = [how for how in ("test_refit", "test", "nested") if how in lead.scores["ensemble"]]
    blocks = [Tiles(_tiles(page, lead, hows))]
    blocks += [Text(sentence(page, lead, how), "plain") for how in hows]
    if lead.is_plain_average:
        blocks.append(Text(_PLAIN + _CHOSEN * bool(lead.choice) + ".", "plain"))
    blocks += [Text(told, "warn") for told in warnings(lead, hows)] or [Text(told, "good") for told in _won(lead, hows)]
    if lead.verdict:
        blocks.append(Text(lead.verdict.replace(lead.best_single, page.called(lead.best_single))))
    blocks.append(_table(page, lead, hows))
    says = (
        "The ensemble beside what is simpler, each with its 95 % interval over groups, on clips that had no part in "
        "choosing any of them."
    )
    return Section("headline", "What came out", says, blocks)


def sentence(page: Page, lead: Ensemble, how: How) -> str:
    """The three measures on one kind of clips."""
    own = lead.scores["ensemble"][how]
    where = "held-out clips, by weights of other groups"
    if how != "nested":
        where = "test clips that nothing was chosen on" + ", by refitted models" * (how == "test_refit")
    text = f"On {own.n_clips} {where} ({own.n_groups} groups), the ensemble {lead.name} is right on {_told(own)}"
    average, who = _average(lead, how), _average_name(lead, how)
    if average is not None:
        text += f"; the plain average of {who} on {_told(average)}"
    single = lead.scores.get("best_single", {}).get(how)
    if single is not None:
        chosen = "chosen anew in each fold by its held-out accuracy" if how == "nested" else "chosen by held-out clips"
        name = "the best single model" if how == "nested" else f"the best single model, {page.called(lead.best_single)}"
        text += f"; {name} ({chosen}) on {_told(single)}"
    return f"{text}."


def warnings(lead: Ensemble, hows: list[How]) -> list[str]:
    """Where the ensemble isn't ahead of what is simpler; that it is itself the plain average is no such thing."""
    found = []
    for how in hows:
        own = lead.scores["ensemble"][how]
        average = None if lead.is_plain_average else _average(lead, how)
        rivals = [("the plain average", average), ("the best single model", _single(lead, how))]
        beaten = [(name, rival) for name, rival in rivals if rival is not None and rival.accuracy >= own.accuracy]
        if beaten:
            told = " and ".join(f"{name} ({100 * rival.accuracy:.1f} %)" for name, rival in beaten)
            verb = "is as good or better" if len(beaten) == 1 else "are as good or better"
            found.append(f"The ensemble ({100 * own.accuracy:.1f} %) does not win on {_WORDS[how]}: {told} {verb}.")
    return found


def _won(lead: Ensemble, hows: list[How]) -> list[str]:
    compared = [how for how in hows if _average(lead, how) is not None or _single(lead, how) is not None]
    if not compared:
        return []
    where = " and on ".join(_WORDS[how] for how in compared)
    rivals = "" if lead.is_plain_average else "the plain average and of "
    return [f"The ensemble is ahead of {rivals}the best single model on {where}."]


def _tiles(page: Page, lead: Ensemble, hows: list[How]) -> list[Tile]:
    if not hows:
        fit = lead.scores["ensemble"][_FIT]
        note = "on the rows that chose the weights: no estimate for other clips"
        return [Tile("Ensemble, fitted", f"{100 * fit.accuracy:.1f} %", note)]
    how = hows[0]
    shown = [Tile(f"Ensemble on {_WORDS[how]}", *_value(lead.scores["ensemble"][how]), main=True)]
    if (average := _average(lead, how)) is not None:
        shown.append(Tile(f"Plain average of {_average_name(lead, how)}", *_value(average)))
    if (single := _single(lead, how)) is not None:
        name = page.called(lead.best_single)
        shown.append(Tile("Best single model, by held-out clips", _value(single)[0], f"{name}; {_value(single)[1]}"))
    nested = lead.scores["ensemble"].get("nested")
    if nested is not None and how != "nested":
        shown.append(Tile("Estimate without test clips", *_value(nested)))
    return shown


def _table(page: Page, lead: Ensemble, hows: list[How]) -> Table:
    names: Mapping[Who, str] = {
        "ensemble": f"ensemble {lead.name}",
        "uniform_average": "plain average of its members",
        "candidates_average": "plain average of all candidates",
        "best_single": f"best single model ({page.called(lead.best_single)})",
    }
    shown: list[How] = [*hows, _FIT]
    columns = [Column("what"), *(Column(_WORDS.get(how, "fitted: on the rows that chose it"), True) for how in shown)]
    rows = []
    for who, name in names.items():
        scores = lead.scores.get(who, {})
        cells = [Cell(percent(scores[how]), sort=scores[how].accuracy) if how in scores else Cell("-") for how in shown]
        rows.append(Row([Cell(name), *cells], strong=who == "ensemble"))
        if lead.metric not in ("accuracy", "ccc"):
            told = [reached(scores[how], lead.metric) if how in scores else "-" for how in shown]
            texts = [Cell(text.removeprefix(f"{lead.metric} ")) for text in told]
            rows.append(Row([Cell(f"{name}: {lead.metric}"), *texts]))
    return Table("headline", "Accuracy in percent with 95 % intervals over groups", columns, rows)


def _average(lead: Ensemble, how: How) -> Measured | None:
    """The plain average that is the better rival: of all candidates where it is known."""
    found = [lead.scores[who][how] for who in _AVERAGES if how in lead.scores.get(who, {})]
    return max(found, key=lambda measured: measured.accuracy, default=None)


def _average_name(lead: Ensemble, how: How) -> str:
    best = _average(lead, how)
    everybody = lead.scores.get("candidates_average", {}).get(how)
    return "all candidates" if everybody is not None and everybody is best else "its members"


def _single(lead: Ensemble, how: How) -> Measured | None:
    return lead.scores.get("best_single", {}).get(how)


def _value(measured: Measured) -> tuple[str, str]:
    clips = f"{measured.n_clips} clips of {measured.n_groups} groups"
    bounds = f"95 % interval {_between(measured.interval)}, " if measured.interval else ""
    return f"{100 * measured.accuracy:.1f} %", f"{bounds}{clips}"


def _told(measured: Measured) -> str:
    bounds = f" (95 % interval {_between(measured.interval)})" if measured.interval else ""
    return f"{100 * measured.accuracy:.1f} %{bounds}"


def _between(interval: object) -> str:
    return f"{100 * interval.low:.0f} to {100 * interval.high:.0f} %"  # type: ignore[attr-defined]
