"""Problems with the form of a configuration, in plain words: the key, its value and what is allowed."""

import copy
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from itertools import takewhile
from pathlib import Path
from typing import Any

import yaml
from jsonschema import ValidationError

from mocksed import jsontext
from mocksed.config.schema import Node, types_of
from mocksed.errors import suggestion

KeyPath = tuple[str | int, ...]

MAX_PROBLEMS = 10
"""Problems that a message lists; more are counted."""

PATH_WORDS = "without braces, angle brackets and line breaks"
_PLAIN_WORDS = f"{PATH_WORDS}, no URL, ~ and $ written out"
_PATTERN_WORDS = {
    r"^[A-Za-z0-9][A-Za-z0-9_.-]*(?!\n)$": (
        "a name of letters, digits, '_', '.' and '-' that begins with a letter or digit"
    ),
    r"^(?!~)(?!.*://)[^{}<>$\n]+(?!\n)$": f"a path that is not empty, {_PLAIN_WORDS}",
    r"^(?!~)(?!.*://)[^{}<>$\n]+\.h5(?!\n)$": f"the path of a file that ends in .h5, {_PLAIN_WORDS}",
}
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
"""Characters that names of files, columns and arguments cannot have: NUL, and surrogates, which UTF-8 lacks."""
_NO_MARKUP = re.compile("</|<!--")
"""Text that would end the script of Snakemake's HTML report, which contains the parameters of jobs unescaped."""
_SINGULAR = {
    "integer": "an integer",
    "number": "a number",
    "string": "text",
    "boolean": "true or false",
    "null": "null",
}
_PLURAL = {"integer": "integers", "number": "numbers", "string": "names"}


def schema_problems(errors: Sequence[ValidationError], root: Node) -> Iterator[str]:
    """Yield the problems that jsonschema found, each with key, value and what is allowed."""
    for error in errors:
        if not error.absolute_path and error.validator == "type":
            yield f"the configuration is {shown(error.instance)}; expected keys and values, at least 'run: NAME'"
            return
    errors = sorted(errors, key=lambda error: [*map(str, error.absolute_path)])
    # a missing key is reported once for each key missing beside it
    yield from dict.fromkeys(problem for error in errors for problem in _translate(error, root["x-removed"]))


def without(config: dict[str, Any], errors: Sequence[ValidationError]) -> dict[str, Any]:
    """Return a config without the keys whose values are not of the right form."""
    config = copy.deepcopy(config)
    for error in errors:
        path = [str(part) for part in takewhile(lambda part: isinstance(part, str), error.absolute_path)]
        node: dict[str, Any] = reduce(lambda node, key: node.get(key, {}), path[:-1], config)
        for key in path[-1:]:
            if error.validator != "additionalProperties":  # which leaves the known keys as they are
                node.pop(key, None)
    return {"run": "run"} | config


def never_allowed(value: Any, path: KeyPath = ()) -> Iterator[str]:
    """Yield values that no key may have: numbers that are not finite, and text that files or the report cannot hold."""
    if isinstance(value, float) and not math.isfinite(value):
        yield f"{_dotted(path)}: {value} is not allowed; expected a finite number"
    if isinstance(value, str) and _NO_TEXT.search(value):
        yield f"{_dotted(path)}: {shown(value)} is not allowed; expected text without NUL and lone surrogates"
    if isinstance(value, str) and _NO_MARKUP.search(value):
        yield f"{_dotted(path)}: {shown(value)} is not allowed; expected text without '</' and '<!--'. Rename it"
    if isinstance(value, dict):
        for key in value:
            if _NO_MARKUP.search(key):
                yield f"{_dotted((*path, key))}: this name is not allowed; expected one without '</' and '<!--'"
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from never_allowed(item, (*path, key))


def _translate(error: ValidationError, removed: Mapping[str, str]) -> Iterator[str]:
    """Describe in plain words what jsonschema found; ``removed`` are keys of earlier versions and what to do."""
    path: KeyPath = tuple(error.absolute_path)
    value: Any = error.instance
    node: Any = error.schema
    key = _dotted(path)
    match error.validator:
        case "additionalProperties":
            for name in value.keys() - node["properties"].keys():
                allowed = list(node["properties"])
                if advice := removed.get(_dotted((*path, name))):
                    yield f"{_dotted((*path, name))}: this key no longer exists; {advice}"
                    continue
                below = [_dotted((*path, *inner)) for inner in _paths(node) if inner[-1] == name]
                hint = f", did you mean {' or '.join(below)}?" if 0 < len(below) < 3 else suggestion(name, allowed)
                yield f"{_dotted((*path, name))}: unknown key{hint}; allowed: {', '.join(allowed)}"
        case "required":
            for name in node["required"]:
                if name not in value:
                    yield f"{_dotted((*path, name))}: missing; expected {words(node['properties'][name])}"
        case "oneOf" if inner := _errors_of_option(error):
            for item in inner:
                yield from _translate(item, removed)
        case "uniqueItems":
            twice = {str(item): None for item in value if value.count(item) > 1}
            yield f"{key}: {', '.join(twice)} given more than once; give each once"
        case _:
            yield f"{key}: {shown(value)} is not allowed; expected {words(node)}{_text_hint(value, node)}"


def _paths(node: Node) -> Iterator[KeyPath]:
    """Yield the keys of a node and those within them."""
    for key, child in node.get("properties", {}).items():
        yield (key,)
        yield from ((key, *inner) for inner in _paths(child))


def _errors_of_option(error: ValidationError) -> list[ValidationError]:
    """Return the errors of the option that the user meant: the one whose type is that of the value."""
    kind = "object" if isinstance(error.instance, dict) else "array" if isinstance(error.instance, list) else None
    options: Any = error.validator_value
    meant = [i for i, option in enumerate(options) if kind and option.get("type") == kind]
    return [inner for inner in error.context or () if inner.schema_path[0] in meant]


def _text_hint(value: Any, node: Node) -> str:
    """Explain a number, or true or false, that arrived as text."""
    kinds = {*types_of(node)} & {"integer", "number", "boolean"}
    if not isinstance(value, str) or not kinds:
        return ""
    if isinstance(yaml.safe_load(value), bool if kinds == {"boolean"} else (int, float)):
        return " (it is text, as everything within {} after --config and in quotes: write it in a config file)"
    try:
        number = float(value)
    except ValueError:
        return ""
    plain = f"{number:.0f}" if number.is_integer() else repr(number)
    return f" (YAML takes {value} for text; write {plain if 'e' not in plain else f'{number:.1e}'})"


def _dotted(path: Sequence[str | int]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def shown(value: Any) -> str:
    """Return a value as messages show it."""
    return jsontext.shown(value, 80)


def message(source: object, problems: list[str]) -> str:
    """Return one message with the first problems of a configuration, which is named if it is a file."""
    where = f" {source}" if isinstance(source, Path) else ""
    count = f"{len(problems)} problems" if len(problems) > 1 else "a problem"
    listed = (problem.replace("\n", "\n  ") for problem in problems[:MAX_PROBLEMS])
    lines = [f"the configuration{where} has {count}:", *(f"  {problem}" for problem in listed)]
    if len(problems) > MAX_PROBLEMS:
        lines.append(f"  ... and {len(problems) - MAX_PROBLEMS} more")
    return "\n".join(lines)


# What a node of the schema allows, in plain words


def words(node: Node) -> str:
    """Return what a node of the schema allows, in plain words."""
    if "oneOf" in node:
        return ", or ".join(words(option) for option in node["oneOf"])
    if "const" in node:
        return jsontext.dumps(node["const"]).strip('"')
    if "enum" in node:
        return f"one of {', '.join('null' if item is None else str(item) for item in node['enum'])}"
    if "pattern" in node:
        or_null = ", or null" if "null" in types_of(node) else ""
        return _PATTERN_WORDS.get(node["pattern"], f"text that matches {node['pattern']}") + or_null
    return " or ".join(_type_words(kind, node) for kind in types_of(node))


def _type_words(kind: str, node: Node) -> str:
    match kind:
        case "object" if node.get("maxProperties") == 1:
            return f"exactly one of {', '.join(node['properties'])}"
        case "object" if isinstance(free := node.get("additionalProperties"), dict):
            return f"a mapping of names to {words(free)}"
        case "object":
            return f"a mapping with the keys {', '.join(node['properties'])}"
        case "array":
            low, high = node.get("minItems", 0), node.get("maxItems")
            count = f"{low} " if low == high else f"{low} to {high} " if high else f"at least {low} " if low else ""
            kinds = " or ".join(_PLURAL[item] for item in types_of(node["items"]))
            return f"a list of {count}{kinds}{_bounds(node['items'])}"
        case "integer" | "number":
            return f"{_SINGULAR[kind]}{_bounds(node)}"
        case _:
            return f"{_SINGULAR[kind]}{' that is not empty' if node.get('minLength') else ''}"


def _bounds(node: Node) -> str:
    if "minimum" in node and "maximum" in node:
        return f" from {node['minimum']} to {node['maximum']}"
    words = {
        "minimum": "of at least",
        "exclusiveMinimum": "above",
        "maximum": "of at most",
        "exclusiveMaximum": "below",
    }
    bounds = " and ".join(f"{word} {node[key]}" for key, word in words.items() if key in node)
    return f" {bounds}" if bounds else ""
