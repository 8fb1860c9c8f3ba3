"""The configuration: checked against its schema, completed with the defaults, cross-checked and documented.

The schema (workflow/schemas/config.schema.yaml) is the one place where a key, its limits, its default and its
description are written; messages and the reference in config/README.md are made from it.
"""

import copy
import glob
import math
import os
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, reduce
from itertools import pairwise, takewhile
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, ValidationError

from mocksed import jsontext, relations, resources, yamlfile
from mocksed.cosmology import AGE_MARGIN
from mocksed.errors import UserError, no_file, suggestion
from mocksed.galaxies import spec as table_spec
from mocksed.galaxies.files import files_of, table_path
from mocksed.galaxies.spec import TableSpec
from mocksed.search import KINDS
from mocksed.search.metric import metric_of
from mocksed.sps import TAU_RANGE
from mocksed.sps.model import LIMITS, Model

Node = dict[str, Any]
KeyPath = tuple[str | int, ...]
Check = Callable[[dict[str, Any]], Iterator[str]]
"""A check of a complete config, which yields problems."""

MAX_PROBLEMS = 10
"""Problems that a message lists; more are counted."""

MAX_RUN, MAX_NAME, MAX_PATH = 100, 200, 3000
"""Bytes of the name of a run, of another name and of a path: systems take 255 and 4096, with what is put after them."""

LIGHTCONE_MAX_REDSHIFT = 20.0

PARAMETER_LIMITS: dict[str, tuple[float, float]] = {
    "redshift": (0.0, math.inf),
    "log_us": (-4.0, -1.0),
    "dust2": (0.0, math.inf),
    "dust_index": LIMITS["dust_index"],
    "age": (AGE_MARGIN, math.inf),
    "tau": TAU_RANGE,
}
"""What the stellar population model can do (FSPS does not complain when asked for more)."""

ONLY_FOR: dict[str, tuple[str, ...]] = {
    "relation": ("log_zmet", "log_us"),
    "uniform_in_scale_factor": ("redshift",),
    "log_uniform_to_t_univ": ("age",),
    "fraction_of_t_univ": ("age",),
}
"""Kinds of distribution that have a meaning for some parameters only."""

_PATH_WORDS = "without braces, angle brackets and line breaks"
_PLAIN_WORDS = f"{_PATH_WORDS}, no URL, ~ and $ written out"
_PATTERN_WORDS = {
    r"^[A-Za-z0-9][A-Za-z0-9_.-]*(?!\n)$": (
        "a name of letters, digits, '_', '.' and '-' that begins with a letter or digit"
    ),
    r"^(?!~)(?!.*://)[^{}<>$\n]+(?!\n)$": f"a path that is not empty, {_PLAIN_WORDS}",
    r"^(?!~)(?!.*://)[^{}<>$\n]+\.h5(?!\n)$": f"the path of a file that ends in .h5, {_PLAIN_WORDS}",
}
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
"""What no file, column or argument of a command can be called: NUL, and surrogates, which UTF-8 does not have."""
_NO_MARKUP = re.compile("</|<!--")
"""What would end the script of Snakemake's HTML report, which has parameters of jobs in it as they are."""
_SINGULAR = {
    "integer": "an integer",
    "number": "a number",
    "string": "text",
    "boolean": "true or false",
    "null": "null",
}
_PLURAL = {"integer": "integers", "number": "numbers", "string": "names"}


def load(
    source: Mapping[str, Any] | Path, schema: Path, to_plan: bool = False, further: Iterable[Check] = ()
) -> dict[str, Any]:
    """Return the complete configuration: checked, every default and number filled in. The source is not changed.

    Parameters
    ----------
    source : mapping or Path
        The config as Snakemake gives it, or a YAML file. Paths in it are relative to the current folder.
    schema : Path
        The JSON schema, as YAML.
    to_plan : bool
        Whether nothing is going to run, and the user's table need not be there yet.
    further : iterable of callable
        Checks beside those that cost next to nothing: each takes the config and yields problems.

    Raises
    ------
    UserError
        One message with every problem: the key, its value and what is allowed.

    """
    root = _read_schema(schema)
    raw = _plain(yamlfile.read(source) if isinstance(source, Path) else source)
    where = f" {source}" if isinstance(source, Path) else ""
    never, errors = list(_never_allowed(raw)), list(Draft202012Validator(root).iter_errors(raw))
    problems = [*never, *_schema_problems(errors, root)]
    if not never and isinstance(raw, dict):  # what is not of the right form counts as left out
        config: dict[str, Any] = _fill(_with_preset(_without(raw, errors), root), root)
        checks = _CHECKS if to_plan else (*_CHECKS, _check_table_file, *further)
        problems = list(dict.fromkeys([*problems, *(problem for check in checks for problem in check(config))]))
    if not problems:
        try:  # what depends on the number of galaxies
            config = resources.with_shards(config)
            for kind in KINDS:
                resources.tree_shards(config, kind)
        except UserError as error:
            problems = [str(error)]
    if problems:
        raise UserError(_message(where, problems))
    return config


def variant(config: Mapping[str, Any], preset: str, schema: Path) -> dict[str, Any]:
    """Return the config of the same run but for its name and all that a preset decides.

    Parameters
    ----------
    config : mapping
        A complete configuration.
    preset : str
        Its keys have the values of this preset, whatever they are in ``config``.
    schema : Path
        The JSON schema, as YAML.

    Returns
    -------
    dict
        To be given to `load`; its run is called ``<run>-<preset>``.

    """
    changed = _plain(config)
    presets = _presets(_read_schema(schema))
    for path in presets.get(preset) or presets.get(config["preset"], {}):  # the default one sets nothing
        *parents, key = path.split(".")
        _get(changed, ".".join(parents)).pop(key, None)
    return changed | {"run": f"{config['run']}-{preset}", "preset": preset}


def docs(schema: Path) -> str:
    """Return the reference of every key as Markdown (config/README.md)."""
    root = _read_schema(schema)
    sections = [_DOCS_HEAD, _docs_table(root["properties"])]
    for path, node in _sections(root):
        sections.append(f"## {path}\n\n{node['description']}\n")
        sections.append(_docs_table(node["properties"], path))
    sections.append(_docs_presets(root))
    distributions = root["$defs"]["distribution"]
    sections.append(f"## Distributions\n\n{distributions['description']}\n")
    sections.append(
        _table("kind", ((kind, _words(node), "", node) for kind, node in distributions["properties"].items()))
    )
    return "\n".join(section for section in sections if section)


# Reading


def _read_schema(path: Path) -> Node:
    """Return the schema with every ``$ref`` replaced by what it refers to; its own keywords win."""
    return _read_schema_once(path.absolute())  # the current folder may change


@cache
def _read_schema_once(path: Path) -> Node:
    """Return what `_read_schema` does, the same object every time: nobody changes it."""
    root = yamlfile.read(path)

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


def _plain(value: Any) -> Any:
    """Copy mappings and sequences of any kind (Snakemake has its own) as dicts and lists."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _presets(root: Node) -> dict[str, dict[str, Any]]:
    """Return what each preset but the default one sets: key, with dots for nesting, to value."""
    presets: dict[str, dict[str, Any]] = root["properties"]["preset"]["x-presets"]
    return presets


def _with_preset(config: dict[str, Any], root: Node) -> dict[str, Any]:
    """Return a valid config with the keys of its preset that it does not have itself."""
    config = copy.deepcopy(config)
    for path, value in _presets(root).get(config.get("preset", ""), {}).items():
        *parents, key = path.split(".")
        reduce(lambda node, name: node.setdefault(name, {}), parents, config).setdefault(key, copy.deepcopy(value))
    return config


def _fill(value: Any, node: Node) -> Any:
    """Return a valid value with the defaults of everything that it leaves out."""
    if isinstance(value, dict):
        for option in node.get("oneOf", ()):
            node = option if option.get("type") == "object" else node
        if isinstance(free := node.get("additionalProperties"), dict):
            return {key: _fill(item, free) for key, item in value.items()}
        filled = {}
        for key, child in node.get("properties", {}).items():
            if key in value or "default" in child:
                filled[key] = _fill(value.get(key, child.get("default")), child)
        return filled
    if isinstance(value, list):
        return [_fill(item, node.get("items", {})) for item in value]
    if isinstance(value, float) and "integer" in _types(node):
        return int(value)  # 1.0e+6 is the only way to write 1e6 in YAML
    return value


# Problems in the form


def _schema_problems(errors: Sequence[ValidationError], root: Node) -> Iterator[str]:
    for error in errors:
        if not error.absolute_path and error.validator == "type":
            yield f"the configuration is {_show(error.instance)}; expected keys and values, at least 'run: NAME'"
            return
    errors = sorted(errors, key=lambda error: [*map(str, error.absolute_path)])
    # a missing key is reported once for each key missing beside it
    yield from dict.fromkeys(problem for error in errors for problem in _translate(error, root["x-removed"]))


def _without(config: dict[str, Any], errors: Sequence[ValidationError]) -> dict[str, Any]:
    """Return a config without the keys whose values are not of the right form."""
    config = copy.deepcopy(config)
    for error in errors:
        path = [str(part) for part in takewhile(lambda part: isinstance(part, str), error.absolute_path)]
        node: dict[str, Any] = reduce(lambda node, key: node.get(key, {}), path[:-1], config)
        for key in path[-1:]:
            if error.validator != "additionalProperties":  # which leaves what is known as it is
                node.pop(key, None)
    return {"run": "run"} | config


def _never_allowed(value: Any, path: KeyPath = ()) -> Iterator[str]:
    if isinstance(value, float) and not math.isfinite(value):
        yield f"{_dotted(path)}: {value} is not allowed; expected a finite number"
    if isinstance(value, str) and _NO_TEXT.search(value):
        yield f"{_dotted(path)}: {_show(value)} is not allowed; expected text without NUL and lone surrogates"
    if isinstance(value, str) and _NO_MARKUP.search(value):
        yield f"{_dotted(path)}: {_show(value)} is not allowed; expected text without '</' and '<!--'. Rename it"
    if isinstance(value, dict):
        for key in value:
            if _NO_MARKUP.search(key):
                yield f"{_dotted((*path, key))}: this name is not allowed; expected one without '</' and '<!--'"
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _never_allowed(item, (*path, key))


def _translate(error: ValidationError, removed: Mapping[str, str]) -> Iterator[str]:
    """Say in plain words what jsonschema found; ``removed`` are keys of earlier versions and what to do."""
    path: KeyPath = tuple(error.absolute_path)
    value: Any = error.instance
    node: Any = error.schema
    key = _dotted(path)
    match error.validator:
        case "additionalProperties":
            for name in value.keys() - node["properties"].keys():
                allowed = list(node["properties"])
                if advice := removed.get(_dotted((*path, name))):
                    yield f"{_dotted((*path, name))}: this key is no more; {advice}"
                    continue
                below = [_dotted((*path, *inner)) for inner in _paths(node) if inner[-1] == name]
                hint = f", did you mean {' or '.join(below)}?" if 0 < len(below) < 3 else suggestion(name, allowed)
                yield f"{_dotted((*path, name))}: unknown key{hint}; allowed: {', '.join(allowed)}"
        case "required":
            for name in node["required"]:
                if name not in value:
                    yield f"{_dotted((*path, name))}: missing; expected {_words(node['properties'][name])}"
        case "oneOf" if inner := _errors_of_option(error):
            for item in inner:
                yield from _translate(item, removed)
        case "uniqueItems":
            twice = {str(item): None for item in value if value.count(item) > 1}
            yield f"{key}: {', '.join(twice)} given more than once; give each once"
        case _:
            yield f"{key}: {_show(value)} is not allowed; expected {_words(node)}{_text_hint(value, node)}"


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
    kinds = {*_types(node)} & {"integer", "number", "boolean"}
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


def _show(value: Any) -> str:
    return jsontext.shown(value, 80)


def _message(where: str, problems: list[str]) -> str:
    count = f"{len(problems)} problems" if len(problems) > 1 else "a problem"
    shown = (problem.replace("\n", "\n  ") for problem in problems[:MAX_PROBLEMS])
    lines = [f"the configuration{where} has {count}:", *(f"  {problem}" for problem in shown)]
    if len(problems) > MAX_PROBLEMS:
        lines.append(f"  ... and {len(problems) - MAX_PROBLEMS} more")
    return "\n".join(lines)


# What a node of the schema allows, in plain words


def _types(node: Node) -> list[str]:
    """Return the types that a value may have."""
    kind = node.get("type", [])
    own = kind if isinstance(kind, list) else [kind]
    return [*own, *(kind for option in node.get("oneOf", ()) for kind in _types(option))]


def _words(node: Node) -> str:
    if "oneOf" in node:
        return ", or ".join(_words(option) for option in node["oneOf"])
    if "const" in node:
        return jsontext.dumps(node["const"]).strip('"')
    if "enum" in node:
        return f"one of {', '.join('null' if item is None else str(item) for item in node['enum'])}"
    if "pattern" in node:
        or_null = ", or null" if "null" in _types(node) else ""
        return _PATTERN_WORDS.get(node["pattern"], f"text that matches {node['pattern']}") + or_null
    return " or ".join(_type_words(kind, node) for kind in _types(node))


def _type_words(kind: str, node: Node) -> str:
    match kind:
        case "object" if node.get("maxProperties") == 1:
            return f"exactly one of {', '.join(node['properties'])}"
        case "object" if isinstance(free := node.get("additionalProperties"), dict):
            return f"a mapping of names to {_words(free)}"
        case "object":
            return f"a mapping with the keys {', '.join(node['properties'])}"
        case "array":
            low, high = node.get("minItems", 0), node.get("maxItems")
            count = f"{low} " if low == high else f"{low} to {high} " if high else f"at least {low} " if low else ""
            kinds = " or ".join(_PLURAL[item] for item in _types(node["items"]))
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


# Cross-checks: what a schema cannot say. Each takes the complete config and yields problems.


def _get(config: dict[str, Any], path: str) -> Any:
    return reduce(lambda node, key: node[key], path.split("."), config)


def _check_ranges(config: dict[str, Any]) -> Iterator[str]:
    limits = {
        "galaxies.lightcone.redshift": (0.0, LIGHTCONE_MAX_REDSHIFT),
        "galaxies.lightcone.log_mstar": (-math.inf, math.inf),
        "galaxies.table.redshift": (0.0, math.inf),
        "galaxies.table.log_mstar": (-math.inf, math.inf),
        "spectra.wavelength": (0.0, math.inf),
        "survey.gaap_diameter": (0.0, math.inf),
    }
    for path, (low, high) in limits.items():
        yield from _range_problems(path, _get(config, path), low, high)


def _range_problems(path: str, pair: Sequence[float], low: float, high: float) -> Iterator[str]:
    if pair[0] >= pair[1]:
        yield f"{path}: {_show(pair)} is not allowed; expected the lower limit first and the two to differ"
    yield from _limit_problems(path, pair, pair, low, high)


def _limit_problems(path: str, shown: Any, values: Iterable[float], low: float, high: float) -> Iterator[str]:
    if any(not low <= value <= high for value in values):
        allowed = f"of at least {low:g}" if high == math.inf else f"from {low:g} to {high:g}"
        yield f"{path}: {_show(shown)} is not allowed; expected values {allowed}"


def _check_centre(config: dict[str, Any]) -> Iterator[str]:
    ra, dec = centre = _get(config, "galaxies.lightcone.centre")
    if not (0.0 <= ra <= 360.0 and -90.0 <= dec <= 90.0):
        yield (
            f"galaxies.lightcone.centre: {_show(centre)} is not allowed; expected a right ascension from 0 to 360 and "
            "a declination from -90 to 90"
        )


def _check_redshift_bins(config: dict[str, Any]) -> Iterator[str]:
    bins = _get(config, "diagnostics.redshift_bins")
    if any(low >= high for low, high in pairwise(bins)):
        yield f"diagnostics.redshift_bins: {_show(bins)} is not allowed; expected edges that increase"


def _check_filters(config: dict[str, Any]) -> Iterator[str]:
    from mocksed import filters  # most commands do without

    photometry, known = config["photometry"], filters.available()
    files, units = photometry["filter_files"], photometry["filter_units"]
    for name in sorted(units.keys() - files.keys()):
        yield f"photometry.filter_units.{name}: not used; expected names of photometry.filter_files"
    for name in files:
        if name in known:
            yield f"photometry.filter_files.{name}: there is a filter of that name ({known[name]}); expected a new name"
        if name not in photometry["filters"] + photometry["rest_frame"]:
            yield f"photometry.filter_files.{name}: not used; name it in photometry.filters or photometry.rest_frame"
    source, wavelength = config["galaxies"]["source"], _wavelength(config)
    remedies = {"filters": f"leave it out or change galaxies.{source}.redshift", "rest_frame": "leave it out"}
    redshifts = {"filters": config["galaxies"][source]["redshift"], "rest_frame": (0.0, 0.0)}
    for key, remedy in remedies.items():
        for name in photometry[key]:
            try:
                (band,) = filters.select([name], files, units)
            except UserError as error:
                yield f"photometry.{key}: {str(error).removesuffix('.')}"
                continue
            if wavelength is not None and (problem := filters.unreachable(band, wavelength, redshifts[key])):
                yield f"photometry.{key}: {problem}; {remedy}"


def _check_observed(config: dict[str, Any]) -> Iterator[str]:
    wanted = _get(config, "spectra.observed")
    if wanted is None:
        return
    from mocksed import observed  # few configs ask for it

    yield from observed.problems(
        wanted, _wavelength(config), _get(config, f"galaxies.{config['galaxies']['source']}.redshift")
    )


def _wavelength(config: dict[str, Any]) -> Any:
    """Return the wavelengths of the spectra [A], None as long as they are not known."""
    from mocksed.sps.table import read_wavelength

    table = _get(config, "sps.table")
    if _get(config, "sps.engine") != "table" or not os.path.isfile(table):
        return None
    try:
        return read_wavelength(table)
    except UserError:
        return None  # _check_ssp_table says so


def _check_survey(config: dict[str, Any]) -> Iterator[str]:
    if any(config["survey"][key] for key in ("presets", "depths", "fwhm", "gamma")):
        from mocksed.survey import bands  # most configs do without

        yield from bands.problems(config)


def _check_wavelength(config: dict[str, Any]) -> Iterator[str]:
    limits, wavelength = _get(config, "spectra.wavelength"), _wavelength(config)
    low, high = limits
    if low < high and wavelength is not None and not any((low <= wavelength) & (wavelength <= high)):
        yield (
            f"spectra.wavelength: {_show(limits)} has none of the wavelengths of the spectra; expected limits around "
            f"some of those from {wavelength[0]:g} to {wavelength[-1]:g} A"
        )


def _check_lines(config: dict[str, Any]) -> Iterator[str]:
    names, table = _get(config, "spectra.lines"), _get(config, "sps.table")
    if not names or names == "all" or _get(config, "sps.engine") != "table" or not os.path.isfile(table):
        return
    from mocksed import lines  # most configs name none
    from mocksed.sps.table import read_lines

    try:
        known, _ = read_lines(table)
    except UserError:
        return  # _check_ssp_table says so
    for problem in lines.problems(names, known):
        yield f"spectra.lines: {problem}; expected names that `mocksed lines` lists"


def _check_table(config: dict[str, Any]) -> Iterator[str]:
    if _get(config, "galaxies.source") != "table":
        if path := _get(config, "galaxies.table.path"):
            yield (
                f"galaxies.source: lightcone is not allowed with galaxies.table.path {_show(path)}, which it does not "
                "read; expected table, or no path"
            )
        return
    yield from table_spec.problems(_get(config, "galaxies.table"))


def _check_table_file(config: dict[str, Any]) -> Iterator[str]:
    path = _get(config, "galaxies.table.path")
    if _get(config, "galaxies.source") != "table" or path is None:
        return
    files = [str(file) for file in files_of(table_path(path))]
    for file in dict.fromkeys(files):
        if files.count(file) > 1:
            yield f"galaxies.table.path: {_show(file)} is named twice; give each file once"
        if glob.has_magic(file) and not os.path.exists(file):
            yield f"galaxies.table.path: no file matches {_show(file)}; expected tables, seen from {Path.cwd()}"
        elif problem := no_file(file):
            yield f"galaxies.table.path: {_show(file)} {problem}; expected a table, seen from {Path.cwd()}"
        elif re.search("[{}<>\n]", file):
            yield f"galaxies.table.path: {_show(file)} is not allowed; expected names {_PATH_WORDS}"


def check_table_header(config: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the columns of the user's table (`load`, ``further``)."""
    spec = table_of(config)
    if spec is None:
        return
    from mocksed.galaxies.header import header_of  # it takes seconds to import, and light cones do without
    from mocksed.galaxies.readers import open_table

    try:
        with open_table(spec.path, spec.format, spec.dataset) as table:
            yield from header_of(spec, table).problems
    except UserError as error:
        yield str(error)


def table_of(config: dict[str, Any]) -> TableSpec | None:
    """Return what a complete config says of the user's table, None where there is none that can be read."""
    table = _get(config, "galaxies.table")
    if _get(config, "galaxies.source") != "table" or any(table_spec.problems(table)):
        return None
    if any(map(no_file, files_of(table_path(table["path"])))):
        return None
    return TableSpec.from_config(table, _get(config, "quiescent.uvj_box"), _get(config, "galaxies.mass_functions"))


def _check_ssp_table(config: dict[str, Any]) -> Iterator[str]:
    from mocksed.sps.table import read_lines, read_wavelength

    table, made = Path(_get(config, "sps.table")), Path(config["results"], "ssp")
    if os.path.isfile(table):
        try:
            read_wavelength(table)  # little of it: every process of Snakemake comes here
            read_lines(table)
        except UserError as error:
            yield f"sps.table: {str(error).removesuffix('.')}"
    elif not Path(os.path.realpath(table)).is_relative_to(os.path.realpath(made)):
        yield (
            f"sps.table: {_show(str(table))} {no_file(table)}; expected an SSP table, or a name below {made}/, which "
            "is made from the FSPS of SPS_HOME"
        )


def _check_results(config: dict[str, Any]) -> Iterator[str]:
    folder = Path(config["results"], config["run"])
    nearest = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
    if not nearest.is_dir():
        yield f"results: {_show(config['results'])} is not allowed, {nearest} is not a folder; expected one"
    elif not os.access(nearest, os.W_OK | os.X_OK):
        yield f"results: {_show(config['results'])} is not allowed, {nearest} cannot be written; expected one that can"


def _check_names(config: dict[str, Any]) -> Iterator[str]:
    """Yield what is too long of the names of which files are made; others belong to files that are there."""
    run = config["run"].removesuffix(f"-{config['preset']}")  # which `variant` appends
    if len(run) > MAX_RUN:
        yield f"run: {_show(run)} is not allowed; it has {len(run)} letters, expected {MAX_RUN} at most"
    for key in ("results", "sps.table"):
        path = _get(config, key)
        if len(os.fsencode(path)) > MAX_PATH or any(len(os.fsencode(part)) > MAX_NAME for part in Path(path).parts):
            yield (
                f"{key}: {_show(path)} is not allowed; expected at most {MAX_PATH} bytes, and {MAX_NAME} of each "
                "folder or file"
            )


def _check_launcher(config: dict[str, Any]) -> Iterator[str]:
    launcher = _get(config, "mpi.launcher")
    try:
        problem = "" if launcher is None or any(shlex.split(launcher)[:1]) else "it is empty"
    except ValueError as error:  # such as "No closing quotation"
        problem = str(error).lower()
    if problem:
        yield f"mpi.launcher: {_show(launcher)} is not allowed, {problem}; expected a command, e.g. mpiexec, or null"


def _check_sampling(config: dict[str, Any]) -> Iterator[str]:
    for kind in ("star_forming", "quiescent"):
        path = f"parent.{kind}.sampling"
        sampling = _get(config, path)
        for parameter, distribution in sampling.items() if isinstance(sampling, dict) else ():
            yield from _distribution_problems(f"{path}.{parameter}", parameter, *next(iter(distribution.items())))


def _distribution_problems(path: str, parameter: str, kind: str, value: Any) -> Iterator[str]:
    """Yield the problems of one distribution, e.g. tau: {uniform: [0.1, 100]}."""
    if parameter not in ONLY_FOR.get(kind, (parameter,)):
        yield f"{path}: {kind} is not allowed; it is for {' and '.join(ONLY_FOR[kind])} only"
        return
    path = f"{path}.{kind}"
    low, high = (0.0, 1.0) if kind == "fraction_of_t_univ" else PARAMETER_LIMITS.get(parameter, (-math.inf, math.inf))
    match kind:
        case "uniform" | "uniform_in_scale_factor" | "fraction_of_t_univ":
            yield from _range_problems(path, value, low, high)
        case "log_uniform":
            if min(value) <= 0.0:
                yield f"{path}: {_show(value)} is not allowed; expected limits above 0"
            else:
                yield from _range_problems(path, value, low, high)
        case "normal":
            cut = value[2:]
            if value[1] <= 0.0:
                yield f"{path}: {_show(value)} is not allowed; expected a standard deviation (the second) above 0"
            if len(cut) == 2 and cut[0] >= cut[1]:
                yield f"{path}: {_show(value)} is not allowed; expected [mean, sd, low, high] with low below high"
            yield from _limit_problems(f"{path} (low, high)", cut, cut, low, high)
        case "constant" | "log_uniform_to_t_univ":
            yield from _limit_problems(path, value, [value], low, high)


def _check_search(config: dict[str, Any]) -> Iterator[str]:
    metric, method = config["neighbours"]["metric"], config["assignment"]["method"]
    if method == "choose" and metric != "default":
        yield (
            f"assignment.method: choose is not allowed with neighbours.metric {metric}; expected one of weighted_mean, "
            "nearest, sample"
        )
    k, draws = config["neighbours"]["k"], config["neighbours"]["draws"]
    if method == "choose" and k % draws:
        yield f"neighbours.k: {k} is not allowed; expected a multiple of neighbours.draws, which is {draws}"
    try:
        metric_of("star_forming", metric, config["neighbours"]["scales"])
    except UserError as error:
        yield f"neighbours.scales: {error}"
    for kind, priors in config["assignment"]["prior"].items():
        for name, prior in priors.items():
            if prior is not None and prior[1] <= 0.0:
                yield (
                    f"assignment.prior.{kind}.{name}: {_show(prior)} is not allowed; expected a standard deviation "
                    "(the second) above 0"
                )


def _check_relations(config: dict[str, Any]) -> Iterator[str]:
    own, sps, method = config["relations"], config["sps"], config["assignment"]["method"]
    yield from relations.problems(own)
    for name in ("a_uv", "a_v", "dust_index"):
        if own[name] is not None and method != "choose":
            yield f"relations.{name}: not used with assignment.method {method}; expected null, or the method choose"
    if own["dust_index"] is not None and (sps["dust_type"] != "kriek_conroy" or sps["dust_index"] is not None):
        yield (
            f"relations.dust_index: not used with sps.dust_type {sps['dust_type']} and sps.dust_index "
            f"{_show(sps['dust_index'])}; expected null, or kriek_conroy with a slope that is free (null)"
        )


def _check_triangle(config: dict[str, Any]) -> Iterator[str]:
    limits = config["diagnostics"]["triangle_redshift"]
    if limits is not None:
        yield from _range_problems("diagnostics.triangle_redshift", limits, 0.0, math.inf)


def _check_slope(config: dict[str, Any]) -> Iterator[str]:
    sps = config["sps"]
    for kind in ("star_forming", "quiescent"):
        sampling = _get(config, f"parent.{kind}.sampling")
        if isinstance(sampling, dict) and "dust_index" in sampling and not Model.from_config(sps).slope_is_free:
            yield (
                f"parent.{kind}.sampling.dust_index: not used with sps.dust_type {sps['dust_type']} and sps.dust_index "
                f"{_show(sps['dust_index'])}; leave it out, or let the slope of power_law or kriek_conroy be free"
            )


_CHECKS = (
    _check_ranges,
    _check_centre,
    _check_redshift_bins,
    _check_filters,
    _check_wavelength,
    _check_lines,
    _check_survey,
    _check_observed,
    _check_table,
    _check_ssp_table,
    _check_results,
    _check_names,
    _check_launcher,
    _check_sampling,
    _check_search,
    _check_relations,
    _check_slope,
    _check_triangle,
)


# The reference

_DOCS_HEAD = """\
# Configuration

One YAML file describes a run completely; a key that it leaves out has its default. Copy the file nearest to your case,
edit it, check it and run it:

    mocksed check --configfile config/mine.yaml
    snakemake --cores 8 --configfile config/mine.yaml

| file | what |
|---|---|
| `config.yaml` | the demo, used where no other is named |
| `survey.yaml` | a table of your own |
| `sim512.yaml` | 2e6 galaxies, as of a 512^3 simulation |
| `sim2048.yaml` | 1e8 galaxies, as of a 2048^3 simulation |

A dot below stands for nesting: `galaxies.shards` is the key `shards` within `galaxies`. Single keys can be given on the
command line, e.g. `--config seed=3`. Numbers such as 1e6 must be written 1000000 or 1.0e+6, YAML takes 1e6 for text.
Snakemake hands on what stands within {} after `--config` as text: nested numbers belong into a file.

This file is written from the schema by `mocksed config-docs > config/README.md`; edit the schema instead.
"""


def _sections(node: Node, path: str = "") -> Iterator[tuple[str, Node]]:
    for key, child in node["properties"].items():
        if "properties" in child:
            child_path = f"{path}.{key}" if path else key
            yield child_path, child
            yield from _sections(child, child_path)


def _docs_table(properties: dict[str, Node], path: str = "") -> str:
    leaves = {key: node for key, node in properties.items() if "properties" not in node or "null" in _types(node)}
    prefix = f"{path}." if path else ""
    return _table(
        "key",
        (
            (prefix + key, _words(node), _code(node["default"]) if "default" in node else "required", node)
            for key, node in leaves.items()
        ),
        with_default=True,
    )


def _docs_presets(root: Node) -> str:
    presets = _presets(root)
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
