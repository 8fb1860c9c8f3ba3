"""Checks of a complete configuration that a schema cannot express: each takes it and yields problems."""

import glob
import math
import os
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import reduce
from itertools import pairwise
from pathlib import Path
from typing import Any

from mocksed import relations
from mocksed.config.messages import PATH_WORDS, shown
from mocksed.cosmology import AGE_MARGIN
from mocksed.errors import UserError, no_file
from mocksed.galaxies import spec as table_spec
from mocksed.galaxies.files import files_of, table_path
from mocksed.galaxies.spec import TableSpec
from mocksed.search.metric import metric_of
from mocksed.sps import TAU_RANGE
from mocksed.sps.model import LIMITS, Model

Check = Callable[[dict[str, Any]], Iterator[str]]
"""A check of a complete config, which yields problems."""

MAX_RUN, MAX_NAME, MAX_PATH = 100, 200, 3000
"""Bytes of the name of a run, of another name and of a path: systems take 255 and 4096, with what mocksed appends."""

LIGHTCONE_MAX_REDSHIFT = 20.0

PARAMETER_LIMITS: dict[str, tuple[float, float]] = {
    "redshift": (0.0, math.inf),
    "log_us": (-4.0, -1.0),
    "dust2": (0.0, math.inf),
    "dust_index": LIMITS["dust_index"],
    "age": (AGE_MARGIN, math.inf),
    "tau": TAU_RANGE,
}
"""Ranges that the stellar population model covers (FSPS gives no error beyond them)."""

ONLY_FOR: dict[str, tuple[str, ...]] = {
    "relation": ("log_zmet", "log_us"),
    "uniform_in_scale_factor": ("redshift",),
    "log_uniform_to_t_univ": ("age",),
    "fraction_of_t_univ": ("age",),
}
"""Kinds of distribution that have a meaning for some parameters only."""


def get(config: dict[str, Any], path: str) -> Any:
    """Return the value of a key, with dots for nesting."""
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
        yield from _range_problems(path, get(config, path), low, high)


def _range_problems(path: str, pair: Sequence[float], low: float, high: float) -> Iterator[str]:
    if pair[0] >= pair[1]:
        yield f"{path}: {shown(pair)} is not allowed; expected the lower limit first and the two to differ"
    yield from _limit_problems(path, pair, pair, low, high)


def _limit_problems(path: str, given: Any, values: Iterable[float], low: float, high: float) -> Iterator[str]:
    if any(not low <= value <= high for value in values):
        allowed = f"of at least {low:g}" if high == math.inf else f"from {low:g} to {high:g}"
        yield f"{path}: {shown(given)} is not allowed; expected values {allowed}"


def _check_centre(config: dict[str, Any]) -> Iterator[str]:
    ra, dec = centre = get(config, "galaxies.lightcone.centre")
    if not (0.0 <= ra <= 360.0 and -90.0 <= dec <= 90.0):
        yield (
            f"galaxies.lightcone.centre: {shown(centre)} is not allowed; expected a right ascension from 0 to 360 and "
            "a declination from -90 to 90"
        )


def _check_redshift_bins(config: dict[str, Any]) -> Iterator[str]:
    bins = get(config, "diagnostics.redshift_bins")
    if any(low >= high for low, high in pairwise(bins)):
        yield f"diagnostics.redshift_bins: {shown(bins)} is not allowed; expected edges that increase"


def _check_filters(config: dict[str, Any]) -> Iterator[str]:
    from mocksed.sps import filters  # most commands do without

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
    instrument = get(config, "spectra.observed")
    if instrument is None:
        return
    from mocksed.survey import observed  # few configs have one

    yield from observed.problems(
        instrument, _wavelength(config), get(config, f"galaxies.{config['galaxies']['source']}.redshift")
    )


def _wavelength(config: dict[str, Any]) -> Any:
    """Return the wavelengths of the spectra [A], None if they are not known yet."""
    from mocksed.sps.table import read_wavelength

    table = get(config, "sps.table")
    if get(config, "sps.engine") != "table" or not os.path.isfile(table):
        return None
    try:
        return read_wavelength(table)
    except UserError:
        return None  # _check_ssp_table reports it


def _check_survey(config: dict[str, Any]) -> Iterator[str]:
    if any(config["survey"][key] for key in ("presets", "depths", "fwhm", "gamma")):
        from mocksed.survey import bands  # most configs do without

        yield from bands.problems(config)


def _check_wavelength(config: dict[str, Any]) -> Iterator[str]:
    limits, wavelength = get(config, "spectra.wavelength"), _wavelength(config)
    low, high = limits
    if low < high and wavelength is not None and not any((low <= wavelength) & (wavelength <= high)):
        yield (
            f"spectra.wavelength: {shown(limits)} has none of the wavelengths of the spectra; expected limits around "
            f"some of those from {wavelength[0]:g} to {wavelength[-1]:g} A"
        )


def _check_lines(config: dict[str, Any]) -> Iterator[str]:
    names, table = get(config, "spectra.lines"), get(config, "sps.table")
    if not names or names == "all" or get(config, "sps.engine") != "table" or not os.path.isfile(table):
        return
    from mocksed.sps import lines  # most configs name none
    from mocksed.sps.table import read_lines

    try:
        known, _ = read_lines(table)
    except UserError:
        return  # _check_ssp_table reports it
    for problem in lines.problems(names, known):
        yield f"spectra.lines: {problem}; expected names that `mocksed lines` lists"


def _check_table(config: dict[str, Any]) -> Iterator[str]:
    if get(config, "galaxies.source") != "table":
        if path := get(config, "galaxies.table.path"):
            yield (
                f"galaxies.source: lightcone is not allowed with galaxies.table.path {shown(path)}, which it does not "
                "read; expected table, or no path"
            )
        return
    yield from table_spec.problems(get(config, "galaxies.table"))


def check_table_file(config: dict[str, Any]) -> Iterator[str]:
    """Yield the problems of the files of the user's table."""
    path = get(config, "galaxies.table.path")
    if get(config, "galaxies.source") != "table" or path is None:
        return
    files = [str(file) for file in files_of(table_path(path))]
    for file in dict.fromkeys(files):
        if files.count(file) > 1:
            yield f"galaxies.table.path: {shown(file)} is named twice; give each file once"
        if glob.has_magic(file) and not os.path.exists(file):
            yield f"galaxies.table.path: no file matches {shown(file)}; expected tables, seen from {Path.cwd()}"
        elif problem := no_file(file):
            yield f"galaxies.table.path: {shown(file)} {problem}; expected a table, seen from {Path.cwd()}"
        elif re.search("[{}<>\n]", file):
            yield f"galaxies.table.path: {shown(file)} is not allowed; expected names {PATH_WORDS}"


def check_table_header(config: dict[str, Any]) -> Iterator[str]:
    """Yield the problems of the columns of the user's table (`mocksed.config.load`, ``further``)."""
    spec = table_of(config)
    if spec is None:
        return
    from mocksed.galaxies.header import header_of  # takes 0.3 s to import, and light cones do without
    from mocksed.galaxies.readers import open_table

    try:
        with open_table(spec.path, spec.format, spec.dataset) as table:
            yield from header_of(spec, table).problems
    except UserError as error:
        yield str(error)


def table_of(config: dict[str, Any]) -> TableSpec | None:
    """Return the user's table of a complete config, None if the config has none or it cannot be read."""
    table = get(config, "galaxies.table")
    if get(config, "galaxies.source") != "table" or any(table_spec.problems(table)):
        return None
    if any(map(no_file, files_of(table_path(table["path"])))):
        return None
    return TableSpec.from_config(table, get(config, "quiescent.uvj_box"), get(config, "galaxies.mass_functions"))


def _check_ssp_table(config: dict[str, Any]) -> Iterator[str]:
    from mocksed.sps.table import read_lines, read_wavelength

    table, made = Path(get(config, "sps.table")), Path(config["results"], "ssp")
    if os.path.isfile(table):
        try:
            read_wavelength(table)  # little of it: every process of Snakemake comes here
            read_lines(table)
        except UserError as error:
            yield f"sps.table: {str(error).removesuffix('.')}"
    elif not Path(os.path.realpath(table)).is_relative_to(os.path.realpath(made)):
        yield (
            f"sps.table: {shown(str(table))} {no_file(table)}; expected an SSP table, or a name below {made}/, which "
            "is made from the FSPS of SPS_HOME"
        )


def _check_results(config: dict[str, Any]) -> Iterator[str]:
    folder = Path(config["results"], config["run"])
    nearest = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
    if not nearest.is_dir():
        yield f"results: {shown(config['results'])} is not allowed, {nearest} is not a folder; expected one"
    elif not os.access(nearest, os.W_OK | os.X_OK):
        yield f"results: {shown(config['results'])} is not allowed, {nearest} cannot be written; expected one that can"


def _check_names(config: dict[str, Any]) -> Iterator[str]:
    """Yield names that are too long for new files; other names belong to existing files."""
    run = config["run"].removesuffix(f"-{config['preset']}")  # which `variant` appends
    if len(run) > MAX_RUN:
        yield f"run: {shown(run)} is not allowed; it has {len(run)} letters, expected {MAX_RUN} at most"
    for key in ("results", "sps.table"):
        path = get(config, key)
        if len(os.fsencode(path)) > MAX_PATH or any(len(os.fsencode(part)) > MAX_NAME for part in Path(path).parts):
            yield (
                f"{key}: {shown(path)} is not allowed; expected at most {MAX_PATH} bytes, and {MAX_NAME} of each "
                "folder or file"
            )


def _check_launcher(config: dict[str, Any]) -> Iterator[str]:
    launcher = get(config, "mpi.launcher")
    try:
        problem = "" if launcher is None or any(shlex.split(launcher)[:1]) else "it is empty"
    except ValueError as error:  # such as "No closing quotation"
        problem = str(error).lower()
    if problem:
        yield f"mpi.launcher: {shown(launcher)} is not allowed, {problem}; expected a command, e.g. mpiexec, or null"


def _check_sampling(config: dict[str, Any]) -> Iterator[str]:
    for kind in ("star_forming", "quiescent"):
        path = f"parent.{kind}.sampling"
        sampling = get(config, path)
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
                yield f"{path}: {shown(value)} is not allowed; expected limits above 0"
            else:
                yield from _range_problems(path, value, low, high)
        case "normal":
            cut = value[2:]
            if value[1] <= 0.0:
                yield f"{path}: {shown(value)} is not allowed; expected a standard deviation (the second) above 0"
            if len(cut) == 2 and cut[0] >= cut[1]:
                yield f"{path}: {shown(value)} is not allowed; expected [mean, sd, low, high] with low below high"
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
                    f"assignment.prior.{kind}.{name}: {shown(prior)} is not allowed; expected a standard deviation "
                    "(the second) above 0"
                )


def _check_relations(config: dict[str, Any]) -> Iterator[str]:
    settings, sps, method = config["relations"], config["sps"], config["assignment"]["method"]
    yield from relations.problems(settings)
    for name in ("a_uv", "a_v", "dust_index"):
        if settings[name] is not None and method != "choose":
            yield f"relations.{name}: not used with assignment.method {method}; expected null, or the method choose"
    if settings["dust_index"] is not None and (sps["dust_type"] != "kriek_conroy" or sps["dust_index"] is not None):
        yield (
            f"relations.dust_index: not used with sps.dust_type {sps['dust_type']} and sps.dust_index "
            f"{shown(sps['dust_index'])}; expected null, or kriek_conroy with a slope that is free (null)"
        )


def _check_line_dust(config: dict[str, Any]) -> Iterator[str]:
    sps = config["sps"]
    if sps["engine"] == "fsps" and sps["add_dust_emission"]:
        for name, usual in (("line_attenuation", 1.0), ("lya_escape", "dust")):
            if sps[name] != usual:
                yield (
                    f"sps.{name}: {shown(sps[name])} is not allowed with sps.engine fsps and sps.add_dust_emission "
                    f"true, since FSPS cannot have both; expected {shown(usual)}, or the engine table"
                )


def _check_triangle(config: dict[str, Any]) -> Iterator[str]:
    limits = config["diagnostics"]["triangle_redshift"]
    if limits is not None:
        yield from _range_problems("diagnostics.triangle_redshift", limits, 0.0, math.inf)


def _check_slope(config: dict[str, Any]) -> Iterator[str]:
    sps = config["sps"]
    for kind in ("star_forming", "quiescent"):
        sampling = get(config, f"parent.{kind}.sampling")
        if isinstance(sampling, dict) and "dust_index" in sampling and not Model.from_config(sps).slope_is_free:
            yield (
                f"parent.{kind}.sampling.dust_index: not used with sps.dust_type {sps['dust_type']} and sps.dust_index "
                f"{shown(sps['dust_index'])}; leave it out, or let the slope of power_law or kriek_conroy be free"
            )


CHECKS: tuple[Check, ...] = (
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
    _check_line_dust,
    _check_triangle,
)
"""The checks of every configuration."""
