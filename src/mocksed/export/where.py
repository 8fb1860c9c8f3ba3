"""Conditions on rows as users write them: ``redshift > 2 and mag_jwst_f200w < 28``.

An expression has the grammar of Python, of which comparisons, arithmetic, ``and``, ``or``, ``not``, the bits of
integers (``flags & 8 == 0``) and some functions are understood; it becomes an expression of pyarrow and is never run as
Python. A column whose name is not valid in Python is put between backticks. Missing values meet no condition
except ``isnull``.
"""

import ast
import re
from collections.abc import Callable
from functools import reduce
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mocksed.errors import UserError, suggestion

_BACKTICKS = re.compile(r"`([^`]*)`")

_BOOLEAN: dict[type, Callable[..., Any]] = {ast.And: pc.and_kleene, ast.Or: pc.or_kleene}
_COMPARISONS: dict[type, Callable[..., Any]] = {
    ast.Lt: pc.less,
    ast.LtE: pc.less_equal,
    ast.Gt: pc.greater,
    ast.GtE: pc.greater_equal,
    ast.Eq: pc.equal,
    ast.NotEq: pc.not_equal,
}
_ARITHMETIC: dict[type, Callable[..., Any]] = {
    ast.Add: pc.add,
    ast.Sub: pc.subtract,
    ast.Mult: pc.multiply,
    ast.Div: lambda left, right: pc.divide(_as_float(left), _as_float(right)),
    ast.Pow: lambda base, exponent: pc.power(_as_float(base), _as_float(exponent)),
    ast.BitAnd: pc.bit_wise_and,
    ast.BitOr: pc.bit_wise_or,
}
_SIGNS: dict[type, Callable[..., Any]] = {ast.Not: pc.invert, ast.USub: pc.negate, ast.UAdd: lambda value: value}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": pc.abs,
    "sqrt": lambda value: pc.sqrt(_as_float(value)),
    "log10": lambda value: pc.log10(_as_float(value)),
    "isnull": lambda value: pc.is_null(value, nan_is_null=True),
}


def condition(text: str, schema: pa.Schema) -> tuple[pc.Expression, list[str]]:
    """Return a condition, and the columns that it reads.

    Parameters
    ----------
    text : str
        What the user wrote.
    schema : pyarrow.Schema
        The columns of the table.

    Raises
    ------
    UserError
        If it is not a condition, or names a column that does not exist.

    """
    quoted: list[str] = []

    def placeholder(match: re.Match[str]) -> str:
        quoted.append(match[1])
        return f"_column_{len(quoted) - 1}_"

    places = _BACKTICKS.sub(placeholder, text)
    columns = {f"_column_{i}_": name for i, name in enumerate(quoted)}
    read: dict[str, None] = {}
    try:
        tree = ast.parse(places.strip(), mode="eval")
        expression = _translate(tree.body, columns, read, schema)
        empty = pa.Table.from_batches([], schema.remove_metadata())
        types = pc.Expression._call("if_else", [expression, pc.scalar(True), pc.scalar(False)])  # of booleans alone
        empty.filter(types)
    except _Problem as problem:
        raise UserError(f"the condition {text!r} cannot be used: {problem}") from None
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError, pa.ArrowException, TypeError) as error:
        why = " ".join(str(getattr(error, "msg", error)).split()) or "it is too long"
        raise UserError(
            f"the condition {text!r} cannot be used: {why}. Expected e.g. `redshift > 2 and mag_jwst_f200w < 28`."
        ) from None
    return expression, list(read)


class _Problem(Exception):  # noqa: N818 - said to the user in a sentence
    """What is wrong with a condition."""


def _translate(node: ast.expr, columns: dict[str, str], read: dict[str, None], schema: pa.Schema) -> pc.Expression:
    def translated(part: ast.expr) -> pc.Expression:
        return _translate(part, columns, read, schema)

    if isinstance(node, ast.Name):
        name = columns.get(node.id, node.id)
        if name not in schema.names:
            hyphen = "; names with a hyphen stand between backticks, as `mag_Euclid-VIS`" if node.id == name else ""
            raise _Problem(f"there is no column '{name}'{suggestion(name, schema.names)}{hyphen}")
        read[name] = None
        return pc.field(name)
    if isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float | str):
        return pc.scalar(node.value)
    if isinstance(node, ast.BoolOp):
        return reduce(_BOOLEAN[type(node.op)], map(translated, node.values))
    if isinstance(node, ast.Compare) and all(type(op) in _COMPARISONS for op in node.ops):
        sides = [translated(side) for side in (node.left, *node.comparators)]
        pairs = zip(node.ops, sides, sides[1:], strict=False)
        return reduce(pc.and_kleene, [_COMPARISONS[type(op)](left, right) for op, left, right in pairs])
    if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
        return _ARITHMETIC[type(node.op)](translated(node.left), translated(node.right))
    if isinstance(node, ast.UnaryOp) and type(node.op) in _SIGNS:
        return _SIGNS[type(node.op)](translated(node.operand))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) == 1 and not node.keywords:
        if node.func.id in _FUNCTIONS:
            return _FUNCTIONS[node.func.id](translated(node.args[0]))
        raise _Problem(f"there is no function '{node.func.id}'; expected one of {', '.join(_FUNCTIONS)}")
    raise _Problem(
        f"`{_shown(node, columns)}` is not understood; expected comparisons (e.g. `1 < redshift <= 2`), arithmetic, "
        f"`and`, `or`, `not`, and functions ({', '.join(_FUNCTIONS)})"
    )


def _shown(node: ast.expr, columns: dict[str, str]) -> str:
    text = ast.unparse(node)
    for place, name in columns.items():
        text = text.replace(place, name)
    return text


def _as_float(value: pc.Expression) -> pc.Expression:
    return value.cast(pa.float64())
