"""The card of a run: what its catalogue has beside what is observed of the sky, and a score for each.

`mocksed.sky` has what was observed. An observable (`observables`) measures a mock (`mock`) with `statistics`, and holds
it against papers in `panels`, which `scores` are of; `card` reads a catalogue and makes all of them.
"""

from mocksed.diagnostics.sky.card import as_html, columns, draw, measure, read, summary
from mocksed.diagnostics.sky.observables import OBSERVABLES

__all__ = ["OBSERVABLES", "as_html", "columns", "draw", "measure", "read", "summary"]
