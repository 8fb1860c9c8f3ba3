"""Stellar populations: the results of python-fsps, as sums over a table that FSPS wrote once.

A composite spectrum is linear in the SSPs. `table` holds the SSPs, `make_table` lets FSPS write them, `weights` turns a
star-formation history into weights of the SSPs, `nebular` and `dust` add gas and dust, `engine` puts them together,
`derived` takes magnitudes and colours without the spectra, and `fsps` computes the same with python-fsps, the authority
for every number here. `parameters` and `model` are the input of both.
"""

TAU_RANGE = (0.1, 100.0)
"""Limits of tau [Gyr]: below, FSPS returns no spectrum for old ages; above, the history does not change any more."""
