"""The model card of a bundle: what it is, what it reached and on which clips, what it is not for."""

from collections.abc import Mapping
from typing import Any

from ensembles.fitting.ensemble import Ensemble, percent

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


def model_card(ensemble: Ensemble, contents: Mapping[str, Any]) -> str:
    """Markdown. `contents` is what bundle.json holds."""
    members = [
        f"| {member['entry']} | {member['family']} | {', '.join(sorted(member['inputs'].values()))} | {weight:.3f} |"
        for member, weight in zip(contents["members"], ensemble.weights.mean(axis=1), strict=True)
    ]
    scores = [
        f"| {WHO[who]} | {HOW[how]} | {percent(measured)} | {measured.metrics['unweighted_accuracy'] * 100:.1f} "
        f"| {measured.n_clips} clips, {measured.n_groups} groups |"
        for how in HOW
        for who in WHO
        if (measured := ensemble.scores.get(who, {}).get(how)) is not None  # type: ignore[call-overload]
    ]
    return "\n".join(
        [
            f"# {ensemble.name}",
            "",
            f"An ensemble of {len(ensemble.members)} models for emotion recognition in video, fused by the method "
            f"`{ensemble.method}` with one weight per model and class. It gives a probability for each of "
            f"{len(ensemble.classes)} classes: {', '.join(ensemble.classes)}.",
            "",
            "## Members",
            "",
            "| model | family | reads | mean weight |",
            "|---|---|---|---|",
            *members,
            "",
            "## What it reached",
            "",
            "Accuracy in percent, with a 95 % interval over groups (speakers, subjects or films).",
            "",
            "| who | measured on | accuracy | unweighted | rows |",
            "|---|---|---|---|---|",
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
            "    emofuse predict THIS_FOLDER clip.mp4",
            "",
            "Every file's sha256 stands in sha256.json; there is no pickle among them. Written with "
            + ", ".join(f"{name} {version}" for name, version in sorted(contents["versions"].items()))
            + ".",
            "",
        ]
    )
