"""The reference of every key as Markdown (config/README.md), made from the schema."""

from collections.abc import Iterable, Iterator
from functools import reduce
from typing import Any

from mocksed import jsontext
from mocksed.config import schema
from mocksed.config.messages import words
from mocksed.config.schema import Node

_DOCS_HEAD = """\
# Configuration

One YAML file describes a run completely; keys that are left out have their defaults. Copy the file closest to your
case, edit it, check it and run it:

    mocksed check --configfile config/mine.yaml
    snakemake --cores 8 --configfile config/mine.yaml

| file | contents |
|---|---|
| `config.yaml` | the demo; used if no other file is named |
| `survey.yaml` | a table of your own |
| `sim512.yaml` | 2e6 galaxies, as in a 512^3 simulation |
| `sim2048.yaml` | 1e8 galaxies, as in a 2048^3 simulation |

A dot below stands for nesting: `galaxies.shards` is the key `shards` within `galaxies`. Single keys can be given on the
command line, e.g. `--config seed=3`. Write 1e6 as 1000000 or 1.0e+6: YAML reads 1e6
as text. Snakemake passes values within {} after `--config` as text: put nested numbers into a file.

This file is written from the schema by `mocksed config-docs > config/README.md`; edit the schema instead.
"""


def markdown() -> str:
    """Return the reference of every key as Markdown (config/README.md)."""
    root = schema.read()
    sections = [_DOCS_HEAD, _docs_table(root["properties"])]
    for path, node in _sections(root):
        sections.append(f"## {path}\n\n{node['description']}\n")
        sections.append(_docs_table(node["properties"], path))
    sections.append(_docs_presets(root))
    distributions = root["$defs"]["distribution"]
    sections.append(f"## Distributions\n\n{distributions['description']}\n")
    sections.append(
        _table("kind", ((kind, words(node), "", node) for kind, node in distributions["properties"].items()))
    )
    return "\n".join(section for section in sections if section)


def _sections(node: Node, path: str = "") -> Iterator[tuple[str, Node]]:
    for key, child in node["properties"].items():
        if "properties" in child:
            child_path = f"{path}.{key}" if path else key
            yield child_path, child
            yield from _sections(child, child_path)


def _docs_table(properties: dict[str, Node], path: str = "") -> str:
    leaves = {
        key: node for key, node in properties.items() if "properties" not in node or "null" in schema.types_of(node)
    }
    prefix = f"{path}." if path else ""
    return _table(
        "key",
        (
            (prefix + key, words(node), _code(node["default"]) if "default" in node else "required", node)
            for key, node in leaves.items()
        ),
        with_default=True,
    )


def _docs_presets(root: Node) -> str:
    presets = schema.presets(root)
    heads = ["key", "`default`", *(f"`{name}`" for name in presets)]
    lines = [" | ".join(heads), " | ".join("---" for _ in heads)]
    for path in dict.fromkeys(path for values in presets.values() for path in values):
        node = reduce(lambda node, key: node["properties"][key], path.split("."), root)
        values = [node["default"], *(values.get(path, node["default"]) for values in presets.values())]
        lines.append(" | ".join([f"`{path}`", *map(_code, values)]))
    intro = "What a `preset` sets; keys that the config has win.\n"
    return f"## Presets\n\n{intro}\n" + "".join(f"| {line} |\n" for line in lines)


def _code(default: Any) -> str:
    return f"`{jsontext.dumps(default)}`"


def _table(first: str, rows: Iterable[tuple[str, str, str, Node]], with_default: bool = False) -> str:
    heads = [first, "allowed", *(["default"] if with_default else []), "description"]
    lines = [" | ".join(heads), " | ".join("---" for _ in heads)]
    for name, allowed, default, node in rows:
        cells = [f"`{name}`", allowed, *([default] if with_default else []), node.get("description", "")]
        lines.append(" | ".join(cell.replace("|", "\\|").replace("<", "&lt;") for cell in cells))
    return "".join(f"| {line} |\n" for line in lines) if len(lines) > 2 else ""
