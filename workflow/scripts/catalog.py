"""Compute the galaxies' derived quantities, magnitudes and emission lines."""

from mocksed import catalog, filters, lines, morphology, provenance, realisations, spectra, storage
from mocksed.columns import MORPHOLOGY
from mocksed.cosmology import Cosmology
from mocksed.jobs import job, progress
from mocksed.search import KINDS, given
from mocksed.search.metric import metric_of
from mocksed.sps import engines

with job(snakemake.log[0], snakemake.threads):
    params = snakemake.params
    provenance.check(snakemake.input.galaxies, provenance.expected_of_galaxies(params.about, params.shard))
    provenance.check(snakemake.input.assigned[0], provenance.expected_of_search(params.about, params.sps, params.shard))
    table = storage.read_table(snakemake.input.galaxies)
    known = ("galaxy_id", realisations.COLUMN, "redshift", "log_mstar", "quiescent", *given.COLUMNS)
    galaxies = storage.to_arrays(table.select([name for name in known if name in table.column_names]))
    assigned = storage.to_arrays(storage.read_table(snakemake.input.assigned[0]))
    engine, cosmo = engines.of(params.sps), Cosmology(**params.about["cosmology"])
    columns = galaxies | catalog.build(
        galaxies,
        assigned,
        engine=engine,
        metrics={kind: metric_of(kind, **params.metric) for kind in KINDS},
        cosmo=cosmo,
        uvj_box=params.uvj_box,
    )
    columns |= catalog.averaged_sfr(columns, engine.model.sfh)
    if params.ionising:
        columns |= catalog.ionising(columns, engine=engine)
    columns |= catalog.lines(columns, params.lines, engine=engine, cosmo=cosmo)
    own = params.photometry["filter_files"], params.photometry["filter_units"]
    apparent, rest_frame = (filters.select(params.photometry[key], *own) for key in ("filters", "rest_frame"))
    with progress(len(table), "galaxies", "magnitudes") as bar:
        columns |= catalog.magnitudes(
            columns, apparent, rest_frame, engine=engine, cosmo=cosmo, igm_model=params.sps["igm"],
            lines=params.photometry["lines"], progress=bar,
        )  # fmt: skip
    if params.morphology["write"]:
        of_table = storage.to_arrays(table.select([name for name in MORPHOLOGY if name in table.column_names]))
        columns |= morphology.shapes(columns, of_table, seed=params.about["seed"], cosmo=cosmo)
    passed_through = {name: table[name] for name in table.column_names if name not in columns}
    about = provenance.of_file(snakemake.input.assigned[0]) | provenance.of_engine(engine, params.sps)
    about |= spectra.in_catalogue(params.sps, params.wavelength)
    about["lines"] = {name: engine.line_name[i] for name, i in lines.indices(params.lines, engine.line_name).items()}
    about["filters"] = {band.name: round(band.pivot, 2) for band in (*apparent, *rest_frame)}  # pivot wavelengths [A]
    about |= {"morphology": params.morphology} if params.morphology["write"] else {}
    about["lines_in_magnitudes"] = params.photometry["lines"]
    about |= {"uvj_box": params.uvj_box} | provenance.of_shard(*params.shard)
    storage.write_table(snakemake.output[0], columns | passed_through, about | params.about)
