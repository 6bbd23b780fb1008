"""The trials that failed: why, and their tracebacks."""

from collections import Counter

from ensembles.report.blocks import Block, Cell, Code, Column, Details, Listing, Row, Section, Table, Text
from ensembles.report.gather import Page

_MOST_TRACEBACKS = 50
_MOST_ROWS = 300
_MOST_LETTERS = 6_000


def section(page: Page) -> Section | None:
    """Failures by kind, each with its traceback, and damaged files."""
    if page.status is None or not (page.status.failures or page.status.damaged):
        return None
    failures = page.status.failures
    blocks: list[Block] = []
    if failures:
        counts = Counter(outcome.kind or "error" for outcome in failures)
        told = ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in counts.most_common())
        blocks.append(Text(f"Failed: {told}. `emofuse search retry` queues them again.", "plain"))
        rows = [
            Row(
                [
                    Cell(o.trial_key[:8], title=o.trial_key),
                    Cell(o.entry),
                    Cell(o.partition),
                    Cell((o.kind or "error").replace("_", " ")),
                    Cell(str(o.epochs)),
                    Cell(o.reason),
                ]
            )
            for o in failures[:_MOST_ROWS]
        ]
        columns = [
            Column("trial"),
            Column("entry", choices=True),
            Column("partition", choices=True),
            Column("kind", choices=True),
        ]
        columns += [Column("epochs", True), Column("reason", wide=True)]
        blocks.append(Table("failures", "Failed trials", columns, rows, filters=len(rows) > 5))
    for outcome in failures[:_MOST_TRACEBACKS]:
        if outcome.traceback is None:
            continue
        try:
            text = (page.run / outcome.traceback).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        kept = text if len(text) <= _MOST_LETTERS else f"...\n{text[-_MOST_LETTERS:]}"
        blocks.append(
            Details(f"Traceback of {outcome.entry} {outcome.trial_key[:8]} on {outcome.partition}", [Code(kept)])
        )
    if page.status.damaged:
        blocks += [
            Text("Files that are damaged, whose trials count as not ended:", "warn"),
            Listing(page.status.damaged),
        ]
    says = f"{len(failures)} trials failed; each says why, and its traceback opens below."
    return Section("failures", "What failed", says, blocks)
