"""Names that people write: the same name is spelled in several ways, and nobody sees a blank at its end.

Blanks around a text are never part of it. Two names that differ only by case, blanks or Unicode form are one name:
labels, groups, splits and models are brought to one spelling, ids of clips are matched or refused, and what was
changed is told. What is the same is decided by `key` alone.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache

from features.errors import EmofuseError
from features.progress import say

_SHOWN = 3
# Marks that take no place on a page, such as the byte order mark; blanks are what `str.isspace` says.
_INVISIBLE = "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
_UNPRINTED = re.compile(rf"[\s{_INVISIBLE}]")
_UNSEEN = re.compile(f"[{_INVISIBLE}]")
_AROUND = re.compile(rf"^[\s{_INVISIBLE}]+|[\s{_INVISIBLE}]+$")
# `1 11` and `11 1` are two names, `s 1` and `s1` are one.
_BLANKS = re.compile(r"(?<!\d)\s+|\s+(?!\d)")
_RUN = re.compile(r"\s+")
_MISSING = frozenset({"na", "n/a", "#n/a", "#na", "<na>", "nan", "-nan", "null", "none", "nil", "nat", "?", "-"})


def trimmed(text: str) -> str:
    """The text without blanks around it, its accents composed (Unicode's NFC)."""
    return _AROUND.sub("", unicodedata.normalize("NFC", text))


@lru_cache(maxsize=1 << 16)
def key(text: str) -> str:
    """What all spellings of a name have in common."""
    if text.isascii():
        folded = text.lower()
    else:
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    if not _UNPRINTED.search(folded):
        return folded
    return _RUN.sub(" ", _BLANKS.sub("", _AROUND.sub("", _UNSEEN.sub("", folded))))


def spellings(names: Iterable[str]) -> dict[str, list[str]]:
    """For each key that several of the names have, these names, sorted."""
    found: dict[str, set[str]] = defaultdict(set)
    for name in names:
        found[key(name)].add(name)
    return {shared: sorted(alike) for shared, alike in found.items() if len(alike) > 1}


def one_spelling(texts: Iterable[str | None], what: str, where: object, known: Collection[str] = ()) -> dict[str, str]:
    """For each text the spelling to use: one of `known`, else the most frequent (of equal ones the first sorted).

    None is no text. One line tells what is merged; `what` the texts are (`label`) and `where` they stand begin it.
    """
    counts = Counter(text for text in texts if text is not None)
    of_key = {key(name): name for name in known}
    chosen = {name: of_key.get(key(name), name) for name in counts}
    for shared, alike in spellings(counts).items():
        if shared not in of_key:
            bare: Counter[str] = Counter()
            for name in alike:
                bare[trimmed(name)] += counts[name]
            best = min(bare, key=lambda name: (-bare[name], name))
            chosen.update(dict.fromkeys(alike, best))
    changed: dict[str, list[str]] = defaultdict(list)
    for name, to in chosen.items():
        if name != to:
            changed[to].append(name)
    told = [f"{quoted(sorted(names))} {'is' if len(names) == 1 else 'are'} {to!r}" for to, names in changed.items()]
    if told:
        rows = sum(counts[name] for names in changed.values() for name in names)
        more = f"; and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
        say(
            f"warning: {where}: each {what} has one spelling, whatever its case, blanks and Unicode form: "
            f"{'; '.join(told[:_SHOWN])}{more} ({rows} row{'s' * (rows != 1)} changed)"
        )
    return chosen


def tell_words(texts: Iterable[str | None], what: str, where: object) -> None:
    """Tell of words that often stand for a missing value, which are names here like all others."""
    counts = Counter(text for text in texts if text is not None)
    words = sorted(word for word in counts if key(word) in _MISSING)
    if words:
        rows = sum(counts[word] for word in words)
        say(
            f"warning: {where}: {quoted(words)} {'are' if len(words) > 1 else 'is'} taken for a {what} "
            f"({rows} row{'s' * (rows != 1)}); where nothing is known, leave the field empty"
        )


def refuse_alike(names: Iterable[str], what: str, where: object, remedy: str) -> None:
    """Refuse different names that are the same but for their spelling: merging them would be a guess."""
    for alike in spellings(names).values():
        raise EmofuseError(f"{where}: {quoted(alike)} are one {what} but for case, blanks or Unicode form; {remedy}.")


def matched(given: Iterable[str], known: Iterable[str], what: str, where: object) -> Mapping[str, str]:
    """For each of the `given` names that one of the `known` ones is, this one; one line tells of other spellings.

    Errors: two of the given are the same one.
    """
    names, exact = list(dict.fromkeys(given)), set(known)
    if exact.issuperset(names):
        return dict(zip(names, names, strict=True))
    of_key: dict[str, list[str]] = defaultdict(list)
    for name in exact:
        of_key[key(name)].append(name)
    found: dict[str, str] = {}
    for name in names:
        alike = of_key.get(key(name), [])
        to = name if name in exact else trimmed(name) if trimmed(name) in exact else alike[0] if len(alike) == 1 else ""
        if to:
            found[name] = to
    refuse_twice(found, what, where)
    changed = [name for name, to in found.items() if name != to]
    if changed:
        one = changed[0]
        more = f" (and so {len(changed) - 1} more)" if len(changed) > 1 else ""
        say(f"warning: {where}: the {what} {one!r} is taken for {found[one]!r}{more}: they differ in spelling alone")
    return found


def refuse_twice(found: Mapping[str, str], what: str, where: object) -> None:
    """Refuse two names in `found` that were matched with one."""
    back: dict[str, str] = {}
    for name, to in found.items():
        if back.setdefault(to, name) != name:
            raise EmofuseError(
                f"{where}: {quoted(sorted((back[to], name)))} are both the {what} {to!r}; spell it in one way."
            )


def quoted(names: Sequence[str]) -> str:
    """`'a', 'b' and 'c'`, at most four of them."""
    shown = [repr(name) for name in names[: _SHOWN + 1]]
    if len(names) > len(shown):
        return f"{', '.join(shown)} and {len(names) - len(shown)} more"
    return f"{', '.join(shown[:-1])} and {shown[-1]}" if len(shown) > 1 else shown[0]
