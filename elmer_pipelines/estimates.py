"""What work would cost: calls, tokens, dollars and minutes, from what is known, else from assumptions that are named.

What is to be done is in `planning.py`, what a model would be asked for it in `demand.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from elmer_pipelines.demand import CHARS_PER_TOKEN, Asked
from elmer_pipelines.models.anew import asking_anew
from elmer_pipelines.models.concurrency import START
from elmer_pipelines.models.prices import cost_usd
from elmer_pipelines.models.protocols import Usage
from elmer_pipelines.signals.embedding import WORKERS
from elmer_pipelines.store import allowances, journal, outcomes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from elmer_pipelines.demand import Demand
    from elmer_pipelines.store.journal import History

LOOKED_AT = 1_000  # records of a step whose prompts are made to be counted; the others are taken to be like them
BATCH_SHARE = 0.5  # of the price, where nobody waits: the discount of both services' batches
_TEXT_SECONDS, _EMBEDDING_SECONDS = 8.0, 1.0  # a call's, until one was measured
# Tokens of a call (in, out) until one was made: instructions and form with a little material; a typical answer.
_FIRST_CALL = {
    "signals": (1_800, 1_000),
    "signal_classifications": (900, 100),
    "cluster_themes": (1_800, 150),
    "research_briefs": (8_000, 2_500),
    "prds": (8_000, 3_500),
}
_SIGNAL_TOKENS = 40


@dataclass(frozen=True)
class Estimate:
    """What working `records` comes to; `cached` answers are stored already and cost nothing.

    Dollars are None where the price is not known, minutes where nothing tells how long it takes. `batch_usd` is the
    price where nobody waits. `assumed` says what stands behind the figures, in words.
    """

    records: int = 0
    calls: int = 0
    cached: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = 0.0
    batch_usd: float | None = 0.0
    minutes: float | None = None
    assumed: tuple[str, ...] = ()


def of_records(
    connection: Connection, workspace_id: str, step: str, demand: Demand, record_ids: Sequence[str]
) -> Estimate:
    """What working these records comes to, by the prompts they would have sent."""
    number = len(record_ids)
    if not number or demand.model is None:
        return Estimate(number)
    past = journal.history(connection, workspace_id, step, demand.model)
    if demand.asked is None:
        return _local(number, past)
    looked_at = record_ids[:LOOKED_AT]
    anew = outcomes.to_ask_anew(connection, workspace_id, step)
    found = [demand.asked(connection, [one for one in looked_at if one not in anew])]
    if not anew.isdisjoint(looked_at):
        with asking_anew():
            found.append(demand.asked(connection, [one for one in looked_at if one in anew]))
    share = number / len(looked_at)
    sums = (sum(each) for each in zip(*((one.calls, one.cached, one.chars) for one in found), strict=True))
    asked = Asked(*(round(one * share) for one in sums))
    assumed = [] if share == 1 else [f"the first {LOOKED_AT:,} of {number:,} records were looked at"]
    input_tokens = -(-asked.chars // CHARS_PER_TOKEN)
    return _priced(connection, step, demand, number, asked, input_tokens, past, assumed)


def of_coming(
    connection: Connection, workspace_id: str, step: str, demand: Demand, records: int, characters: int
) -> Estimate:
    """What records that are not there yet may come to, no answer being stored: each a call, or as many as so far.

    `characters` are those of the documents that signals would be found in.
    """
    if not records or demand.model is None:
        return Estimate(records)
    past = journal.history(connection, workspace_id, step, demand.model)
    if demand.asked is None:
        return _local(records, past)
    if step.endswith("_embeddings"):
        asked, input_tokens = Asked(-(-records // 2_048)), records * _SIGNAL_TOKENS
        return _priced(
            connection, step, demand, records, asked, input_tokens, past, [f"{_SIGNAL_TOKENS} tokens a text"]
        )
    assumed: list[str] = []
    calls = records
    if past.calls_per_record is not None and past.calls_per_record < 1:
        calls = math.ceil(records * past.calls_per_record)
        assumed.append(f"a call for {past.calls_per_record:.0%} of the records, as so far")
    each = float(_FIRST_CALL[step][0]) if past.input_tokens is None or characters else past.input_tokens
    if past.input_tokens is None or characters:
        assumed.append(f"{each:,.0f} tokens a call" + (" and the documents' own" if characters else ""))
    input_tokens = round(calls * each) + -(-characters // CHARS_PER_TOKEN)
    return _priced(connection, step, demand, records, Asked(calls), input_tokens, past, assumed)


def total(estimates: Sequence[Estimate]) -> Estimate:
    """The sum; steps come one after the other, so minutes add up. What is not known of one is not known of all."""
    sent = [one for one in estimates if one.calls]
    minutes = [one.minutes for one in estimates if one.minutes is not None]
    return Estimate(
        sum(one.records for one in estimates),
        sum(one.calls for one in estimates),
        sum(one.cached for one in estimates),
        sum(one.input_tokens for one in estimates),
        sum(one.output_tokens for one in estimates),
        _sum([one.cost_usd for one in sent]),
        _sum([one.batch_usd for one in sent]),
        sum(minutes) if minutes else None,
    )


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _local(records: int, past: History) -> Estimate:
    if past.seconds_per_input is None:
        return Estimate(records)
    minutes = records * past.seconds_per_input / 60
    return Estimate(records, minutes=minutes, assumed=("as long as it took so far on this machine",))


def _priced(
    connection: Connection,
    step: str,
    demand: Demand,
    records: int,
    asked: Asked,
    input_tokens: int,
    past: History,
    assumed: list[str],
) -> Estimate:
    embedding = step.endswith("_embeddings")
    assert demand.model is not None
    if not asked.calls:
        return Estimate(records, 0, asked.cached, minutes=0.0)
    each = 0.0 if embedding else past.output_tokens
    if each is None:
        each = float(_FIRST_CALL[step][1])
        assumed.append(f"{each:,.0f} tokens an answer")
    output_tokens = round(asked.calls * each)
    service_model = demand.model.split("@")[0]
    cost = cost_usd(service_model, demand.provider, Usage(input_tokens, output_tokens))
    if cost is None:
        assumed.append(f"no price is known for {service_model}")
    minutes = _minutes(connection, step, service_model, asked.calls, input_tokens, output_tokens, past, assumed)
    batch = None if cost is None else cost * BATCH_SHARE
    return Estimate(
        records, asked.calls, asked.cached, input_tokens, output_tokens, cost, batch, minutes, tuple(assumed)
    )


def _minutes(
    connection: Connection,
    step: str,
    model: str,
    calls: int,
    input_tokens: int,
    output_tokens: int,
    past: History,
    assumed: list[str],
) -> float:
    """The longest of: what the service allows a minute, and the calls' own time on the threads there are."""
    embedding = step.endswith("_embeddings")
    at_once = WORKERS if embedding else START
    seconds = past.latency_s if past.latency_s is not None else _EMBEDDING_SECONDS if embedding else _TEXT_SECONDS
    by_threads = calls * seconds / min(at_once, calls) / 60
    allowed = allowances.per_minute(connection, model)
    amounts = {
        "requests": calls,
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "tokens": input_tokens + output_tokens,
    }
    by_limits = max((amounts[kind] / most for kind, most in allowed.items()), default=0.0)
    if by_limits > by_threads:
        assumed.append("at the service's rate limits")
        return by_limits
    measured = "" if past.latency_s is not None else ", not measured yet"
    assumed.append(f"{at_once} calls at once, {seconds:.1f} s each{measured}")
    return by_threads
