"""Hold the catalogue against what is observed of the sky: figures, the table of scores, and the numbers."""

from pathlib import Path

from mocksed import atomic, diagnostics
from mocksed.diagnostics import catalogue, sky
from mocksed.files import provenance, storage
from mocksed.run.jobs import job

with job(snakemake.log[0]):
    params, paths, output = snakemake.params, snakemake.input.catalog, snakemake.output
    catalogue.check(paths, params.about, params.sps)
    card = sky.measure(sky.read(paths, params.limits, **params.settings), params.tables)
    about = provenance.stamped(provenance.of_file(paths[0]))
    for plot, png, pdf in zip(params.plots, output.png, output.pdf, strict=True):
        diagnostics.save(sky.draw(plot, card[plot]), png, pdf, about)
    storage.write_json(output.summary, {"provenance": about, "sky": sky.summary(card)})
    with atomic.replacing(output.html) as temporary:
        Path(temporary).write_text(sky.as_html(card, about["run"]))
