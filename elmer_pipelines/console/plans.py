"""What `plan` and `explain` print."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from elmer_pipelines.console.terminal import out, table
from elmer_pipelines.planning import totals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from elmer_pipelines.estimates import Estimate
    from elmer_pipelines.explaining import Explanation, StepStory
    from elmer_pipelines.planning import StepPlan

_STYLE = {"fresh": "green", "stale": "yellow", "failed": "bold red", "gone": "dim"}
_NOT_KNOWN = "not known"


def show_plan(plans: Sequence[StepPlan]) -> None:
    """What a run would do, step by step, what it comes to, and what that rests on."""
    busy = [one for one in plans if one.to_do or one.failed or one.removed or one.later.records]
    if not busy:
        out.print("Everything is fresh: a run would do nothing.")
        return
    paid = any(one.now.calls or one.now.cached or one.later.calls for one in busy)
    out.print(table("What a run would do", [_row(one, paid) for one in busy]))
    now, later = totals(busy)
    out.print()
    if paid:
        out.print(f"Now: {_spent(now)}.")
        if later.calls:
            out.print(f"After that, up to about: {_spent(later)}. Less, wherever results come out the same.")
    else:
        out.print("Nothing would be sent to a model's service: it costs nothing.")
    for one in busy:
        for when, found in (("now", one.now), ("after upstream", one.later)):
            if found.assumed:
                out.print(Text(f"  {one.step}, {when}: {'; '.join(found.assumed)}.", style="dim"))
    out.print("\nNothing was spent. [bold]elmer run[/bold] does it; [bold]elmer explain ID[/bold] tells of one record.")


def _row(one: StepPlan, paid: bool) -> dict[str, Any]:
    reasons = [f"{number:,} {reason}" for reason, number in one.reasons.items()]
    reasons += [f"{one.failed:,} failed, left to you"] if one.failed else []
    reasons += [f"{one.removed:,} gone"] if one.removed else []
    row: dict[str, Any] = {"step": one.step, "to do": one.to_do, "why": "\n".join(reasons) or None}
    if paid:
        spends = bool(one.now.calls or one.now.cached)
        row |= {
            "calls": one.now.calls if spends else None,
            "stored": one.now.cached if spends else None,
            "tokens in": one.now.input_tokens if spends else None,
            "out": one.now.output_tokens if spends else None,
            "USD": _dollars(one.now.cost_usd) if spends else None,
            "in batches": _dollars(one.now.batch_usd) if spends else None,
        }
    minutes = one.now.minutes if one.to_do else None
    row["minutes"] = None if minutes is None else f"{minutes:,.1f}"
    row["after upstream"] = f"up to {one.later.records:,} more" if one.later.records else None
    return row


def _spent(found: Estimate) -> str:
    parts = [f"{found.calls:,} calls"]
    parts += [f"{found.cached:,} answers stored already"] if found.cached else []
    parts += [f"about {found.input_tokens:,} tokens in and {found.output_tokens:,} out"]
    parts += [f"{_dollars(found.cost_usd)} USD, or {_dollars(found.batch_usd)} in batches"]
    parts += [f"{found.minutes:,.1f} minutes"] if found.minutes is not None else []
    return ", ".join(parts)


def _dollars(value: float | None) -> str:
    return _NOT_KNOWN if value is None else f"{value:,.4f}"


def show_explanation(found: Explanation) -> None:
    """A record's story in every step that concerns it."""
    out.print(Text(f"{found.kind} {found.id}", style="bold"))
    for story in found.steps:
        out.print()
        _show_story(story)


def _show_story(story: StepStory) -> None:
    which = "the whole workspace" if story.record_id == "all" else story.record_id
    said = f"{story.verdict}: {story.reason}" if story.reason else story.verdict
    out.print(Text.assemble((story.step, "bold"), f"  {which}  ", (said, _STYLE[story.verdict])))
    if story.at is not None:
        run = f" by run {story.run_id}" if story.run_id else ""
        out.print(Text(f"  {story.state} {story.at:%Y-%m-%d %H:%M} UTC{run}, attempt {story.attempts}", style="dim"))
    for one in story.differences:
        out.print(Text(f"  {one.part}: {one.before or 'not there'} → {one.now or 'not there'}"))
    if story.error_kind:
        out.print(Text(f"  {story.error_kind}: {story.message}", style="red"))
        out.print(Text(f"  next: {story.next_step}"))
    if story.upstream:
        before = ", ".join(f"{step} ({number:,})" for step, number in story.upstream.items())
        out.print(Text(f"  may change once these are done: {before}", style="dim"))
