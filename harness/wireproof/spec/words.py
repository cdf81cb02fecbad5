"""The vocabulary of a contract, and whether a contract keeps to it.

What no JSON Schema can see: that a name used in one place exists in another.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from wireproof.errors import Mistake
from wireproof.model import Condition, Endpoint, Operation, Shape, Where
from wireproof.spec.reading import nearest

VOCABULARY: Mapping[str, str] = {
    "job.id": "the id the host gave the job, or took over from the caller",
    "job.state": "the host's own state word",
    "job.progress": "how far the job is",
    "job.error": "why the job failed, in words",
    "job.error_code": "why the job failed, for machines",
    "job.created_at": "when the job was taken",
    "job.expires_at": "when the job or its outputs are forgotten",
    "job.cost": "what the job cost",
    "job.run_time": "seconds of work",
    "job.queue_time": "seconds of waiting",
    "job.total_time": "seconds from submit to end",
    "link.status": "where to ask for the state",
    "link.result": "where to fetch the result",
    "link.cancel": "where to cancel",
    "link.poll": "an older address to ask for the state",
    "output.id": "id of one output",
    "output.url": "where one output is",
    "output.base64": "one output, as base64",
    "output.data_uri": "one output, as a data URI",
    "output.content_type": "MIME type of one output",
    "output.name": "file name of one output",
    "output.size": "bytes of one output",
    "output.seed": "the seed one output was made with",
    "output.cost": "what one output cost",
    "output.flagged": "whether one output was flagged by a content check",
    "account.balance": "what is left on the account",
    "problem.code": "kind of the problem, for machines",
    "problem.message": "what is wrong, in words",
    "problem.parameter": "which parameter is wrong",
    "problem.type": "type that was expected",
    "problem.docs": "where to read about it",
    "problem.operation": "which operation had the problem",
    "problem.status": "the status code once more",
    "session.id": "id of a session of the socket",
    "retry.after": "seconds to wait",
    "retry.reset_at": "when to try again",
}
"""Every name that may stand behind `is`, beside `request.<parameter>` (an echo of the request)."""


PLACEHOLDERS: Mapping[str, str] = {
    "model": "the endpoint's slug",
    "job.id": "the id of the job that is asked after",
}
"""Every name that may stand in braces in a path."""


def unfilled(path: str) -> Iterator[str]:
    """What is wrong with the placeholders of a path. A key in an address is told by lint, which says why not."""
    for name in re.findall(r"\{([^{}]*)\}", path):
        if name not in (*PLACEHOLDERS, "key"):
            guess = nearest(name, PLACEHOLDERS)
            known = " and ".join(f"{{{one}}}" for one in PLACEHOLDERS)
            hint = f"; did you mean {{{guess}}}?" if guess else f"; {known} can stand here"
            yield f"nothing is called {{{name}}} in a path{hint}"


def check_words(endpoint: Endpoint) -> Iterator[Mistake]:
    """Every name of an endpoint that points nowhere."""
    yield from _parameters(endpoint)
    for operation in endpoint.operations.values():
        yield from _operation(endpoint, operation)
    for problem in endpoint.provider.problems.values():
        yield from _shape(endpoint, problem.shape)
        for header in problem.headers:
            yield from _word(endpoint, header.value, header.where)
    yield from _names(endpoint)


def _mistake(where: Where, says: str) -> Mistake:
    return Mistake(where.file, where.line, where.pointer, says)


def _unknown(where: Where, what: str, name: str, known: Mapping[str, Any]) -> Mistake:
    guess = nearest(name, known)
    hint = f"; did you mean {guess}?" if guess else ""
    return _mistake(where, f"no {what} is called {name!r}{hint}")


def _parameters(endpoint: Endpoint) -> Iterator[Mistake]:
    known, model = endpoint.parameters, endpoint.model
    for parameter in known.values():
        if parameter.canonical and parameter.canonical not in model.parameters:
            yield _unknown(
                parameter.line("is"), f"parameter of the model {model.name}", parameter.canonical, model.parameters
            )
        yield from _condition(endpoint, parameter.matters, parameter.line("matters"))
    for rule in endpoint.rules:
        for name in rule.parameters:
            if name not in known:
                yield _unknown(rule.where, "parameter", name, known)
        yield from _condition(endpoint, rule.when, rule.where)
        if any(len(row) != len(rule.parameters) for row in rule.rows):
            yield _mistake(rule.where, "every row needs one value for each parameter of the rule")
    for name in endpoint.fixed:
        if name not in model.parameters:
            yield _unknown(endpoint.where, f"parameter of the model {model.name}", name, model.parameters)


def _condition(endpoint: Endpoint, condition: Condition, where: Where) -> Iterator[Mistake]:
    for name in condition:
        if name != "job.state" and name not in endpoint.parameters:
            yield _unknown(where, "parameter", name, endpoint.parameters)


def _operation(endpoint: Endpoint, operation: Operation) -> Iterator[Mistake]:
    for name in operation.request.select:
        if name not in endpoint.parameters:
            yield _unknown(operation.where, "parameter", name, endpoint.parameters)
    for alternative in operation.alternatives:
        yield from _condition(endpoint, alternative.when, alternative.where)
        yield from _shape(endpoint, alternative.shape)
        for header in alternative.headers:
            yield from _word(endpoint, header.value, header.where)
    for field in operation.request.fields:
        if field.canonical:
            yield from _word(endpoint, field.canonical, field.line("is"))
        if field.name in operation.request.beside and field.name in endpoint.parameters:
            yield _mistake(
                field.where, f"{field.name} is a parameter, too: of two values in one request, one needs a name"
            )


def _word(endpoint: Endpoint, word: str, where: Where) -> Iterator[Mistake]:
    if word.startswith("request."):
        if word.removeprefix("request.") not in endpoint.parameters:
            yield _unknown(where, "parameter", word.removeprefix("request."), endpoint.parameters)
    elif word not in VOCABULARY:
        yield _unknown(where, "value", word, VOCABULARY)


def _shape(endpoint: Endpoint, shape: Shape | None) -> Iterator[Mistake]:
    if shape is None:
        return
    for pointer, node in places(shape.schema):
        where = shape.lines.get(pointer, shape.where)
        if "is" in node:
            yield from _word(endpoint, node["is"], where)
        yield from _condition(endpoint, node.get("when", {}), where)


def places(node: Mapping[str, Any], pointer: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every place of a shape with its pointer inside the schema, the outermost first."""
    yield pointer, node
    for name, child in node.get("properties", {}).items():
        yield from places(child, f"{pointer}/properties/{name.replace('~', '~0').replace('/', '~1')}")
    if isinstance(node.get("items"), Mapping):
        yield from places(node["items"], f"{pointer}/items")
    for i, child in enumerate(node.get("anyOf", ())):
        yield from places(child, f"{pointer}/anyOf/{i}")


def _names(endpoint: Endpoint) -> Iterator[Mistake]:
    outputs, known = endpoint.outputs, endpoint.parameters
    used = [outputs.count, outputs.quality, outputs.seed, outputs.format.parameter]
    for size in outputs.sizes:
        used += [size.width, size.height, size.ratio]
        yield from _condition(endpoint, size.when, size.where)
    for name in used:
        if isinstance(name, str) and name not in known:
            yield _unknown(outputs.where, "parameter", name, known)
    if outputs.server not in endpoint.provider.servers:
        yield _unknown(outputs.where, "server", outputs.server, endpoint.provider.servers)
    for term in endpoint.price.terms if endpoint.price else ():
        if term.per == "item" and (term.of is None or term.of not in known):
            yield _unknown(endpoint.price.where if endpoint.price else endpoint.where, "parameter", str(term.of), known)
    for example in endpoint.examples:
        if example.operation and example.operation not in endpoint.operations:
            yield _unknown(example.where, "operation", example.operation, endpoint.operations)
    for gift in (*endpoint.provocations,):
        for name in gift.parameters:
            if name not in known:
                yield _unknown(gift.where, "parameter", name, known)
