"""From the tree of a contract file to the nouns of `model.py`. One function per noun.

The tree has passed its JSON Schema, so its shape is known here; what no schema can see (names that
must exist elsewhere) is noted on the page as a mistake.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from wireproof.lifecycle import Status
from wireproof.model import (
    Alternative,
    Auth,
    Confidence,
    Does,
    Endpoint,
    Evidence,
    Example,
    FormatRule,
    Gap,
    HeaderField,
    Kind,
    Limit,
    Means,
    Model,
    Move,
    Operation,
    Outputs,
    Parameter,
    Poll,
    Price,
    Problem,
    Provider,
    Provocation,
    Relation,
    Request,
    Retention,
    Rule,
    RuleKind,
    Server,
    Shape,
    SizeRule,
    Span,
    State,
    Term,
    Timing,
    Where,
)
from wireproof.spec import reading
from wireproof.spec.page import Page
from wireproof.spec.words import places, unfilled

OURS = frozenset(
    {"required", "is", "matters", "otherwise", "unique", "calls_out", "random", "says", "evidence", "facts"}
)
"""Keys of a parameter that are not JSON Schema's."""


def provider(page: Page) -> Provider:
    """The host, from its protocol file."""
    tree, base = page.value, page.default
    shapes = tree.get("shapes", {})
    for name, node in shapes.items():
        _numbers(page, node, f"/shapes/{name}")
    job = tree.get("job", {})
    table = tree.get("error_table", {})
    return Provider(
        name=tree["provider"],
        title=tree["title"],
        servers={
            name: Server(
                name,
                node["url"].rstrip("/"),
                node.get("keyed", False),
                page.evidence(node.get("evidence"), f"/servers/{name}/evidence", base),
                page.where(f"/servers/{name}"),
            )
            for name, node in tree["servers"].items()
        },
        auth=_auth(page, tree["auth"], base),
        operations=operations(page, base),
        states=_states(page, tree["states"], base),
        problems={name: _problem(page, name, node, base) for name, node in tree["problems"].items()},
        moves=tuple(_move(page, node, f"/moves/{i}", base) for i, node in enumerate(tree.get("moves", ()))),
        listed=tuple(table.get("codes", ())),
        listed_where=page.where("/error_table"),
        retention=_retention(page, tree.get("retention", {}), base),
        poll=_poll(page, tree.get("poll", {}), base),
        limits=tuple(_limit(page, name, node, base) for name, node in tree.get("limits", {}).items()),
        id_pattern=_pattern(page, job.get("id", {}).get("pattern", ""), "/job/id/pattern"),
        repeat_id=job.get("repeat", {}).get("does", "new"),
        refused_at=job.get("refused_at", {}).get("at", "submit"),
        refused_evidence=page.evidence(job.get("refused_at", {}).get("evidence"), "/job/refused_at/evidence", base),
        channels=tree.get("channels", {}),
        recipes=tree.get("recipes", {}),
        surfaces={Status(status): word for status, word in tree.get("surfaces", {}).items()},
        gaps=tuple(_gaps(page, tree.get("gaps", {}), base)),
        sources=page.sources,
        where=page.where(""),
    )


def endpoint(page: Page, protocol: Page, provider: Provider, model: Model) -> Endpoint:
    """One model at one host: the binding laid over its protocol and its model."""
    tree, base = page.value, page.default
    overlay = _overlay(page, protocol)
    own = {
        name: parameter(page, name, node, f"/parameters/{_escape(name)}", base)
        for name, node in tree["parameters"].items()
    }
    shared = {
        name: parameter(protocol, name, node, f"/parameters/{_escape(name)}", protocol.default)
        for name, node in protocol.value.get("parameters", {}).items()
        if name not in tree.get("drop", ())
    }
    result = Endpoint(
        name=f"{provider.name}/{page.documents[0].file.rsplit('/', 1)[-1].rsplit('.', 1)[0]}",
        provider=provider,
        model=model,
        slug=tree["slug"],
        title=tree["title"],
        parameters={**shared, **own},
        rules=tuple(_rule(page, node, f"/rules/{i}", base) for i, node in enumerate(tree.get("rules", ()))),
        operations=operations(overlay, protocol.default) if "operations" in tree else provider.operations,
        outputs=_outputs(page, tree.get("outputs", {}), base),
        price=_price(page, tree["price"], base) if "price" in tree else None,
        timing=_timing(page, tree.get("timing"), base),
        fixed=tree.get("fixed", {}),
        examples=tuple(_example(page, name, node) for name, node in tree.get("examples", {}).items()),
        provocations=tuple(_provocation(page, i, node) for i, node in enumerate(tree.get("provocations", ()))),
        gaps=tuple(_gaps(page, tree.get("gaps", {}), base)),
        sources=overlay.sources,
        where=page.where(""),
    )
    page.mistakes += overlay.mistakes
    return result


def _overlay(page: Page, protocol: Page) -> Page:
    """The protocol's tree with the endpoint's operations merged into it, each node owned by who wrote it."""
    merged = _merge({"operations": protocol.value["operations"]}, {"operations": page.value.get("operations", {})})
    value = {**protocol.value, **merged}
    return Page((page.documents[0], protocol.documents[0]), value)


def _merge(below: Any, above: Any) -> Any:
    """Mappings are merged key by key; anything else is replaced."""
    if isinstance(below, dict) and isinstance(above, dict):
        return {**below, **{key: _merge(below[key], value) if key in below else value for key, value in above.items()}}
    return above


def _auth(page: Page, node: Mapping[str, Any], base: Evidence) -> Auth:
    return Auth(
        header=node["header"],
        prefix=node.get("prefix", ""),
        env=node["env"],
        pattern=_pattern(page, node.get("pattern", ""), "/auth/pattern"),
        evidence=page.evidence(node.get("evidence"), "/auth/evidence", base),
        where=page.where("/auth"),
    )


def _pattern(page: Page, pattern: str, pointer: str) -> str:
    trouble = reading.check_pattern(pattern) if pattern else None
    if trouble:
        page.wrong(pointer, trouble)
    return pattern


def _states(page: Page, nodes: Mapping[str, Any], base: Evidence) -> dict[str, State]:
    return {
        word: State(
            word,
            Status(node if isinstance(node, str) else node["status"]),
            not isinstance(node, str) and node.get("initial", False),
            page.evidence(
                None if isinstance(node, str) else node.get("evidence"), f"/states/{_escape(word)}/evidence", base
            ),
            page.where(f"/states/{_escape(word)}"),
        )
        for word, node in nodes.items()
    }


def _move(page: Page, node: Any, pointer: str, base: Evidence) -> Move:
    before, after = (node["from"], node["to"]) if isinstance(node, dict) else node
    for word in (before, after):
        if word not in page.value["states"]:
            page.wrong(pointer, f"{word!r} is not one of the states")
    proof = page.evidence(node.get("evidence") if isinstance(node, dict) else None, f"{pointer}/evidence", base)
    return Move(before, after, proof, page.where(pointer))


def _span(page: Page, node: Mapping[str, Any] | None, pointer: str, base: Evidence, default: Span) -> Span:
    if node is None:
        return default
    return Span(
        node.get("seconds"), page.evidence(node.get("evidence"), f"{pointer}/evidence", base), page.where(pointer)
    )


def _retention(page: Page, node: Mapping[str, Any], base: Evidence) -> Retention:
    after = node.get("after", "unknown_job")
    if node and after not in page.value["problems"]:
        page.wrong("/retention/after", f"no problem is called {after!r}")
    return Retention(
        record=_span(page, node.get("record"), "/retention/record", base, Span(None)),
        media=_span(page, node.get("media"), "/retention/media", base, Span(None)),
        after=after,
        ttl=node.get("ttl"),
    )


def _poll(page: Page, node: Mapping[str, Any], base: Evidence) -> Poll:
    plain = Poll()
    own = page.evidence(node.get("evidence"), "/poll/evidence", base)
    return Poll(
        every=_span(page, node.get("every"), "/poll/every", own, plain.every),
        first=_span(page, node.get("first"), "/poll/first", own, plain.first),
        growth=Decimal(node.get("growth", "1")),
        most=_span(page, node.get("most"), "/poll/most", own, plain.most),
        deadline=_span(page, node.get("deadline"), "/poll/deadline", own, plain.deadline),
    )


def _limit(page: Page, name: str, node: Mapping[str, Any], base: Evidence) -> Limit:
    pointer = f"/limits/{name}"
    problem = node.get("problem", "rate_limited")
    if problem not in page.value["problems"]:
        page.wrong(pointer, f"no problem is called {problem!r}")
    return Limit(
        name=name,
        what=node["what"],
        most=node["most"],
        window=node.get("window"),
        operations=tuple(node.get("operations", ())),
        problem=problem,
        over=node.get("over", "refuse"),
        evidence=page.evidence(node.get("evidence"), f"{pointer}/evidence", base),
        where=page.where(pointer),
    )


def _gaps(page: Page, nodes: Mapping[str, Any], base: Evidence) -> Iterator[Gap]:
    for name, node in nodes.items():
        pointer = f"/gaps/{name}"
        yield Gap(
            name, node["says"], page.evidence(node.get("evidence"), f"{pointer}/evidence", base), page.where(pointer)
        )


def parameter(page: Page, name: str, node: Mapping[str, Any], pointer: str, base: Evidence) -> Parameter:
    """One parameter of a request."""
    _numbers(page, node, pointer)
    own = page.evidence(node.get("evidence"), f"{pointer}/evidence", base)
    meant = node.get("is")
    canonical, words = (meant, {}) if not isinstance(meant, dict) else next(iter(meant.items()))
    return Parameter(
        name=name,
        schema={key: value for key, value in node.items() if key not in OURS},
        required=node.get("required", False),
        canonical=canonical,
        words=words,
        matters=node.get("matters", {}),
        otherwise=node.get("otherwise", "ignored"),
        unique=node.get("unique", False),
        calls_out=node.get("calls_out", False),
        random=node.get("random"),
        says=node.get("says", ""),
        evidence=own,
        facts={
            keyword: page.evidence(fact, f"{pointer}/facts/{keyword}", own)
            for keyword, fact in node.get("facts", {}).items()
        },
        where=page.where(pointer),
        lines={keyword: page.where(f"{pointer}/{keyword}") for keyword in node},
    )


def _numbers(page: Page, node: Mapping[str, Any], pointer: str) -> None:
    """Absurd sizes and dangerous patterns, anywhere in a fragment."""
    for at, says in reading.check_schema_numbers(node, pointer):
        page.wrong(at, says)
    for at, inner in places(node, pointer):
        _pattern(page, inner.get("pattern", ""), f"{at}/pattern")


def _rule(page: Page, node: Mapping[str, Any], pointer: str, base: Evidence) -> Rule:
    return Rule(
        name=node["name"],
        kind=RuleKind(node["kind"]),
        parameters=tuple(node["parameters"]),
        rows=tuple(tuple(row) for row in node.get("rows", ())),
        when=node.get("when", {}),
        says=node.get("says", ""),
        evidence=page.evidence(node.get("evidence"), f"{pointer}/evidence", base),
        where=page.where(pointer),
    )


def shape(page: Page, node: Any, pointer: str, base: Evidence) -> Shape | None:
    """The body of a reply: inline, or by the name of one of the file's `shapes`."""
    if node is None:
        return None
    if isinstance(node, str):
        shapes = page.value.get("shapes", {})
        if node not in shapes:
            guess = reading.nearest(node, shapes)
            page.wrong(pointer, f"no shape is called {node!r}" + (f"; did you mean {guess}?" if guess else ""))
            return None
        node, pointer = shapes[node], f"/shapes/{node}"
    else:
        _numbers(page, node, pointer)
    lines: dict[str, Where] = {}
    proofs: dict[str, Evidence] = {}
    _places(page, node, pointer, "", base, lines, proofs)
    return Shape(node, page.where(pointer), lines, proofs)


def _places(
    page: Page,
    node: Mapping[str, Any],
    pointer: str,
    inside: str,
    base: Evidence,
    lines: dict[str, Where],
    proofs: dict[str, Evidence],
) -> None:
    """Note line and evidence of every place of a shape, from the outside in."""
    own = page.evidence(node.get("evidence"), f"{pointer}{inside}/evidence", base)
    lines[inside] = page.where(pointer + inside)
    proofs[inside] = own
    for name, child in node.get("properties", {}).items():
        _places(page, child, pointer, f"{inside}/properties/{_escape(name)}", own, lines, proofs)
    if isinstance(node.get("items"), dict):
        _places(page, node["items"], pointer, f"{inside}/items", own, lines, proofs)
    for i, child in enumerate(node.get("anyOf", ())):
        _places(page, child, pointer, f"{inside}/anyOf/{i}", own, lines, proofs)


def _headers(page: Page, nodes: Mapping[str, Any], pointer: str, base: Evidence) -> tuple[HeaderField, ...]:
    return tuple(
        HeaderField(
            name=name.lower(),
            value=node["is"],
            schema={key: value for key, value in node.items() if key not in OURS},
            required=node.get("required", False),
            evidence=page.evidence(node.get("evidence"), f"{pointer}/{_escape(name)}/evidence", base),
            where=page.where(f"{pointer}/{_escape(name)}"),
        )
        for name, node in nodes.items()
    )


def _codes(node: int | list[int]) -> tuple[int, ...]:
    return (node,) if isinstance(node, int) else tuple(node)


def _problem(page: Page, name: str, node: Mapping[str, Any], base: Evidence) -> Problem:
    pointer = f"/problems/{name}"
    own = page.evidence(node.get("evidence"), f"{pointer}/evidence", base)
    return Problem(
        name=name,
        kind=Kind(node["kind"]),
        statuses=_codes(node["status"]),
        shape=shape(page, node.get("body"), f"{pointer}/body", own),
        media=node.get("media", "json"),
        code=node.get("code"),
        message=node.get("message", ""),
        headers=_headers(page, node.get("headers", {}), f"{pointer}/headers", own),
        retry=node.get("retry", "unknown"),
        billed=node.get("billed", "unknown"),
        says=node.get("says", ""),
        evidence=own,
        where=page.where(pointer),
    )


def operations(page: Page, base: Evidence) -> dict[str, Operation]:
    """The operations of a protocol, or of a protocol with an endpoint's changes laid over it."""
    return {name: _operation(page, name, node, base) for name, node in page.value["operations"].items()}


def _operation(page: Page, name: str, node: Mapping[str, Any], base: Evidence) -> Operation:
    pointer = f"/operations/{name}"
    own = page.evidence(node.get("evidence"), f"{pointer}/evidence", base)
    for key in ("does", "request", "replies"):
        if key not in node:
            page.wrong(pointer, f"the operation has no {key!r}")
    for i, problem in enumerate(node.get("problems", ())):
        if problem not in page.value["problems"]:
            guess = reading.nearest(problem, page.value["problems"])
            page.wrong(
                f"{pointer}/problems/{i}",
                f"no problem is called {problem!r}" + (f"; did you mean {guess}?" if guess else ""),
            )
    return Operation(
        name=name,
        does=Does(node.get("does", "other")),
        request=_request(page, node.get("request", {}), f"{pointer}/request", own),
        alternatives=tuple(
            _alternative(page, reply, child, f"{pointer}/replies/{reply}", own)
            for reply, child in node.get("replies", {}).items()
        ),
        problems=tuple(node.get("problems", ())),
        auth=node.get("auth", True),
        link=node.get("link"),
        follow=node.get("follow", "either"),
        says=node.get("says", ""),
        evidence=own,
        where=page.where(pointer),
    )


def _request(page: Page, node: Mapping[str, Any], pointer: str, base: Evidence) -> Request:
    for key in ("method", "path"):
        if key not in node:
            page.wrong(pointer, f"the request has no {key!r}")
    server = node.get("server", "api")
    if server not in page.value["servers"]:
        page.wrong(f"{pointer}/server", f"no server is called {server!r}")
    for says in unfilled(node.get("path", "/")):
        page.wrong(f"{pointer}/path", says)
    policy = node.get("unknown_fields", "unknown")
    return Request(
        method=node.get("method", "GET"),
        path=node.get("path", "/"),
        server=server,
        envelope=node.get("body", "none"),
        parameters=node.get("parameters", "none" if node.get("body", "none") == "none" else "binding"),
        fields=tuple(
            parameter(page, name, field, f"{pointer}/fields/{_escape(name)}", base)
            for name, field in node.get("fields", {}).items()
        ),
        beside=tuple(_beside(page, node, pointer)),
        select=node.get("select", {}),
        unknown_fields=policy,
        unknown_evidence=page.evidence(
            node.get("unknown_evidence"),
            f"{pointer}/unknown_evidence",
            # What is said is believed as the operation is; what nobody says is believed by nobody.
            base if policy != "unknown" else Evidence(confidence=Confidence.UNKNOWN),
        ),
    )


def _beside(page: Page, node: Mapping[str, Any], pointer: str) -> Iterator[str]:
    """The fields that stand beside a nested body."""
    fields, body = node.get("fields", {}), node.get("body", "none")
    for i, name in enumerate(node.get("beside", ())):
        at = f"{pointer}/beside/{i}"
        if body in ("none", "flat", "array"):
            page.wrong(
                at, f"nothing can stand beside a body that is {body}: give the name that the parameters are under"
            )
        elif name == body:
            page.wrong(at, f"the parameters stand under {name} already")
        elif name not in fields:
            guess = reading.nearest(name, fields)
            page.wrong(at, f"no field is called {name!r}" + (f"; did you mean {guess}?" if guess else ""))
        yield name


def _alternative(page: Page, name: str, node: Mapping[str, Any], pointer: str, base: Evidence) -> Alternative:
    own = page.evidence(node.get("evidence"), f"{pointer}/evidence", base)
    for key in ("status", "means"):
        if key not in node:
            page.wrong(pointer, f"the reply has no {key!r}")
    for i, word in enumerate(node.get("states", ())):
        if word not in page.value["states"]:
            page.wrong(f"{pointer}/states/{i}", f"{word!r} is not one of the states")
    return Alternative(
        name=name,
        statuses=_codes(node.get("status", 200)),
        means=Means(node.get("means", "other")),
        media=node.get("media", "json"),
        having=tuple(node.get("having", ())),
        lacking=tuple(node.get("lacking", ())),
        states=tuple(node.get("states", ())),
        shape=shape(page, node.get("body"), f"{pointer}/body", own),
        headers=_headers(page, node.get("headers", {}), f"{pointer}/headers", own),
        when=node.get("when", {}),
        says=node.get("says", ""),
        evidence=own,
        where=page.where(pointer),
    )


def _outputs(page: Page, node: Mapping[str, Any], base: Evidence) -> Outputs:
    form = node.get("format", {})
    return Outputs(
        media=node.get("media", "image"),
        count=node.get("count", 1),
        format=FormatRule(
            parameter=form.get("parameter"),
            values=form.get("values", {}),
            fixed=form.get("fixed"),
            any_of=tuple(form.get("any_of", ())),
            evidence=page.evidence(form.get("evidence"), "/outputs/format/evidence", base),
            where=page.where("/outputs/format"),
        ),
        quality=node.get("quality"),
        sizes=tuple(_size(page, size, f"/outputs/sizes/{i}", base) for i, size in enumerate(node.get("sizes", ()))),
        seed=node.get("seed"),
        server=node.get("server", "media"),
        auth=node.get("auth", False),
        relations=tuple(
            Relation(
                name=relation["name"],
                kind=relation["kind"],
                first=relation["first"],
                second=relation["second"],
                says=relation.get("says", ""),
                evidence=page.evidence(relation.get("evidence"), f"/outputs/relations/{i}/evidence", base),
                where=page.where(f"/outputs/relations/{i}"),
            )
            for i, relation in enumerate(node.get("relations", ()))
        ),
        where=page.where("/outputs"),
    )


def _size(page: Page, node: Mapping[str, Any], pointer: str, base: Evidence) -> SizeRule:
    plain = SizeRule()
    return SizeRule(
        when=node.get("when", {}),
        width=node.get("width"),
        height=node.get("height"),
        ratio=node.get("ratio"),
        tolerance=Decimal(node["tolerance"]) if "tolerance" in node else plain.tolerance,
        pixels=node.get("pixels", plain.pixels),
        evidence=page.evidence(node.get("evidence"), f"{pointer}/evidence", base),
        where=page.where(pointer),
    )


def _price(page: Page, node: Mapping[str, Any], base: Evidence) -> Price:
    own = page.evidence(node.get("evidence"), "/price/evidence", base)
    return Price(
        unit=node["unit"],
        terms=tuple(
            Term(
                amount=Decimal(term["amount"]),
                per=term["per"],
                of=term.get("of"),
                beyond=term.get("beyond", 0),
                up_to=term.get("up_to"),
                when=term.get("when", {}),
            )
            for term in node["terms"]
        ),
        billed=node.get("billed", {}),
        billed_evidence=page.evidence(node.get("billed_evidence"), "/price/billed_evidence", own),
        rate={unit: Decimal(amount) for unit, amount in node.get("rate", {}).items()},
        rate_evidence=page.evidence(
            node.get("rate_evidence"), "/price/rate_evidence", Evidence(confidence=Confidence.UNKNOWN)
        ),
        evidence=own,
        where=page.where("/price"),
    )


def _timing(page: Page, node: Mapping[str, Any] | None, base: Evidence) -> Timing:
    if node is None:
        return Timing()
    plain = Timing()
    return Timing(
        queue=float(node.get("queue", plain.queue)),
        run=float(node.get("run", plain.run)),
        evidence=page.evidence(node.get("evidence"), "/timing/evidence", base),
        where=page.where("/timing"),
    )


def _example(page: Page, name: str, node: Mapping[str, Any]) -> Example:
    pointer = f"/examples/{name}"
    sample = replace(page.default, confidence=Confidence.SAMPLE)
    return Example(
        name=name,
        parameters=node["parameters"],
        reply=node.get("reply"),
        operation=node.get("operation", ""),
        alternative=node.get("alternative", ""),
        breaks=tuple(node.get("breaks", ())),
        says=node.get("says", ""),
        evidence=page.evidence(node.get("evidence"), f"{pointer}/evidence", sample),
        where=page.where(pointer),
    )


def _provocation(page: Page, index: int, node: Mapping[str, Any]) -> Provocation:
    pointer = f"/provocations/{index}"
    ours = replace(page.default, confidence=Confidence.INFERRED)
    return Provocation(
        status=Status(node["status"]),
        parameters=node["parameters"],
        says=node.get("says", ""),
        evidence=page.evidence(node.get("evidence"), f"{pointer}/evidence", ours),
        where=page.where(pointer),
    )


def _escape(part: str) -> str:
    """A name as one segment of a JSON pointer."""
    return part.replace("~", "~0").replace("/", "~1")
