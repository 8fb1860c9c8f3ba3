"""Hold the run and its variants against the targets, and draw them side by side."""

from pathlib import Path

from mocksed import diagnostics, provenance, storage
from mocksed.diagnostics import catalogue, comparison
from mocksed.jobs import job

with job(snakemake.log[0]):
    params, files, output = snakemake.params, snakemake.input, snakemake.output
    runs = {}
    for variant, settings_of_run in params.settings.items():
        settings = diagnostics.Settings(**settings_of_run)
        catalogue.check(files[variant], params.about[variant], params.sps[variant])
        galaxies = catalogue.read(files[variant], comparison.COLUMNS, settings.max_galaxies)
        sample = catalogue.Sample(galaxies, n_catalogue=catalogue.count_rows(files[variant]))
        measured = comparison.measure_plots(sample, settings)
        rows = comparison.measure(sample, settings, measured)
        name = storage.metadata(files[variant][0])["run"]
        runs[name] = comparison.Run(sample, settings, measured, rows)
    about = provenance.stamped(provenance.of_file(files.run[0]))
    for plot, png, pdf in zip(params.plots, output.png, output.pdf, strict=True):
        diagnostics.save(comparison.FIGURES[plot](runs), png, pdf, about)
    tables = {name: run.rows for name, run in runs.items()}
    for path, text in ((output.csv, comparison.as_csv(tables)), (output.html, comparison.as_html(tables))):
        with storage.replacing(path) as temporary:
            Path(temporary).write_text(text)
