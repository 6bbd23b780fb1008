"""The catalogue of architecture families as data, and as text to read."""

from typing import Any

from models.family import Family
from models.registry import family_origin
from models.space import space_as_data


def family_as_data(family: Family) -> dict[str, Any]:
    """All of a family's record that can be written down, JSON-ready."""
    return {
        "name": family.name,
        "paper": family.paper,
        "section": family.section,
        "summary": family.summary,
        "stage": family.stage,
        "tasks": list(family.tasks),
        "inputs": [
            {"slot": i.slot, "level": i.level, "rank": i.rank, "default": i.default, "many": i.many}
            for i in family.inputs
        ],
        "space": space_as_data(family.space),
        "published": [dict(point) for point in family.published],
        "max_epochs": family.max_epochs,
        "resources": {
            "cpu": family.resources.cpu,
            "gpu": family.resources.gpu,
            "memory_mb": family.resources.memory_mb,
            "stall_s": family.resources.stall_s,
            "time_limit_s": family.resources.time_limit_s,
        },
        "version": family.version,
        "from": family_origin(family.name) or "emofuse",
    }


def described(family: Family) -> str:
    """One family on a page: what it is, what it reads, what is searched, what the paper used."""
    data = family_as_data(family)
    stage = f"  stage {family.stage}, {' or '.join(family.tasks)}"
    lines = [f"{family.name}: {family.summary}", f"  {family.paper}, {family.section}", stage]
    if data["from"] != "emofuse":
        lines.append(f"  a plug-in's: {data['from']}")
    lines += [f"  reads {slot['slot']}: {slot['default']} by default (per {slot['level']})" for slot in data["inputs"]]
    lines.append("  searched:")
    lines += [f"    {name}: {_range(parameter)}" for name, parameter in data["space"].items()] or ["    nothing"]
    lines.append("  published (tried first):")
    for point in data["published"]:
        lines.append("    " + (", ".join(f"{name}={value}" for name, value in point.items()) or "nothing to set"))
    lines.append(
        f"  at most {family.max_epochs} epochs; {family.resources.cpu:g} CPU, {family.resources.gpu:g} GPU, "
        f"about {family.resources.memory_mb} MB"
    )
    return "\n".join(lines)


def _range(parameter: dict[str, Any]) -> str:
    if parameter["kind"] == "choice":
        return " | ".join(map(str, parameter["values"]))
    scale = ", logarithmic" if parameter["log"] else ""
    return f"{parameter['low']:g} to {parameter['high']:g}{scale}"
