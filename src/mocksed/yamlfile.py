"""Reading a config file: what YAML lets pass or trips over is said in one sentence."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from mocksed.errors import UserError

MAX_BYTES = 100_000
"""Size of a config file. All filters and lines by name take a fifth of it; more is another file."""

MAX_VALUES = 5_000
"""Keys and values of a config, each alias counted with all that it stands for: a few lines can stand for billions."""

MAX_DEPTH = 20
"""Levels of a config."""

_TOO_DEEP = f"it is nested deeper than {MAX_DEPTH} levels, as no config is"


class _Loader(yaml.SafeLoader):
    """Reports where a value looks like a number or a date but is invalid, e.g. 2024-13-01."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (
            ValueError,
            ArithmeticError,
            LookupError,
            TypeError,
            AttributeError,
        ) as error:  # PyYAML looks no further
            problem = f"{str(node.value)[:40]} cannot be read as the {node.tag.rpartition(':')[2]} it looks like"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from error


def read(path: Path) -> Any:
    """Return the content of a YAML file, an empty dict of an empty one. It is UTF-8, whatever the locale says.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    UserError
        If it cannot be read, is not UTF-8 or not YAML, gives a key twice, or is larger or nested deeper than a config
        can be, aliases expanded.

    """
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UserError(f"cannot read the config {path}: {error.strerror}. Check the path.") from error
    if len(content) > MAX_BYTES:
        raise UserError(f"the config {path} is larger than {MAX_BYTES // 1000} kB. Check the path.")
    try:
        loader = _Loader(content.decode("utf-8"))
        root = loader.get_single_node()
        if root is None:
            return {}
        for count, _ in enumerate(_values(root), 1):
            if count > MAX_VALUES:
                raise UserError(
                    f"the config {path} has more than {MAX_VALUES} values, with what its aliases (*name) stand for; "
                    "expected some hundred at most. Write out what they stand for, and leave out what is not needed."
                )
        return loader.construct_document(root)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(f"the config {path} is not UTF-8, see line {line}. Save it with that encoding.") from error
    except RecursionError as error:
        raise UserError(f"cannot read the config {path} as YAML: {_TOO_DEEP}.") from error
    except yaml.MarkedYAMLError as error:
        where = [f"line {error.problem_mark.line + 1}"] if error.problem_mark else []
        reason = ": ".join(filter(None, (*where, error.context, error.problem)))
        raise UserError(f"cannot read the config {path} as YAML: {reason}.") from error
    except yaml.YAMLError as error:
        raise UserError(f"cannot read the config {path} as YAML: {' '.join(str(error).split())}.") from error


def _values(node: yaml.Node, path: str = "", within: tuple[yaml.Node, ...] = ()) -> Iterator[yaml.Node]:
    """Yield a node and all below it, aliases expanded; what is wrong with one is a `MarkedYAMLError`."""
    if node in within:
        raise yaml.MarkedYAMLError(problem=f"{path} refers to itself", problem_mark=node.start_mark)
    if len(within) > MAX_DEPTH:
        raise yaml.MarkedYAMLError(problem=_TOO_DEEP, problem_mark=node.start_mark)
    yield node
    within = (*within, node)
    if isinstance(node, yaml.SequenceNode):
        for i, item in enumerate(node.value):
            yield from _values(item, f"{path}[{i}]", within)
    elif isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, value in node.value:
            name = str(key.value)
            below = f"{path}.{name}".removeprefix(".")
            if name in lines:
                problem = f"the key {below} is given twice, first in line {lines[name]}; merge the two, or remove one"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            lines[name] = key.start_mark.line + 1
            yield from _values(key, below, within)
            yield from _values(value, below, within)
