"""The schema of the configuration: read, its presets and its defaults filled in.

schema.yaml beside this file is the one place where a key, its limits, its default and its description are written.
"""

import copy
from collections.abc import Mapping
from functools import cache, reduce
from pathlib import Path
from typing import Any

from mocksed import yamlfile

Node = dict[str, Any]

SCHEMA = Path(__file__).with_name("schema.yaml")


@cache
def read() -> Node:
    """Return the schema with every ``$ref`` replaced by its target; keywords beside it win. Not to be changed."""
    root = yamlfile.read(SCHEMA)

    def inline(node: Any) -> Any:
        if isinstance(node, list):
            return [inline(item) for item in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            name = node["$ref"].removeprefix("#/$defs/")
            node = root["$defs"][name] | {key: value for key, value in node.items() if key != "$ref"}
        return {key: inline(value) for key, value in node.items()}

    return inline(root)  # type: ignore[no-any-return]


def plain(value: Any) -> Any:
    """Copy mappings and sequences of any kind (Snakemake has its own) as dicts and lists."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def presets(root: Node) -> dict[str, dict[str, Any]]:
    """Return what each preset but the default one sets: key, with dots for nesting, to value."""
    values: dict[str, dict[str, Any]] = root["properties"]["preset"]["x-presets"]
    return values


def with_preset(config: dict[str, Any], root: Node) -> dict[str, Any]:
    """Return a valid config with the keys of its preset that it does not have itself."""
    config = copy.deepcopy(config)
    for path, value in presets(root).get(config.get("preset", ""), {}).items():
        *parents, key = path.split(".")
        reduce(lambda node, name: node.setdefault(name, {}), parents, config).setdefault(key, copy.deepcopy(value))
    return config


def filled(value: Any, node: Node) -> Any:
    """Return a valid value with the defaults of everything that it leaves out."""
    if isinstance(value, dict):
        for option in node.get("oneOf", ()):
            node = option if option.get("type") == "object" else node
        if isinstance(free := node.get("additionalProperties"), dict):
            return {key: filled(item, free) for key, item in value.items()}
        complete = {}
        for key, child in node.get("properties", {}).items():
            if key in value or "default" in child:
                complete[key] = filled(value.get(key, child.get("default")), child)
        return complete
    if isinstance(value, list):
        return [filled(item, node.get("items", {})) for item in value]
    if isinstance(value, float) and "integer" in types_of(node):
        return int(value)  # 1.0e+6 is the only way to write 1e6 in YAML
    return value


def types_of(node: Node) -> list[str]:
    """Return the types that a value may have."""
    kind = node.get("type", [])
    kinds = kind if isinstance(kind, list) else [kind]
    return [*kinds, *(kind for option in node.get("oneOf", ()) for kind in types_of(option))]
