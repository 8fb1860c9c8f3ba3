"""The stages that read the whole catalogue: plots, the numbers behind them, comparison and exports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mocksed import atomic
from mocksed.diagnostics import catalogue, comparison, comparison_figures, sky, style, summary
from mocksed.diagnostics.settings import Settings
from mocksed.export.registry import EXPORTERS, write_of_run
from mocksed.files import provenance, storage
from mocksed.run.work import Params


def draw(params: Params, catalog: Sequence[str], parents: Sequence[str], png: str, pdf: str) -> None:
    """Draw one diagnostic plot.

    Parameters
    ----------
    params : mapping
        ``diagnostic``: its name in `mocksed.diagnostics.PLOTS`; ``settings``: of
        `mocksed.diagnostics.settings.Settings`; ``run``: of `mocksed.diagnostics.summary.check_inputs`.
    catalog, parents : sequence of path
        The shards of the catalogue and, for a plot that needs it, of the star-forming parent.
    png, pdf : path
        The files to write.

    """
    name = params["diagnostic"]
    settings = Settings(**params["settings"])
    summary.check_inputs(catalog, parents, **params["run"])
    sample = summary.read_sample(catalog, parents, settings, [name])
    diagnostic = summary.module_of(name)
    figure = diagnostic.draw(sample, diagnostic.measure(sample, settings), settings)
    style.save(figure, png, pdf, provenance.stamped(provenance.of_file(catalog[0])))


def summarise(params: Params, catalog: Sequence[str], parents: Sequence[str], output: str) -> None:
    """Write the numbers behind all diagnostic plots; arguments as for `draw`."""
    settings = Settings(**params["settings"])
    summary.check_inputs(catalog, parents, **params["run"])
    sample = summary.read_sample(catalog, parents, settings)
    about = provenance.stamped(provenance.of_file(catalog[0]))
    storage.write_json(output, {"provenance": about} | summary.of_all(sample, settings))


def compare(params: Params, catalogs: Mapping[str, Sequence[str]], output: Mapping[str, Any]) -> None:
    """Compare a run and its variants with the targets, and draw them side by side.

    Parameters
    ----------
    params : mapping
        Of each variant, ``run`` the first: ``settings`` of `mocksed.diagnostics.settings.Settings`, ``about`` and
        ``sps`` of `mocksed.diagnostics.catalogue.check`. ``plots``: names in
        `mocksed.diagnostics.COMPARISONS`.
    catalogs : mapping of str to sequence of path
        Of each variant the shards of its catalogue.
    output : mapping
        ``png`` and ``pdf``: files for the plots; ``csv`` and ``html``: those for the numbers.

    """
    runs = {}
    for variant, settings_of_run in params["settings"].items():
        files, settings = catalogs[variant], Settings(**settings_of_run)
        catalogue.check(files, params["about"][variant], params["sps"][variant])
        galaxies = catalogue.read(files, comparison.COLUMNS, settings.max_galaxies)
        sample = catalogue.Sample(galaxies, n_catalogue=catalogue.count_rows(files))
        measured = comparison.measure_plots(sample, settings)
        rows = comparison.measure(sample, settings, measured)
        runs[storage.metadata(files[0])["run"]] = comparison_figures.Run(sample, settings, measured, rows)
    about = provenance.stamped(provenance.of_file(catalogs["run"][0]))
    for plot, png, pdf in zip(params["plots"], output["png"], output["pdf"], strict=True):
        style.save(comparison_figures.FIGURES[plot](runs), png, pdf, about)
    tables = {name: run.rows for name, run in runs.items()}
    for path, text in ((output["csv"], comparison.as_csv(tables)), (output["html"], comparison.as_html(tables))):
        with atomic.replacing(path) as temporary:
            temporary.write_text(text)


def hold_against_sky(params: Params, catalog: Sequence[str], tables: Path | str, output: Mapping[str, Any]) -> None:
    """Hold the catalogue against what is observed of the sky: figures, the table of scores, and the numbers.

    Parameters
    ----------
    params : mapping
        ``plots``: names in `mocksed.diagnostics.SKY`; ``limits``: ``redshift`` and ``log_mstar`` of the galaxies;
        ``settings``: ``max_galaxies``, ``min_count`` and ``area`` of the config's ``diagnostics``; ``about`` and
        ``sps`` of `mocksed.diagnostics.catalogue.check`.
    catalog : sequence of path
        The shards of the catalogue.
    tables : path
        The folder of what is observed.
    output : mapping
        ``png`` and ``pdf``: files for the figures; ``html`` and ``summary``: those for scores and numbers.

    """
    catalogue.check(catalog, params["about"], params["sps"])
    card = sky.measure(sky.read(catalog, params["limits"], **params["settings"]), tables)
    about = provenance.stamped(provenance.of_file(catalog[0]))
    for plot, png, pdf in zip(params["plots"], output["png"], output["pdf"], strict=True):
        style.save(sky.draw(plot, card[plot]), png, pdf, about)
    storage.write_json(output["summary"], {"provenance": about, "sky": sky.summary(card)})
    with atomic.replacing(output["html"]) as temporary:
        temporary.write_text(sky.as_html(card, about["run"]))


def export(params: Params, catalog: Sequence[str], survey: Sequence[str], output: str) -> None:
    """Write the galaxies of the run for another program.

    Parameters
    ----------
    params : mapping
        ``format``: its name in `mocksed.export.registry.EXPORTERS`; ``run``: the name of the run; ``rows``: the
        config's ``export``; ``shards``: of each shard its number, and how many there are; ``about`` and ``sps`` of
        `mocksed.files.provenance.expected_of_catalogue`; ``survey``: what the files of the survey say besides.
    catalog, survey : sequence of path
        The shards of the catalogue, and of what a survey sees of them, which may be none.
    output : path
        The file to write, RESULTS/RUN/export/NAME.

    """
    for paths, further in ((catalog, {}), (survey, params["survey"])):
        for path, shard in zip(paths, params["shards"], strict=bool(paths)):
            provenance.check(path, provenance.expected_of_catalogue(params["about"], params["sps"], shard) | further)
    rows = dict(params["rows"])
    if EXPORTERS[params["format"]].layout is not None:  # a program has its own columns
        rows.pop("columns", None)
    write_of_run(params["format"], params["run"], Path(output).parents[2], **rows, output=output)
