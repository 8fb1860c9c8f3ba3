"""The command ``mocksed``.

A command is one function that takes the parsed arguments, and one line in `parser`.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mocksed import __version__, config
from mocksed.errors import UserError

SCHEMA = Path("workflow/schemas/config.schema.yaml")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; a `UserError` becomes one message on standard error and exit status 1."""
    args = parser().parse_args(arguments)
    try:
        args.command(args)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    top = argparse.ArgumentParser(prog="mocksed", description="A spectrum for every galaxy of a simulated catalogue.")
    top.add_argument("--version", action="version", version=f"mocksed {__version__}")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    add_command(commands, "check", check, "check a config and print 'ok'")
    add_command(commands, "report-path", report_path, "print where the HTML report of a config goes")
    add_command(
        commands, "config-docs", config_docs, "print the reference of the config, as Markdown", configfile=False
    )
    return top


def add_command(
    commands: Any, name: str, function: Callable[[argparse.Namespace], None], help_: str, configfile: bool = True
) -> argparse.ArgumentParser:
    """Add a command and return its parser, for further options; most commands take a config file."""
    command: argparse.ArgumentParser = commands.add_parser(name, help=help_, description=help_)
    command.set_defaults(command=function)
    command.add_argument("--schema", type=Path, default=SCHEMA, help="schema of the config (default: %(default)s)")
    if configfile:
        command.add_argument("--configfile", type=Path, required=True, metavar="F", help="the config, a YAML file")
    return command


def check(args: argparse.Namespace) -> None:
    """Check a config."""
    config.load(args.configfile, args.schema)
    print("ok")


def report_path(args: argparse.Namespace) -> None:
    """Print where the HTML report of a config goes."""
    loaded = config.load(args.configfile, args.schema)
    print(Path(loaded["results"], loaded["run"], "report.html"))


def config_docs(args: argparse.Namespace) -> None:
    """Print the reference of the config."""
    print(config.docs(args.schema), end="")


if __name__ == "__main__":
    sys.exit(main())
