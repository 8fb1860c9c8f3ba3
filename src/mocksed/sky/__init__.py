"""What has been observed of galaxies: small tables of published data, to hold a mock against.

Each file of resources/sky is one observable of one paper, with all that is needed to use it: DOI, table or equation,
initial mass function, cosmology, units and where it holds (`mocksed.sky.observed`). Some are points with errors, others
the parameters of a function (`mocksed.sky.laws`); both can be had for another initial mass function and another
cosmology (`mocksed.sky.conversions`). How much a survey of some volume scatters is in `mocksed.sky.variance`.
"""

from mocksed.sky.observed import OBSERVABLES, Observed, by_observable, read

__all__ = ["OBSERVABLES", "Observed", "by_observable", "read"]
