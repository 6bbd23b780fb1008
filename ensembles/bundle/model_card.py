"""The model card of a bundle: what it is, what it reached and on which clips, what it is not for."""

from collections.abc import Mapping, Sequence
from typing import Any

from ensembles.records.ensemble import Ensemble, Measured, ccc, percent

HOW = {
    "test_refit": "untouched test clips, members refitted on train and val (what this bundle holds)",
    "test": "untouched test clips, members as searched",
    "nested": "held-out clips, each scored by weights fitted without its group",
    "fit": "the clips that chose the weights (always too high)",
}
WHO = {
    "ensemble": "this ensemble",
    "best_single": "best single model",
    "uniform_average": "plain average of its members",
    "candidates_average": "plain average of all candidates",
}


def _words(how: str, over_time: bool) -> str:
    return how.replace("clip's", "recording's").replace("clips", "recordings") if over_time else how


def _values(measured: Measured, outputs: Sequence[str], over_time: bool) -> list[str]:
    if over_time:
        rows = f"{measured.n_clips} recordings, {measured.n_groups} groups"
        return [ccc(measured), *(ccc(measured, name) for name in outputs), rows]
    unweighted = f"{measured.metrics['unweighted_accuracy'] * 100:.1f}"
    return [percent(measured), unweighted, f"{measured.n_clips} clips, {measured.n_groups} groups"]


def model_card(ensemble: Ensemble, contents: Mapping[str, Any]) -> str:
    """Markdown. `contents` is what bundle.json holds."""
    members = [
        f"| {member['entry']} | {member['family']} | {', '.join(sorted(member['inputs'].values()))} | {weight:.3f} |"
        for member, weight in zip(contents["members"], ensemble.weights.mean(axis=1), strict=True)
    ]
    over_time = ensemble.over_time is not None
    scores = [
        f"| {WHO[who]} | {_words(HOW[how], over_time)} | {' | '.join(_values(measured, ensemble.outputs, over_time))} |"
        for how in HOW
        for who in WHO
        if (measured := ensemble.scores.get(who, {}).get(how)) is not None  # type: ignore[call-overload]
    ]
    kind, plural = ("dimension", "dimensions") if over_time else ("class", "classes")
    measure = "Concordance correlation coefficient (CCC)" if over_time else "Accuracy in percent"
    columns = ["mean CCC", *ensemble.outputs] if over_time else ["accuracy", "unweighted"]
    what = f"a value every {ensemble.over_time.step_s:g} s of" if ensemble.over_time else "a probability for each of"
    return "\n".join(
        [
            f"# {ensemble.name}",
            "",
            f"An ensemble of {len(ensemble.members)} models for emotion recognition in video, fused by the method "
            f"`{ensemble.method}` with one weight per model and {kind}. It gives {what} {len(ensemble.outputs)} "
            f"{plural}: {', '.join(ensemble.outputs)}.",
            "",
            "## Members",
            "",
            "| model | family | reads | mean weight |",
            "|---|---|---|---|",
            *members,
            "",
            "## What it reached",
            "",
            f"{measure}, with a 95 % interval over groups (speakers, subjects or films).",
            "",
            f"| who | measured on | {' | '.join(columns)} | rows |",
            f"|{'---|' * (len(columns) + 3)}",
            *scores,
            "",
            "## Limits",
            "",
            "It learnt how the people of one corpus showed emotions and how annotators named them; other people,",
            "cultures, cameras and languages will fare worse, and a shown emotion is not a felt one. It is for",
            "research, not for decisions about people.",
            "",
            "## Use",
            "",
            f"    emofuse predict THIS_FOLDER {'recording.mp4 -o values.csv' if over_time else 'clip.mp4'}",
            "",
            "Every file's sha256 stands in sha256.json; there is no pickle among them. Written with "
            + ", ".join(f"{name} {version}" for name, version in sorted(contents["versions"].items()))
            + ".",
            "",
        ]
    )
