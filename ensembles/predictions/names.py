"""What the members of a run are called, and which of them a name asks for."""

from collections.abc import Collection, Sequence

from features.names import unknown_name


def called(entry: str, config_key: str) -> str:
    """The name of a configuration of an entry, short and unique in a run."""
    return f"{entry}/{config_key[:12]}"


def asked_for(name: str, wanted: str) -> bool:
    """Whether the member of that name is wanted: by its entry, or by `ENTRY/CONFIG` of which the end may be missing."""
    return name.startswith(wanted) if "/" in wanted else name.partition("/")[0] == wanted


def refuse_unknown(names: Sequence[str], members: Collection[str] | None, entries: Collection[str] | None) -> None:
    """WrongUse, with the nearest, for a wanted member or entry that there is not among the members' `names`."""
    known = {name.partition("/")[0] for name in names}
    for one in members or ():
        if not any(asked_for(name, one) for name in names):
            raise unknown_name("member", one, {*known, *names})
    for one in entries or ():
        if one not in known:
            raise unknown_name("entry", one, known)
