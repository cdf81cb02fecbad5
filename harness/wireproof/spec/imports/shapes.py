"""Foreign schemas in the words of a contract, and what probably stands where in a reply."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jsonschema_rs

from wireproof.spec.imports import drafting
from wireproof.spec.imports.drafting import Tree, guessed, snake

Unknown = Callable[[str], None]
"""Told one sentence for each thing that could not be carried over."""


def fragment(schema: Tree, depth: int = 0) -> Tree:
    """A schema as a contract can say it: references are followed already, OpenAPI 3.0 is spelled as 3.1."""
    made: Tree = {}
    kinds = schema.get("type")
    listed = [kind for kind in (kinds if isinstance(kinds, list) else [kinds]) if kind in drafting.TYPES]
    if schema.get("nullable") and listed and "null" not in listed:
        listed.append("null")
    if listed:
        made["type"] = listed[0] if len(listed) == 1 else listed
    made |= {key: schema[key] for key in drafting.KEYWORDS if schema.get(key) is not None}
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if isinstance(made.get(exclusive), bool):  # how OpenAPI 3.0 spells it
            strict = made.pop(exclusive)
            if strict and bound in made:
                made[exclusive] = made.pop(bound)
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        made["enum"] = schema["enum"][:1000]
    if "const" in schema:
        made["const"] = schema["const"]
    if schema.get("format") in drafting.FORMATS:
        made["format"] = schema["format"]
    if made.get("default", ...) is None:
        del made["default"]
    if depth < 6:
        made |= _inner(schema, depth)
    return drafting.sound(made)


def _inner(schema: Tree, depth: int) -> Tree:
    made: Tree = {}
    if isinstance(schema.get("items"), Mapping):
        made["items"] = fragment(schema["items"], depth + 1)
    if isinstance(schema.get("properties"), Mapping) and schema["properties"]:
        made["properties"] = {key: fragment(child, depth + 1) for key, child in schema["properties"].items() if key}
        required = [key for key in schema.get("required") or () if key in made["properties"]]
        if required:
            made["required"] = required
    if isinstance(schema.get("additionalProperties"), bool):
        made["additionalProperties"] = schema["additionalProperties"]
    choices = [fragment(one, depth + 1) for one in schema.get("anyOf", ())]
    if choices and all(choices):
        made["anyOf"] = choices
    return made


def shape(schema: Tree, means: str, unknown: Unknown, words: list[str]) -> Tree:
    """The body of a reply, with what probably stands where. `words` collects the state words it lists."""
    made = fragment(schema)
    if made.get("type") == ["object", "null"] or "properties" in made:
        made["type"] = "object"
    _mark(made, means, unknown, words, top=True, home=_home(made))
    return made


def levels(schema: Tree) -> list[Tree]:
    """The places of a reply where a job may be told of: its own, and those of the objects right within it."""
    own = schema.get("properties") or {}
    return [own, *(child["properties"] for child in own.values() if child.get("properties"))]


def _home(node: Tree) -> Tree:
    """The level on which the id of the job stands: where its state does, else the first that has one."""
    within = levels(node)
    stated = (level for level in within if any(drafting.VALUES.get(snake(key)) == "job.state" for key in level))
    named = (level for level in within if any(snake(key) in drafting.IDS for key in level))
    for level in (*stated, *named):
        if any(snake(key) in drafting.IDS for key in level):
            return level
    return {}


def allows(fragment: Tree, value: object) -> bool:
    """Whether a parameter's own rules allow a value. What is no sound schema allows everything."""
    rules = {
        key: rule for key, rule in fragment.items() if key in (*drafting.KEYWORDS, "type", "enum", "const", "anyOf")
    }
    try:
        return bool(jsonschema_rs.is_valid({k: v for k, v in rules.items() if k != "default"}, value))
    except ValueError:
        return True


def _mark(node: Tree, means: str, unknown: Unknown, words: list[str], *, top: bool, home: Tree) -> None:
    for key, child in node.get("properties", {}).items():
        meaning = _meaning(snake(key), child, means, node["properties"] is home)
        if meaning == "each":
            child["each"] = "output"
            child["items"] = {**child["items"], "is": "output.url", "evidence": _named(key)}
        elif meaning:
            child["is"] = meaning
            child["evidence"] = _named(key)
            child.pop("default", None)
            if meaning == "job.state":
                words += [word for word in child.pop("enum", []) if isinstance(word, str) and word]
        elif "properties" in child and means != "problem" and snake(key) in ("error", "failure"):
            _mark_error(child["properties"])
        elif "properties" in child:
            _mark(child, means, unknown, words, top=False, home=home)
        elif "properties" in (child.get("items") or {}):
            _mark(child["items"], means, unknown, words, top=False, home=home)
            inside = [str(one.get("is", "")) for one in child["items"]["properties"].values()]
            if means == "problem" or any(word.startswith("output.") for word in inside):
                child["each"] = "problem" if means == "problem" else "output"
    kept = [key for key in node.get("required", ()) if _always(node["properties"][key])]
    lost = [key for key in node.pop("required", ()) if key not in kept]
    if kept:
        node["required"] = kept
    if lost and means != "problem":
        unknown(f"reply: {', '.join(lost)} must be there by the document; not demanded until its meaning is filled in.")


def _mark_error(inside: Tree) -> None:
    """What an object that tells why a job failed holds: its text and its code."""
    text = next((key for key in inside if snake(key) in drafting.MESSAGES), "")
    for key, word in ((text, "job.error"), ("code", "job.error_code")):
        if "string" in str(inside.get(key, {}).get("type", "")):
            inside[key] |= {"is": word, "evidence": _named(f"error.{key}")}


def _named(key: str) -> Tree:
    return guessed(f"That it stands here is guessed from the name {key}.")


def _always(child: Tree) -> bool:
    return child.get("is") in ("job.id", "job.state", "problem.message") or "const" in child


def _meaning(key: str, child: Tree, means: str, top: bool) -> str:
    kinds = child.get("type", [])
    text = "string" in (kinds if isinstance(kinds, list) else [kinds])
    if means == "problem":
        return "problem.message" if text and key in drafting.MESSAGES else ""
    if text and top and key in drafting.IDS:
        return "job.id"
    if text and key in drafting.OUTPUTS and not (key == "url" and top):
        return "output.url"
    if not child and key in ("output", "outputs"):  # anything at all, by the document
        return "output.url"
    if kinds == "array" and key in drafting.OUTPUTS and "string" in str((child.get("items") or {}).get("type", "")):
        return "each"
    if key == "error" and text:
        return "job.error"
    known = drafting.VALUES.get(key, "")
    wants_number = known in ("job.progress", "job.cost", "account.balance")
    numeric = bool({"number", "integer"} & set(kinds if isinstance(kinds, list) else [kinds]))
    return known if known and (numeric if wants_number else text or "enum" in child) else ""
