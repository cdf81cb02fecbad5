"""What a run would do: a list of steps with their prices, made before anything is sent."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from wireproof.check.relations import changed
from wireproof.check.untested import Part
from wireproof.clock import SteppedClock
from wireproof.errors import CouldNotTell
from wireproof.generate import cases
from wireproof.model import Does, Endpoint, Operation
from wireproof.money import Money
from wireproof.probe import stories
from wireproof.probe.driver import Bounds, Story, Want
from wireproof.probe.stories import Stage
from wireproof.spec.values import effective, matters, price_of
from wireproof.wire import requests
from wireproof.wire.dialogue import Dialogue

FEW_OUTPUTS = 3
"""So many outputs of one job are several. Where many stand beside every other value, a run is mostly pictures."""

PAIRS = "every pair of allowed values"

STRANGERS = "another account"
"""The step that needs a second account's key."""

SMALL = (150, 12)
"""Bounds on calls and jobs below which the quick profile is chosen by itself."""

OPENING = 2
"""So many jobs go before all others. Where neither of them ends, the others are not followed as long."""

QUICK_JOBS = 4
"""So many valid jobs the quick profile submits; they exercise the most values first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One part of the plan: what it does, how many calls and jobs it takes at most, what it may cost."""

    name: str
    calls: int
    jobs: int
    price: Money | None
    make: Callable[[Stage], Iterator[Story]]
    together: int = 8
    opening: bool = False
    """Whether these are the first jobs of all: looked at most closely, and before others begin."""
    extra: bool = False
    """Whether it is left out where the host holds its callers back."""
    surprising: bool = False
    """Whether nothing of it should start a job, and all of it would be paid for that does."""
    parts: tuple[Part, ...] = ()
    """What it tests, one by one, and what each costs."""


def plan(
    endpoint: Endpoint, *, profile: str = "standard", embedded: bool = False, paid: bool = True, scarce: bool = False
) -> tuple[Step, ...]:
    """What a run would do, in order, each step with what it may cost.

    On a paid host everything that costs nothing goes first; elsewhere the first jobs follow the keys, since they
    show the most. All pairs of values meet in the standard profile, too, where jobs cost nothing; unless calls, jobs or
    time are `scarce`.
    """
    base = cases.base(endpoint)
    submit = endpoint.doing(Does.SUBMIT) or endpoint.doing(Does.RUN)
    run = endpoint.doing(Does.RUN)
    if submit is None:
        raise CouldNotTell(f"{endpoint.name} has no operation that starts a job: there is nothing to drive")
    valid = cases.pairs(endpoint) if profile == "thorough" else cases.allowed(endpoint)
    chosen = _few_jobs(endpoint, base, valid) if profile == "quick" else valid
    again = 0 if profile == "quick" else 1
    wrong = list(cases.forbidden(endpoint, submit))
    if profile == "quick":
        # One value for each rule.
        wrong = list({case.purpose: case for case in reversed(wrong)}.values())[::-1]
    opening = _jobs_step(endpoint, "first jobs", "first", chosen[:OPENING], again, opening=True)
    steps = [
        _step(endpoint, "keys", lambda s: list(stories.without_key(s, base, few=profile == "quick")), free=True),
        *([] if paid else [opening]),
        _step(endpoint, "unknown ids", lambda s: list(stories.unknown_ids(s)), free=True),
        _step(endpoint, "unknown model", lambda s: list(stories.unknown_model(s, base)), free=True),
        _step(endpoint, "wrong method", lambda s: list(stories.wrong_method(s)), free=True),
        _step(endpoint, "other addresses", lambda s: list(stories.others(s)), free=True),
        _step(
            endpoint,
            "forbidden requests",
            lambda s: list(stories.bad_requests(s, submit, iter(wrong))),
            free=True,
            breaks={case.purpose: case.covers for case in wrong},
        ),
    ]
    if run is not None and run is not submit:
        few = functools.partial(_forbidden_there, endpoint, run, paid or profile == "quick")
        steps.append(_step(endpoint, f"forbidden requests to {run.name}", few, free=True))
    if paid:
        steps.append(opening)
    if chosen[OPENING:]:
        steps.append(
            _jobs_step(
                endpoint,
                PAIRS if profile == "thorough" else "every allowed value",
                "value",
                chosen[OPENING:],
                again,
                closely=False,
            )
        )
    samples = [cases.from_example(endpoint, e) for e in endpoint.examples if _sound(endpoint, submit, e.parameters)]
    if samples and profile != "quick":
        steps.append(_jobs_step(endpoint, "the page's own samples", "sample", samples))
    troubles = [
        cases.Case(values={**base, **gift.parameters}, purpose=f"should end {gift.status.value}: {gift.says}")
        for gift in endpoint.provocations
    ]
    if troubles:
        steps.append(_jobs_step(endpoint, "jobs that should fail", "failing", troubles, closely=profile != "quick"))
    if run is not None and run is not submit:
        for i, way in enumerate(_ways_to_choose(endpoint, run)):
            label = f"run-{i + 1}"
            story = functools.partial(_blocking, label, {**base, **way}, run)
            steps.append(_story_step(endpoint, f"blocking {run.name}", label, base, story))
        if profile != "quick":
            for i, case in enumerate(_fullest(endpoint, valid, paid)):
                values = {**case.values, **run.request.select}
                story = functools.partial(_blocking, f"run-full-{i + 1}", values, run)
                name = f"blocking {run.name} with many values"
                steps.append(_story_step(endpoint, name, f"run-full-{i + 1}", values, story))
            for status, gift in {gift.status: gift for gift in reversed(endpoint.provocations)}.items():
                label, values = f"run-{status.value}", {**base, **run.request.select, **gift.parameters}
                story = functools.partial(_blocking, label, values, run)
                name = f"blocking {run.name} that should end {status.value}"
                steps.append(_story_step(endpoint, name, label, base, story))
    pairs = _relations(endpoint, base)
    if pairs and profile != "quick":
        steps.append(_jobs_step(endpoint, "relations between jobs", "relation", pairs))
    if endpoint.provider.repeat_id != "new":
        steps.append(
            _story_step(endpoint, "one id used twice", "twice", base, lambda s: [stories.same_id_twice(s, base)])
        )
    steps.append(
        _story_step(endpoint, STRANGERS, "strangers", base, lambda s: [stories.shown_to_others(s, "strangers", base)])
    )
    if embedded:
        steps.append(_step(endpoint, "staged troubles", lambda s: [], free=True))
    if profile == "standard" and not (paid or embedded or scarce):
        met, more = [case.values for case in valid], []
        for case in (_of_few(endpoint, submit, one) for one in cases.pairs(endpoint)):
            if case.values not in met:
                met.append(case.values)
                more.append(case)
        steps.append(replace(_jobs_step(endpoint, PAIRS, "pair", more, 0, closely=False), extra=True))
    return tuple(steps)


def _of_few(endpoint: Endpoint, submit: Operation, case: cases.Case) -> cases.Case:
    """The case with a few outputs where it asks for many: one value at a time shows how many there can be, and what
    stands beside it is the same for the second as for the last."""
    name = str(endpoint.outputs.count)
    asked, fewer = case.values.get(name), {**case.values, name: FEW_OUTPUTS}
    if not isinstance(asked, int) or asked <= FEW_OUTPUTS or not _sound(endpoint, submit, fewer):
        return case
    covers = tuple(fact for fact in case.covers if not fact.startswith(f"{name}."))
    return replace(case, values=fewer, covers=covers, purpose=f"valid: {', '.join((*covers, f'{name} {FEW_OUTPUTS}'))}")


def _relations(endpoint: Endpoint, base: Mapping[str, Any]) -> list[cases.Case]:
    """Two jobs for each metamorphic relation; jobs with the same values serve several relations."""
    jobs: dict[tuple[str, int], cases.Case] = {}
    seed = endpoint.parameters.get(endpoint.outputs.seed or "")
    for relation in endpoint.outputs.relations:
        touched = {*relation.first, *relation.second}
        # What is asked of another parameter is asked under one fixed seed.
        start = base if seed is None or seed.name in touched else {**base, seed.name: 7}
        first, second = changed(start, relation.first), changed(start, relation.second)
        # Two sides that are equal are two jobs.
        for values, copy in ((first, 0), (second, int(first == second))):
            case = cases.Case(values=values, purpose=f"valid: for a relation, {relation.name}")
            jobs.setdefault((str(sorted(values.items(), key=str)), copy), case)
    return list(jobs.values())


def _few_jobs(endpoint: Endpoint, base: Mapping[str, Any], valid: list[cases.Case]) -> list[cases.Case]:
    """What a quick run submits: where pictures can be made again, with and without the defaults first."""
    if not endpoint.outputs.seed:
        return valid[:QUICK_JOBS]
    return [*_both_ways(endpoint, base), *valid[: QUICK_JOBS - 1]]


def _both_ways(endpoint: Endpoint, base: Mapping[str, Any]) -> list[cases.Case]:
    """One request twice: with all defaults left out, and with all of them given."""
    given = {
        p.name: p.default
        for p in endpoint.parameters.values()
        if p.has_default and p.name not in base and not p.calls_out and matters(p, effective(endpoint, base))
    }
    said = "valid: with its defaults"
    return [
        cases.Case(values=base, purpose=f"{said} left out"),
        cases.Case(values={**base, **given}, purpose=f"{said} given"),
    ]


def _ways_to_choose(endpoint: Endpoint, operation: Any) -> Iterator[dict[str, Any]]:
    """The parameters that choose an operation: given, and left out where that means the same."""
    select = operation.request.select
    if select:
        yield dict(select)
    if all(endpoint.parameters[name].default == value for name, value in select.items()):
        yield {}


def _fullest(endpoint: Endpoint, valid: list[cases.Case], paid: bool) -> list[cases.Case]:
    """The requests that try the most values at once, and, where that costs nothing, the dearest: what holds for queued
    jobs need not hold for a blocking one."""
    if not valid:
        return []
    most = max(valid, key=lambda case: len(case.covers))
    prices = [(price.amount, i) for i, case in enumerate(valid) if (price := price_of(endpoint, case.values))]
    dearest = valid[max(prices, key=lambda pair: (pair[0], -pair[1]))[1]] if prices and not paid else most
    return [most] if dearest is most else [most, dearest]


def _blocking(label: str, values: Mapping[str, Any], operation: Any, stage: Stage) -> list[Story]:
    return [stories.whole_job(stage, label, values, "valid: blocking", operation=operation)]


def _sound(endpoint: Endpoint, operation: Any, values: Mapping[str, Any]) -> bool:
    """Whether a sample keeps the rules of its own contract, so that it deserves to be accepted."""
    known = {name: value for name, value in values.items() if name in endpoint.parameters}
    asked = requests.Asked(operation, known, job="00000000-0000-4000-8000-000000000000")
    return not [b for b in requests.breaches(endpoint, asked) if not _is_field(operation, b.parameter)]


def _is_field(operation: Any, name: str) -> bool:
    return any(field.name == name for field in operation.request.fields)


def _forbidden_there(endpoint: Endpoint, run: Any, few: bool, stage: Stage) -> list[Want]:
    """The blocking operation shares its rules with the queued one: where calls are paid, few show that it applies
    them."""
    every = list(cases.forbidden(endpoint, run))
    return list(stories.bad_requests(stage, run, iter(every[:: max(1, len(every) // 4)] if few else every)))


def _step(
    endpoint: Endpoint,
    name: str,
    wants: Callable[[Stage], list[Want]],
    *,
    free: bool,
    breaks: Mapping[str, tuple[str, ...]] | None = None,
) -> Step:
    """Single calls; `breaks`: the rules that calls break, by their purposes."""
    asked = wants(_dry_stage(endpoint))
    nothing = _nothing(endpoint)
    return Step(
        name=name,
        calls=len(asked),
        jobs=0,
        price=nothing,
        surprising=any(one.paid for one in asked),
        parts=tuple(
            Part(
                name=f"{one.operation}: {one.purpose}",
                step=name,
                covers=tuple(("bound", fact) for fact in (breaks or {}).get(one.purpose, ())),
                price=nothing,
            )
            for one in asked
        ),
        make=lambda stage: (stories.single(want, stage.clock) for want in wants(stage)),
        together=1,
    )


def _jobs_step(
    endpoint: Endpoint,
    name: str,
    label: str,
    batch: list[cases.Case],
    again: int = 1,
    *,
    opening: bool = False,
    closely: bool = True,
) -> Step:
    """Whole jobs; `again`: how often each is asked after when it is over.

    The first of all, and the first of a kind, are looked at most closely: early, often, and without a key.
    """
    prices = [price_of(endpoint, case.values) for case in batch]
    known = [price for price in prices if price is not None]
    total = functools.reduce(Money.__add__, known) if known and len(known) == len(prices) else None

    def make(stage: Stage) -> Iterator[Story]:
        for i, case in enumerate(batch):
            yield stories.whole_job(
                stage,
                f"{label}-{i + 1}",
                case.values,
                case.purpose,
                polls_after=3 if closely and i == 0 else again,
                ask_early=closely and i == 0,
            )

    parts = tuple(
        Part(
            name=f"{label}-{i + 1}",
            step=name,
            says=case.purpose,
            covers=tuple(("value", f) for f in case.covers),
            price=price,
        )
        for i, (case, price) in enumerate(zip(batch, prices, strict=True))
    )
    return Step(name=name, calls=12 * len(batch), jobs=len(batch), price=total, make=make, opening=opening, parts=parts)


def _story_step(
    endpoint: Endpoint, name: str, label: str, values: Mapping[str, Any], make: Callable[[Stage], list[Story]]
) -> Step:
    price = price_of(endpoint, values)
    parts = (Part(name=label, step=name, says="one job", price=price),)
    return Step(name=name, calls=12, jobs=1, price=price, make=lambda stage: iter(make(stage)), parts=parts)


def _nothing(endpoint: Endpoint) -> Money:
    return Money(Decimal(0), endpoint.price.unit if endpoint.price else "USD")


def _dry_stage(endpoint: Endpoint) -> Stage:
    return Stage(
        endpoint=endpoint,
        base="http://plan.wireproof",
        dialogue=Dialogue(endpoint=endpoint, base="http://plan.wireproof"),
        clock=SteppedClock(),
        key="key",
    )


def fitting(profile: str, bounds: Bounds) -> str:
    """The profile that fits into the bounds: a small run spends its calls on what shows the most."""
    small = (bounds.requests is not None and bounds.requests <= SMALL[0]) or (
        bounds.jobs is not None and bounds.jobs <= SMALL[1]
    )
    return "quick" if small else profile


def side_by_side(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """The steps with all their queued jobs in one: where calls cost nothing, jobs need not wait for one another."""
    queued = [
        step
        for step in steps
        if step.together > 1 and not (step.opening or step.extra or step.name.startswith("blocking"))
    ]
    if len(queued) < 2:
        return steps
    whole = Step(
        name="jobs",
        calls=sum(step.calls for step in queued),
        jobs=sum(step.jobs for step in queued),
        price=None,
        make=lambda stage: (story for step in queued for story in step.make(stage)),
    )
    first = steps.index(queued[0])
    return (*steps[:first], whole, *(step for step in steps[first:] if step not in queued))
