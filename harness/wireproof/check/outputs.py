"""Checks of what is delivered, and of what is charged for it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from itertools import combinations, product
from typing import Any, NamedTuple

from wireproof.check.media import header
from wireproof.check.registry import check, finding
from wireproof.check.trace import JobTrace, Seen, Trace
from wireproof.lifecycle import Status
from wireproof.model import Confidence, Evidence, Exchange, Finding, Parameter, Severity
from wireproof.money import exact, is_number, plain
from wireproof.spec.values import billed_of, by_canonical, effective, outputs_of, price_of, promised, same
from wireproof.wire.bodies import MISSING
from wireproof.wire.links import leads_to, parts

UNKNOWN = Evidence(confidence=Confidence.UNKNOWN)


def _weaker(*proofs: Evidence) -> Evidence:
    """The weakest of several facts that a promise rests on."""
    return next((proof for proof in proofs if not proof.binds), proofs[0])


@check(id="OUT001", reads=JobTrace, trips_on=("no-output", "too-few-outputs"))
def a_success_delivers_what_was_asked_for(job: JobTrace) -> Iterator[Finding]:
    """A job that succeeded delivers as many outputs as were asked for.

    Fewer are paid for and missing; none at all is a success that is none.
    """
    wanted = outputs_of(job.endpoint, job.values)
    count = job.endpoint.outputs.count
    parameter = job.endpoint.parameters.get(count) if isinstance(count, str) else None
    for seen in job.results:
        found = len(seen.reading.outputs) if seen.reading else 0
        if found == wanted or seen.exchange.broke:
            continue
        if _flagged(seen.reading, wanted - found):
            continue
        yield finding(
            f"the job succeeded with {found} of {wanted} outputs",
            subject="no outputs" if not found else "too few outputs" if found < wanted else "too many outputs",
            proof=_weaker(
                _carrier(seen),
                *([parameter.evidence] if parameter else []),
                *_still_coming(job, seen, wanted),
                *([UNKNOWN] if not found and _in_another_form(seen) else []),
                # That one list of a sample holds one picture does not say that there are never more.
                *([UNKNOWN] if found > wanted and parameter is None else []),
            ),
            where=parameter.where if parameter else job.endpoint.outputs.where,
            evidence=[seen.seq],
            expected=str(wanted),
            actual=str(found),
        )
        return


def _in_another_form(seen: Seen) -> bool:
    """Whether something stands where the output should, of another form: RPL002 tells that."""
    chosen = seen.reading.alternative if seen.reading else None
    members = chosen.shape.schema.get("properties", {}) if chosen and chosen.shape else {}
    body = seen.reading.body if seen.reading else None
    places = [name for name, node in members.items() if str(node.get("is", "")).startswith("output.")]
    return isinstance(body, dict) and any(body.get(name) for name in places)


def _still_coming(job: JobTrace, seen: Seen, wanted: int) -> list[Evidence]:
    """Unknown, where all outputs were told later: nobody says that those which are not ready yet must be listed."""
    later = (len(one.reading.outputs) for one in job.results if one.seq > seen.seq and one.reading)
    return [UNKNOWN] if wanted in later else []


def _carrier(seen: Any) -> Evidence:
    """The evidence of the reply that should carry the outputs: one whose form is open may carry them anywhere."""
    chosen = seen.reading.alternative if seen.reading else None
    return chosen.evidence if chosen else UNKNOWN


def _flagged(reading: Any, missing: int) -> bool:
    """Whether the missing outputs are accounted for by a content check that says so."""
    return sum(1 for value in reading.values("output.flagged") if value is True) >= missing > 0


@check(id="OUT002", reads=JobTrace, trips_on=("picture-missing", "picture-dies-early"))
def an_output_can_be_fetched_while_it_is_kept(job: JobTrace) -> Iterator[Finding]:
    """The address of an output works from the moment it is told until its retention is over.

    The picture is what was paid for.
    """
    retention = job.endpoint.provider.retention.media
    for exchange in job.media:
        told = job.results[0].exchange.at if job.results else exchange.at
        age = exchange.at - told
        # It lives from the job's end on, which nobody saw: at the earliest from the submit.
        lived = exchange.at - (job.submit.exchange.at if job.submit else 0.0)
        if retention.seconds is not None and lived >= retention.seconds or _shortened(job, lived):
            continue
        answer = _no_output(exchange)
        if not answer:
            continue
        proof = retention.evidence if age > 5.0 and retention.seconds is not None else None
        came = any(one.seq > exchange.seq and _is_same_and_good(one, exchange) for one in job.media)
        yield finding(
            f"the picture's address {answer} {age:.1f} s after it was told{', and not a moment later' if came else ''}",
            subject="picture gone",
            proof=proof,
            severity=Severity.QUESTION if came else None,
            where=retention.where if retention.where.file else job.endpoint.outputs.where,
            evidence=[exchange.seq],
            expected="the picture",
            actual=str(exchange.reply.status) if exchange.reply else str(exchange.broke),
        )
        return


def _is_same_and_good(one: Exchange, before: Exchange) -> bool:
    """Whether what met a server error was fetched after all."""
    failed = before.reply is not None and before.reply.status >= 500
    return failed and one.call == before.call and one.reply is not None and one.reply.status < 300


def _no_output(exchange: Exchange) -> str:
    """What the address of an output did instead of handing it out; empty where it did, or leads on to where it is."""
    reply = exchange.reply
    if reply is None:
        # What breaks off on its way is told by RPL007.
        return "cannot be reached" if exchange.broke == "refused" else ""
    return f"answered {reply.status}" if reply.status >= 300 and leads_to(exchange) is None else ""


def _shortened(job: JobTrace, lived: float) -> bool:
    """Whether the time is over for which the caller himself wanted the address."""
    ttl = job.full.get(job.endpoint.provider.retention.ttl or "")
    return isinstance(ttl, (int, float)) and lived >= ttl


def _pictures(job: JobTrace) -> Iterator[tuple[int, Any, str]]:
    """What was learnt of every delivered picture: exchange number, picture, declared content type."""
    for exchange in job.media:
        picture = job.pictures.get((exchange.seq, exchange.output or 0))
        if picture is not None and exchange.reply is not None and exchange.reply.status < 300:
            yield exchange.seq, picture, _declared(exchange)
    for (seq, index), picture in job.pictures.items():
        if all(seq != exchange.seq for exchange in job.media):
            yield seq, picture, _inline_type(job, seq, index)


def _inline_type(job: JobTrace, seq: int, index: int) -> str:
    """The type that a data URI states, or that the reply has which is the picture itself; empty for other outputs."""
    for seen in job.results:
        outputs = seen.reading.outputs if seen.reading else ()
        if seen.seq != seq or index >= len(outputs):
            continue
        data, declared = outputs[index].data or b"", outputs[index].content_type or ""
        if data[:5] == b"data:":
            declared = data[5:].split(b",", 1)[0].decode("ascii", "replace")
        elif not _is_picture_itself(seen):
            continue
        return declared.partition(";")[0].strip().lower()
    return ""


def _is_picture_itself(seen: Seen) -> bool:
    """Whether a reply is a picture, and not a text that holds one."""
    chosen = seen.reading.alternative if seen.reading else None
    return chosen is not None and chosen.media == "image"


def _declared(exchange: Exchange) -> str:
    return (exchange.reply.header("content-type") or "").partition(";")[0].strip().lower() if exchange.reply else ""


_NEUTRAL = frozenset({"application/octet-stream", "binary/octet-stream"})
"""Types that say nothing: stores give them to whatever they keep."""

_MIME = {"image/png": "png", "image/jpeg": "jpeg", "image/jpg": "jpeg", "image/webp": "webp", "image/gif": "gif"}


@check(id="OUT003", reads=JobTrace, trips_on=("other-format",))
def a_picture_has_the_format_that_was_asked_for(job: JobTrace) -> Iterator[Finding]:
    """A picture comes in the format that was asked for, or in the documented default.

    Files are named and decoded by it; a lossy picture under a lossless name is a loss that nobody notices.
    """
    wish, form = promised(job.endpoint, job.values), job.endpoint.outputs.format
    parameter = job.endpoint.parameters.get(form.parameter or "")
    for seq, picture, _ in _pictures(job):
        if picture.magic not in _MIME.values() or not wish.formats or picture.magic in wish.formats:
            continue
        yield finding(
            f"the picture is {picture.magic}, not {' or '.join(wish.formats)}",
            subject="format",
            proof=_weaker(form.evidence, *_value_proofs(job, parameter)),
            where=parameter.where if parameter else form.where,
            evidence=[*_asked(job), seq],
            expected=" or ".join(wish.formats),
            actual=picture.magic,
        )
        return


def _value_proofs(job: JobTrace, parameter: Parameter | None) -> tuple[Evidence, ...]:
    """What the expectation leans on: the default's evidence where the value was left out."""
    if parameter is None or parameter.name in job.values:
        return ()
    return (parameter.proof("default"),)


def _asked(job: JobTrace) -> list[int]:
    return [job.submit.seq] if job.submit else []


@check(id="OUT004", reads=JobTrace, trips_on=("other-size", "other-ratio", "parameter-ignored"))
def a_picture_has_the_size_that_was_asked_for(job: JobTrace) -> Iterator[Finding]:
    """A picture has the width, height or shape that was asked for.

    Layouts, print files and further models depend on it; a size that is silently changed shows up last.
    """
    wish = promised(job.endpoint, job.values)
    rule = wish.size_rule
    if rule is None:
        return
    leaned = [rule.evidence]
    for name in (rule.width, rule.height, rule.ratio):
        if isinstance(name, str) and name in job.endpoint.parameters and name not in job.values:
            leaned.append(job.endpoint.parameters[name].proof("default"))
    for seq, picture, _ in _pictures(job):
        if picture.width is None or picture.height is None:
            continue
        wrong = _wrong_size(wish, picture.width, picture.height)
        if wrong:
            if _nearly(wish, picture.width, picture.height):
                leaned.append(UNKNOWN)
            yield finding(
                f"the picture is {picture.width}x{picture.height}, not {wrong}",
                subject="size",
                proof=_weaker(*leaned),
                where=rule.where,
                evidence=[*_asked(job), seq],
                expected=wrong,
                actual=f"{picture.width}x{picture.height}",
            )
            return


def _wrong_size(wish: Any, width: int, height: int) -> str:
    """What the size should have been; empty when it is right. A grid of 16 pixels is allowed for a ratio."""
    if wish.width and wish.height:
        return "" if (width, height) == (wish.width, wish.height) else f"{wish.width}x{wish.height}"
    if wish.ratio is None or not height:
        return ""
    slack = max(wish.tolerance, Decimal(16) / Decimal(min(width, height)))
    off = abs(Decimal(width) / Decimal(height) / wish.ratio - 1)
    return f"a shape of {wish.ratio:.3f} within {slack:.0%}" if off > slack else ""


def _nearly(wish: Any, width: int, height: int) -> bool:
    """Whether a size or shape is off by so little that a grid explains it: no page states its tolerance."""
    if wish.width and wish.height:
        return any(_rounded(wish.width, width, step) and _rounded(wish.height, height, step) for step in GRIDS[1:])
    if wish.ratio is None:
        return False
    slack = 2 * max(wish.tolerance, Decimal(16) / Decimal(min(width, height)))
    return bool(abs(Decimal(width) / Decimal(height) / wish.ratio - 1) <= slack)


GRIDS = (16, 2, 8, 16, 32, 64)
"""Pixels of the grids on which such models draw; what is asked for on the first of them is to be had by every one."""


def _rounded(asked: int, made: int, step: int) -> bool:
    """Whether a side is the one that was asked for, or was not on a grid and has been put there."""
    return made == asked or (asked % GRIDS[0] != 0 and made % step == 0 and abs(made - asked) < step)


def _what_is_wrong(picture: Any, bad: bool) -> str:
    return f"no picture but {picture.magic}" if bad else "cut off or damaged"


@check(id="OUT005", reads=JobTrace, trips_on=("truncated-picture", "not-a-picture"))
def a_picture_can_be_decoded_to_its_end(job: JobTrace) -> Iterator[Finding]:
    """What is delivered as a picture is one, whole.

    A truncated file shows half a picture in one program and an error in another, long after it was paid for. One
    that moves, or with more bytes behind its end, is a question: programs differ in what they make of it.
    """
    for seq, picture, _ in _pictures(job):
        bad = picture.magic not in _MIME.values()
        if bad or picture.whole is False:
            yield finding(
                f"the delivered file is {_what_is_wrong(picture, bad)}: {picture.trouble}"[:200],
                subject="not a picture" if bad else "damaged",
                where=job.endpoint.outputs.where,
                evidence=[seq],
                expected="a whole picture",
                actual=picture.magic if bad else "damaged",
            )
            return
        if picture.odd:
            yield finding(
                f"the delivered file is {picture.odd}",
                subject="more than a picture",
                severity=Severity.QUESTION,
                where=job.endpoint.outputs.where,
                evidence=[seq],
                expected="one picture and nothing else",
                actual=picture.odd,
            )
            return
    for seen in filter(_is_picture_itself, job.results):
        data = seen.reply.body if seen.reply else b""
        if data and header(data).magic == "unknown" and (seen.seq, 0) in job.pictures:
            yield finding(
                "the reply is a picture in base64 where its bytes are promised",
                subject="not a picture",
                proof=_carrier(seen),
                where=job.endpoint.outputs.where,
                evidence=[seen.seq],
                expected="the bytes of a picture",
                actual="text",
            )
            return


@check(id="OUT006", reads=JobTrace, trips_on=("wrong-media-type",))
def a_picture_is_of_the_type_it_says(job: JobTrace) -> Iterator[Finding]:
    """The content type of a picture is that of its bytes.

    Browsers and stores go by the type; a wrong one breaks display and caching.
    """
    for seq, picture, declared in _pictures(job):
        if not declared or picture.magic not in _MIME.values() or declared in _NEUTRAL:
            continue
        if _MIME.get(declared) != picture.magic:
            yield finding(
                f"the picture is {picture.magic} and says {declared}",
                subject="media type",
                where=job.endpoint.outputs.where,
                evidence=[seq],
                expected=f"image/{picture.magic}",
                actual=declared,
            )
            return


@check(id="OUT007", reads=JobTrace, trips_on=("blank-picture",))
def a_picture_is_not_blank(job: JobTrace) -> Iterator[Finding]:
    """A job that succeeded does not deliver a picture of one flat colour.

    Black pictures are what a blocked or broken generation looks like when it is passed off as a success.
    """
    for seq, picture, _ in _pictures(job):
        if picture.blank:
            yield finding(
                "the picture is one flat colour",
                subject="blank",
                where=job.endpoint.outputs.where,
                evidence=[seq],
                expected="a picture",
                actual="one flat colour",
            )
            return


@check(id="OUT009", reads=JobTrace, trips_on=("seed-not-honoured",))
def a_seed_that_is_told_is_the_one_that_was_asked_for(job: JobTrace) -> Iterator[Finding]:
    """Where a result tells its seed, it is the seed that was asked for, or the documented default.

    The seed is how a picture is made again.
    """
    name = job.endpoint.outputs.seed
    parameter = job.endpoint.parameters.get(name or "")
    if parameter is None:
        return
    asked = effective(job.endpoint, job.values).get(parameter.name, MISSING)
    if asked is MISSING or same(asked, parameter.random):
        return
    for seen in job.results:
        told = seen.reading.value("output.seed") if seen.reading else MISSING
        if told is MISSING or told is None or _same_number(told, asked):
            continue
        proof = parameter.proof("default") if parameter.name not in job.values else parameter.evidence
        yield finding(
            f"the result was made with seed {told}, not {asked}",
            subject="seed" if parameter.name in job.values else "default seed",
            proof=proof,
            where=parameter.line("default") if parameter.name not in job.values else parameter.where,
            evidence=[*_asked(job), seen.seq],
            expected=str(asked),
            actual=str(told),
        )
        return


def _same_number(told: object, asked: object) -> bool:
    """Whether two seeds are one, however they are written: 7, 7.0 and "7"."""
    try:
        return Decimal(str(told)) == Decimal(str(asked))
    except InvalidOperation:
        return str(told) == str(asked)


@check(id="MON001", reads=JobTrace, trips_on=("charges-more", "wrong-unit"))
def atold_cost_is_the_declared_price(job: JobTrace) -> Iterator[Finding]:
    """Where a host tells what a job cost, it is an amount, and what the contract's price says.

    Budgets are made from the price; a bill that differs is found at the end of the month, and a number that nobody
    can be charged (-4, 1e300) is taken for a credit or breaks the sum.
    """
    price = price_of(job.endpoint, job.values)
    if price is None or job.endpoint.price is None or not job.taken:
        return
    for seen in job.news:
        for odd in _no_amounts(seen.reading) if seen.accepted else ():
            yield finding(
                f"the job cost {odd}, which is no amount that can be charged",
                subject="cost",
                proof=job.endpoint.price.evidence,
                where=job.endpoint.price.where,
                evidence=[*_asked(job), seen.seq],
                expected=str(price),
                actual=odd,
            )
            return
        told = told_cost(seen.reading)
        if told is None or told == price.amount or not seen.accepted or _is_part(job, seen):
            continue
        if told == 0 and job.outcome in (Status.FAILED, Status.MODERATED):
            continue
        yield finding(
            f"the job cost {plain(told)} {price.unit}, the contract says {price}",
            subject="cost",
            proof=job.endpoint.price.evidence,
            where=job.endpoint.price.where,
            evidence=[*_asked(job), seen.seq],
            expected=str(price),
            actual=f"{plain(told)} {price.unit}",
        )
        return


def _is_part(job: JobTrace, seen: Seen) -> bool:
    """Whether a reply tells the costs of some of the outputs only, while others are still made."""
    reading = seen.reading
    if reading is None or exact(reading.value("job.cost")) is not None:
        return False
    return len(reading.values("output.cost")) < outputs_of(job.endpoint, job.values) and reading.status in (
        None,
        Status.QUEUED,
        Status.RUNNING,
    )


def told_cost(reading: Any) -> Decimal | None:
    """What a reply says that the whole job cost; None where it says nothing usable."""
    if reading is None:
        return None
    whole = exact(reading.value("job.cost"))
    if whole is not None:
        return whole
    parts = [exact(value) for value in reading.values("output.cost")]
    known = [part for part in parts if part is not None]
    return sum(known, Decimal(0)) if known and len(known) == len(parts) else None


def _no_amounts(reading: Any) -> list[str]:
    """Costs in a reply that are numbers and no amounts; what is no number at all breaks the form of the reply."""
    told = [value for name in ("job.cost", "output.cost") for value in (reading.values(name) if reading else ())]
    return [str(value)[:20] for value in told if is_number(value) and exact(value) is None]


@check(id="MON002", reads=JobTrace, trips_on=("charges-failures",))
def a_failure_is_billed_as_declared(job: JobTrace) -> Iterator[Finding]:
    """A job that failed is not charged where the contract says that failures are free.

    Otherwise a bad day of the host is paid for by its callers.
    """
    if job.endpoint.price is None or job.outcome not in (Status.FAILED, Status.MODERATED):
        return
    if billed_of(job.endpoint.price, job.outcome.value) != "zero" or not job.endpoint.price.billed_evidence.binds:
        # Where nobody promises that failures are free, a told cost may be the price that was announced.
        return
    for seen, status in job.told:
        told = told_cost(seen.reading) if status is job.outcome else None
        if told:
            yield finding(
                f"the job ended {job.outcome.value} and cost {plain(told)}",
                subject=f"{job.outcome.value} billed",
                proof=job.endpoint.price.billed_evidence,
                where=job.endpoint.price.where,
                evidence=[seen.seq],
                expected="no charge",
                actual=plain(told),
            )
            return


@check(id="OUT010", reads=JobTrace, trips_on=("echoes-other-prompt",))
def an_echo_is_what_was_sent(job: JobTrace) -> Iterator[Finding]:
    """Where a result repeats the prompt, it is the prompt that was sent.

    Another one means that the picture was made for somebody else, or from a rewritten text.
    """
    prompt = by_canonical(job.endpoint, "prompt")
    if prompt is None or prompt.name not in job.values:
        return
    for seen in job.results:
        told = seen.reading.value(f"request.{prompt.name}") if seen.reading else MISSING
        if isinstance(told, str) and told != job.values[prompt.name]:
            yield finding(
                "the result repeats another prompt than was sent",
                subject="prompt",
                severity=Severity.QUESTION,
                where=prompt.where,
                evidence=[*_asked(job), seen.seq],
                expected=str(job.values[prompt.name])[:120],
                actual=told[:120],
            )
            return


@check(id="OUT011", reads=JobTrace, trips_on=("results-alike",))
def several_results_are_several(job: JobTrace) -> Iterator[Finding]:
    """A job that was asked for several results delivers different ones, each with an id and a seed of its own.

    Every one of them is paid for. A seed that is told for two of them is a question: it makes neither again.
    """
    count = job.endpoint.outputs.count
    parameter = job.endpoint.parameters.get(count) if isinstance(count, str) else None
    if parameter is None or outputs_of(job.endpoint, job.values) < 2:
        return
    digests = [picture.pixels for _, picture, _ in _first_of_each(job) if picture.pixels]
    if len(digests) != len(set(digests)):
        yield finding(
            f"{len(digests) - len(set(digests))} of {len(digests)} results repeat another one",
            subject="results alike",
            proof=parameter.evidence,
            where=parameter.where,
            evidence=[*_asked(job), *[seq for seq, _, _ in _first_of_each(job)][:2]],
            expected="different pictures",
            actual="the same picture",
        )
    for seen in job.results:
        for fact, proof in (("an id", parameter.evidence), ("a seed", UNKNOWN)):
            told = [str(value) for value in seen.reading.values(f"output.{fact.split()[1]}")] if seen.reading else []
            if len(told) == len(set(told)):
                continue
            yield finding(
                f"several results of one job share {fact}",
                subject=f"results share {fact}",
                proof=proof,
                where=parameter.where,
                evidence=[seen.seq],
                expected=f"{fact} each",
                actual=told[0],
            )
            return


def _first_of_each(job: JobTrace) -> list[tuple[int, Any, str]]:
    """Each output once, however often it was fetched."""
    first: dict[int, tuple[int, Any, str]] = {}
    for exchange in job.media:
        picture = job.pictures.get((exchange.seq, exchange.output or 0))
        if picture is not None:
            first.setdefault(exchange.output or 0, (exchange.seq, picture, _declared(exchange)))
    return [first[index] for index in sorted(first)]


@check(id="OUT012", reads=Trace, trips_on=("quality-ignored", "default-quality"))
def a_quality_that_is_asked_for_shows(trace: Trace) -> Iterator[Finding]:
    """A JPEG of a higher quality is compressed less than one of a lower quality, and one quality always the same.

    Encoders count quality differently, so only far-apart values are compared, and a number far from what was asked
    for is a question. A quality that has no effect is paid for in bytes, or in looks.
    """
    parameter = trace.endpoint.parameters.get(trace.endpoint.outputs.quality or "")
    if parameter is None:
        return
    seen = [
        Pressed(Decimal(str(asked)), picture.quality, seq, parameter.name in job.values)
        for job in trace.jobs
        if not (job.tangled or job.misled) and (asked := job.full.get(parameter.name)) is not None
        for seq, picture, _ in _pictures(job)
        if picture.quality is not None and str(asked).isdigit()
    ]
    for low, high in product(seen, seen):
        if high.asked - low.asked >= APART and high.shows <= low.shows:
            yield _pressed(
                f"a JPEG of quality {high.asked} is compressed as much as one of quality {low.asked}, or more",
                "less compression",
                parameter,
                (low, high),
            )
            return
    for one, other in combinations(seen, 2):
        if one.asked == other.asked and one.given != other.given and abs(one.shows - other.shows) > SAME_QUALITY:
            yield _pressed(
                f"a JPEG whose quality was left out is compressed otherwise than one of {one.asked}, the default",
                f"the default, {one.asked}",
                parameter,
                (one, other),
                parameter.proof("default"),
            )
            return
    for one in seen:
        if abs(one.asked - one.shows) > APART:
            said = "asked for" if one.given else "the default"
            yield _pressed(
                f"a JPEG looks like quality {one.shows}, and {one.asked} was {said}",
                f"about {one.asked}",
                parameter,
                (one,),
                UNKNOWN,
            )
            return


class Pressed(NamedTuple):
    """A JPEG: the quality that counts for it, the one that its tables show, and whether it was asked for."""

    asked: Decimal
    shows: int
    seq: int
    given: bool


def _pressed(
    says: str, expected: str, parameter: Parameter, shown: tuple[Pressed, ...], proof: Evidence | None = None
) -> Finding:
    return finding(
        says,
        subject="quality",
        proof=proof or parameter.evidence,
        where=parameter.where,
        evidence=sorted({one.seq for one in shown}),
        expected=expected,
        actual="about " + " and ".join(str(one.shows) for one in shown) + " of 100",
    )


APART = 40
"""Qualities that differ by so much show in any encoder."""
SAME_QUALITY = 5
"""So much two pictures of one quality may differ in what their tables show."""


@check(id="OUT013", reads=JobTrace, trips_on=("told-other-type",))
def what_is_told_of_a_picture_is_true(job: JobTrace) -> Iterator[Finding]:
    """The type and the size that a result tells of a picture are those of the file.

    Files are named, stored and counted by them. Few pages promise them, so this is a question.
    """
    formats = promised(job.endpoint, job.values).formats
    for seen, exchange in product(job.results, job.media[:1]):
        i = exchange.output or 0
        picture = job.pictures.get((exchange.seq, i))
        if picture is None or picture.magic not in _MIME.values() or seen.reading is None:
            continue
        if formats and picture.magic not in formats:
            return  # the picture itself is not what was asked for
        if any(one.sha256 != picture.sha256 for (_, output), one in job.pictures.items() if output == i):
            return  # nor one and the same: JOB018 tells that
        said = {one.name: one.value for one in seen.reading.found if (one.item or 0) == i and one.value is not None}
        kind, size = said.get("output.content_type"), said.get("output.size")
        wrong = [
            *([("type", kind, picture.magic)] if kind is not None and _magic_of(kind) != picture.magic else []),
            *([("size", size, f"{picture.size} bytes")] if size is not None and size != picture.size else []),
        ]
        for name, told, shown in wrong:
            yield finding(
                f"the result tells {told} of a picture that is {shown}",
                subject=f"told {name}",
                severity=Severity.QUESTION,
                where=job.endpoint.outputs.where,
                evidence=[seen.seq, exchange.seq],
                expected=shown,
                actual=str(told),
            )
        if wrong:
            return


@check(id="OUT014", reads=JobTrace, trips_on=("thumbnail",))
def a_picture_is_no_thumbnail(job: JobTrace) -> Iterator[Finding]:
    """A picture whose size no page states is larger than a preview.

    A shape alone can be right for the wrong file: what a gallery shows instead of what was made.
    """
    wish = promised(job.endpoint, job.values)
    if wish.width and wish.height:
        return
    for seq, picture, _ in _pictures(job):
        if picture.width and picture.height and max(picture.width, picture.height) < THUMBNAIL:
            size = f"{picture.width}x{picture.height}"
            yield finding(
                f"the picture is {size}, as small as a preview",
                subject="thumbnail",
                severity=Severity.QUESTION,
                where=job.endpoint.outputs.where,
                evidence=[*_asked(job), seq],
                expected=f"a side of {THUMBNAIL} pixels or more",
                actual=size,
            )
            return


THUMBNAIL = 128
"""Pixels. No host's picture model makes anything smaller; previews are."""


@check(id="OUT015", reads=Trace, trips_on=("other-address",))
def a_result_names_no_picture_of_another_job(trace: Trace) -> Iterator[Finding]:
    """Where a result tells the address of an output twice, the second is no other job's picture.

    Which of the two a client reads is its own affair. One of its users is shown what belongs to somebody else.
    """
    told = [
        (job.label, seen, names)
        for job in trace.jobs
        if not (job.tangled or job.misled)
        for seen in job.results
        if (names := _names(seen))
    ]
    owners: dict[str, set[str]] = {}
    for label, _, names in told:
        owners.setdefault(names[0], set()).add(label)
    for label, seen, names in told:
        strange = next((name for name in names[1:] if label not in owners.get(name, {label})), None)
        if strange is not None:
            yield finding(
                f"the result names a picture of another job: {strange}",
                subject="another job's picture",
                severity=Severity.QUESTION,
                where=trace.endpoint.outputs.where,
                evidence=[seen.seq],
                expected=names[0],
                actual=strange,
            )
            return


def _names(seen: Seen) -> list[str]:
    """The files that the addresses of outputs in a reply lead to, in order."""
    found = seen.reading.found if seen.reading else ()
    urls = [one.value for one in found if one.name == "output.url" and isinstance(one.value, str)]
    names = [parts(url).path.rpartition("/")[2] for url in urls if parts(url).scheme in ("http", "https")]
    return [name for name in names if name]


def _magic_of(content_type: Any) -> str | None:
    return _MIME.get(str(content_type).partition(";")[0].strip().lower())
