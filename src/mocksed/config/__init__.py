"""The configuration: checked against its schema, completed with the defaults, cross-checked and documented.

`schema` reads the schema and fills in defaults, `messages` says what is wrong with the form of a configuration,
`checks` has what a schema cannot express, and `reference` writes the page with every key.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from mocksed import shipped, yamlfile
from mocksed.config import checks, messages, schema
from mocksed.errors import UserError


def load(
    source: Mapping[str, Any] | Path, to_plan: bool = False, further: Iterable[checks.Check] = ()
) -> dict[str, Any]:
    """Return the complete configuration: checked, every default filled in. The source is not changed.

    Numbers of shards that are left to mocksed stay ``auto`` (`mocksed.run.configuration` chooses them).

    Parameters
    ----------
    source : mapping or Path
        The config as Snakemake gives it, or a YAML file. Paths in it are relative to the current folder.
    to_plan : bool
        Whether the run is only planned, so that the user's table need not exist yet.
    further : iterable of callable
        Checks besides the quick ones: each takes the config and yields problems.

    Raises
    ------
    UserError
        One message with every problem: the key, its value and what is allowed.

    """
    root = schema.read()
    raw = schema.plain(yamlfile.read(source) if isinstance(source, Path) else source)
    never, errors = list(messages.never_allowed(raw)), list(Draft202012Validator(root).iter_errors(raw))
    problems = [*never, *messages.schema_problems(errors, root)]
    if not never and isinstance(raw, dict):  # values of the wrong form count as left out
        config: dict[str, Any] = schema.filled(schema.with_preset(messages.without(raw, errors), root), root)
        config["sps"]["table"] = shipped.found(config["sps"]["table"])
        applied = checks.CHECKS if to_plan else (*checks.CHECKS, checks.check_table_file, *further)
        problems = list(dict.fromkeys([*problems, *(problem for check in applied for problem in check(config))]))
    if problems:
        raise UserError(messages.message(source, problems))
    return config


def variant(config: Mapping[str, Any], preset: str) -> dict[str, Any]:
    """Return the config of the same run except for its name and all that a preset decides.

    Parameters
    ----------
    config : mapping
        A complete configuration.
    preset : str
        Its keys have the values of this preset, whatever they are in ``config``.

    Returns
    -------
    dict
        For `load`; its run is called ``<run>-<preset>``.

    """
    changed = schema.plain(config)
    presets = schema.presets(schema.read())
    for path in presets.get(preset) or presets.get(config["preset"], {}):  # the default one sets nothing
        *parents, key = path.split(".")
        checks.get(changed, ".".join(parents)).pop(key, None)
    return changed | {"run": f"{config['run']}-{preset}", "preset": preset}
