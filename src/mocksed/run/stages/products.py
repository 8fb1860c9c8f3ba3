"""The stages of the products: the catalogue, and spectra in the rest frame and as an instrument sees them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from numpy.typing import NDArray

from mocksed import catalog, light, morphology, realisations, spectra
from mocksed.cosmology import Cosmology
from mocksed.files import provenance, storage
from mocksed.files.columns import GALAXY, GALAXY_OPTIONAL, MORPHOLOGY
from mocksed.progress import Progress, progress
from mocksed.run.work import Params, Report, Shard, Share, alone
from mocksed.search import KINDS
from mocksed.search.metric import metric_of
from mocksed.sps import filters, from_config, lines
from mocksed.sps.engine import Engine
from mocksed.sps.fsps import ReferenceEngine
from mocksed.survey import instruments, observed


def make_catalog(params: Params, galaxies: str, assigned: str, output: str) -> None:
    """Write a shard of the catalogue: derived quantities, magnitudes and emission lines of its galaxies.

    Parameters
    ----------
    params : mapping
        The config's ``sps``, ``photometry``, ``morphology``; ``lines`` and ``ionising`` of its ``spectra``;
        ``uvj_box``; ``metric``: the arguments of `mocksed.search.metric.metric_of` but the kind; ``shard``: its
        number, and how many there are; ``about``: what the files say of the run.
    galaxies, assigned : path
        The galaxies and their parameters.
    output : path
        The file to write.

    """
    sps, photometry, about = params["sps"], params["photometry"], params["about"]
    provenance.check(galaxies, provenance.expected_of_galaxies(about, params["shard"]))
    provenance.check(assigned, provenance.expected_of_search(about, sps, params["shard"]))
    table = storage.read_table(galaxies)
    engine, cosmo = from_config.of(sps), Cosmology(**about["cosmology"])
    curves = photometry["filter_files"], photometry["filter_units"]
    apparent, rest_frame = (filters.select(photometry[key], *curves) for key in ("filters", "rest_frame"))

    columns = _columns(table, (*GALAXY, *GALAXY_OPTIONAL))
    columns = realisations.keys(columns) | columns  # the identifiers come first
    columns |= catalog.build(
        columns,
        storage.to_arrays(storage.read_table(assigned)),
        engine=engine,
        metrics={kind: metric_of(kind, **params["metric"]) for kind in KINDS},
        cosmo=cosmo,
        uvj_box=params["uvj_box"],
    )
    columns |= light.averaged_sfr(columns, engine.model.sfh)
    if params["ionising"]:
        columns |= light.ionising(columns, engine=engine)
    columns |= light.lya_escape(columns, sps["lya_escape"], engine=engine, seed=about["seed"])
    columns |= light.lines(columns, params["lines"], engine=engine, cosmo=cosmo)
    with progress(len(table), "galaxies", "magnitudes") as bar:
        columns |= light.magnitudes(
            columns,
            apparent,
            rest_frame,
            engine=engine,
            cosmo=cosmo,
            igm_model=sps["igm"],
            lines=photometry["lines"],
            progress=bar,
        )
    if params["morphology"]["write"]:
        columns |= morphology.shapes(columns, _columns(table, MORPHOLOGY), seed=about["seed"], cosmo=cosmo)
    passed_through = {name: table[name] for name in table.column_names if name not in columns}

    metadata = provenance.of_file(assigned) | provenance.of_engine(engine, sps)
    metadata["sps"] = dict(sps)  # of which spectra are made
    indices = lines.indices(params["lines"], engine.line_name)
    metadata["lines"] = {name: engine.line_name[i] for name, i in indices.items()}
    # pivot wavelengths [A]
    metadata["filters"] = {band.name: round(band.pivot, 2) for band in (*apparent, *rest_frame)}
    metadata |= {"morphology": params["morphology"]} if params["morphology"]["write"] else {}
    metadata["lines_in_magnitudes"] = photometry["lines"]
    metadata |= {"uvj_box": params["uvj_box"]} | provenance.of_shard(*params["shard"])
    storage.write_table(output, columns | passed_through, metadata | about)


def _columns(table: pa.Table, names: Iterable[str]) -> dict[str, NDArray]:
    """Return those of the named columns that the table has."""
    return storage.to_arrays(table.select([name for name in names if name in table.column_names]))


class Spectra:
    """Spectra of the shards of a catalogue, made as the metadata of the shards say.

    Parameters
    ----------
    params : mapping
        ``about`` and ``sps`` as for `assign_shard`, and ``wavelength``: the config's ``spectra.wavelength``.
    shards : sequence of mapping
        Of each shard ``catalog`` (path), ``shard`` (its number, and how many there are) and ``output`` (path).
    share : Share
        How processes of one machine share the engine.

    """

    what = "spectra"
    """Name of the product in the progress report."""

    def __init__(self, params: Params, shards: Sequence[Shard], share: Share = alone) -> None:
        self._engine: Engine | ReferenceEngine | None = None
        self._sps: Mapping[str, Any] = {}
        self._share = share
        self._params = params
        self._check(shards[0])
        spectra.setup_of(shards[0]["catalog"], engine_of=self._engine_of)

    def _engine_of(self, sps: Mapping[str, Any]) -> Engine | ReferenceEngine:
        """Return the engine for a config's ``sps``: the shared one if the first shard has the same, as in any run."""
        if self._engine is None:
            self._sps = sps
            # FSPS keeps its state in its process, so that it cannot be shared
            self._engine = from_config.of(sps) if sps["engine"] == "fsps" else self._share(lambda: from_config.of(sps))
        return self._engine if sps == self._sps else from_config.of(sps)

    def _check(self, shard: Shard) -> None:
        """Raise a UserError unless the catalogue's shard is of this run and config."""
        expected = provenance.expected_of_catalogue(self._params["about"], self._params["sps"], shard["shard"])
        provenance.check(shard["catalog"], expected)

    def rows(self, shard: Shard) -> int:
        """Return the number of galaxies of a shard."""
        return storage.count_rows(shard["catalog"])

    def make(self, shard: Shard, report: Report = progress) -> None:
        """Compute the spectra of a shard and write them."""
        self._check(shard)
        columns = storage.read_arrays(shard["catalog"], observed.NEEDED, optional=spectra.OPTIONAL)
        setup = spectra.setup_of(shard["catalog"], engine_of=self._engine_of)
        with report(len(columns["galaxy_id"]), "galaxies", f"{self.what} {Path(shard['output']).stem}") as bar:
            self._write(shard, columns, setup, bar)

    def _write(self, shard: Shard, columns: Mapping[str, NDArray], setup: spectra.Setup, bar: Progress) -> None:
        about = setup.about | provenance.of_shard(*shard["shard"])
        spectra.write(shard["output"], columns, setup.engine, tuple(self._params["wavelength"]), about, bar)


class Observed(Spectra):
    """Observed spectra of the shards of a catalogue, made as the metadata of the shards say.

    Parameters
    ----------
    params : mapping
        ``about`` and ``sps`` as for `Spectra`, and ``observed``: the config's ``spectra.observed``.
    shards, share
        As for `Spectra`.

    """

    what = "observed"

    def __init__(self, params: Params, shards: Sequence[Shard], share: Share = alone) -> None:
        super().__init__(params, shards, share)
        self._instrument = instruments.from_config(params["observed"])

    def _write(self, shard: Shard, columns: Mapping[str, NDArray], setup: spectra.Setup, bar: Progress) -> None:
        about = observed.about(self._params["observed"], self._instrument, setup.engine, columns["redshift"])
        about = setup.about | about | provenance.of_shard(*shard["shard"])
        observed.write(shard["output"], columns, setup, self._params["observed"], self._instrument, about, bar)
