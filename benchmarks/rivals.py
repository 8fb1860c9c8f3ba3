"""What mocksed is measured against: python-fsps and DSPS, each as quick as it can be made through its own interface."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.timing import Contestant, quickest
from mocksed.sps import fsps
from mocksed.sps.table import SSPTable

Array = NDArray[np.float64]

LOG_ZMET = -0.3
"""Metallicity of the calls of python-fsps: between two nodes, as nearly all metallicities are."""

_ZSUN = 0.019  # DSPS wants absolute metallicities; any value will do, as long as SSPs and galaxies share it
_SFH_STEPS = 100  # of the tabulated histories, the number of DSPS's quickstart
_MAG_PER_TAU = 2.5 * np.log10(np.e)


def fsps_spectrum(age: float, tau: float, log_us: float, dust2: float) -> Array:
    """Return one spectrum of python-fsps at the metallicity `LOG_ZMET` [Lsun/Hz], gas and dust included."""
    sps = fsps.population()
    options = {
        "sfh": 4, "tau": tau, "dust_type": 2, "dust1": 0.0, "dust2": dust2, "add_dust_emission": False,
        "add_neb_emission": True, "nebemlineinspec": True, "logzsol": LOG_ZMET, "gas_logz": LOG_ZMET,
        "gas_logu": log_us,
    }  # fmt: skip
    for name, value in options.items():
        sps.params[name] = value
    return sps.get_spectrum(tage=age)[1]


def fsps_warm(parameters: tuple[NDArray, ...]) -> Contestant:
    """Return calls of python-fsps whose SSPs are cached: age, tau, U and dust change, the metallicity does not."""
    age, tau, _, log_us, dust2, _ = parameters
    rows = np.stack([age, tau, log_us, dust2], axis=1)
    return Contestant(lambda: [fsps_spectrum(*row) for row in rows], len(rows))


def fsps_cold(parameters: tuple[NDArray, ...]) -> Contestant:
    """Return a call of python-fsps that has to make its SSPs, those of the two metallicities around the galaxy's."""
    age, tau, _, log_us, dust2, _ = (float(values[0]) for values in parameters)

    def call() -> None:
        fsps.population().params.dirtiness = 2  # python-fsps: options of the SSPs have changed
        fsps_spectrum(age, tau, log_us, dust2)

    return Contestant(call, 1)


def dsps_galaxies(table: SSPTable, n: int) -> tuple[Array, Array, Array, Array]:
    """Return age, tau [Gyr], metallicity and optical depth of galaxies that DSPS and mocksed describe alike.

    DSPS spreads the metallicity between nodes otherwise, and knows nothing of the first 10 Myr of the universe.
    """
    rng = np.random.default_rng(2)
    log_zmet = rng.choice(table.log_zmet[1:-1], n)
    return rng.uniform(0.3, 13.0, n), 10.0 ** rng.uniform(-0.5, 2.0, n), log_zmet, rng.uniform(0.0, 2.0, n)


def _histories(age: Array, tau: Array) -> tuple[Array, Array]:
    """Return times [Gyr] and SFRs of 1 Msun formed, shape (n, _SFH_STEPS): fine at the beginning and at the end."""
    half = _SFH_STEPS // 2
    late = 1.0 - np.concatenate([np.geomspace(0.49, 1e-5, half - 1), [0.0]])
    t = np.concatenate([np.geomspace(0.01, 0.5 * age, half, axis=1), age[:, None] * late], axis=1)
    sfr = t * np.exp(-t / tau[:, None])
    return t, sfr / np.trapezoid(sfr, t * 1e9, axis=1)[:, None]


def dsps(
    table: SSPTable, galaxies: tuple[Array, Array, Array, Array], *, double: bool, own_product: bool = False
) -> Callable[[], NDArray]:
    """Return DSPS's way to many galaxies, a compiled function mapped over them, with dust and without gas.

    Its cost depends neither on what the SSPs hold nor on the parameters. Histories are tabulated before the clock runs.

    Parameters
    ----------
    table : SSPTable
        Its stars are the SSPs.
    galaxies : tuple of ndarrays of shape (n, )
        As `dsps_galaxies` returns them.
    double : bool
        Double precision, which DSPS switches on when imported; otherwise single precision throughout.
    own_product : bool
        Take from DSPS the weights of the SSPs alone, and sum the SSPs by one matrix product for all galaxies.

    """
    import jax
    import jax.numpy as jnp
    from dsps import calc_rest_sed_sfh_table_lognormal_mdf, calc_ssp_weights_sfh_table_lognormal_mdf
    from dsps.dust.att_curves import _frac_transmission_from_k_lambda, calzetti00_k_lambda

    with jax.enable_x64(double):
        as_array = partial(jnp.asarray, dtype=jnp.float64 if double else jnp.float32)
        age, tau, log_zmet, dust2 = galaxies
        arguments = [as_array(x) for x in (*_histories(age, tau), log_zmet + np.log10(_ZSUN), age)]
        ssp = as_array(table.log_zmet + np.log10(_ZSUN)), as_array(table.log_age - 9.0)
        a_v, k = as_array(dust2 * _MAG_PER_TAU), calzetti00_k_lambda(as_array(table.wavelength / 1e4))
        # DSPS wants a scatter of the metallicity: so little that one on a node is there alone
        scatter = as_array(1e-3)
        stars = jnp.asarray(table.stellar)

        def spectrum(t: Any, sfr: Any, zmet: Any, t_obs: Any, a_v: Any, stars: Any) -> Any:
            sed = calc_rest_sed_sfh_table_lognormal_mdf(t, sfr, zmet, scatter, *ssp, stars, t_obs).rest_sed
            return sed * _frac_transmission_from_k_lambda(k, a_v)

        def weights(t: Any, sfr: Any, zmet: Any, t_obs: Any) -> Any:
            return calc_ssp_weights_sfh_table_lognormal_mdf(t, sfr, zmet, scatter, *ssp, t_obs).weights.ravel()

        def product(*arguments: Any) -> Any:
            *history, a_v, stars = arguments
            seds = jax.vmap(weights)(*history) @ stars.reshape(-1, stars.shape[-1])
            return seds * jax.vmap(_frac_transmission_from_k_lambda, (None, 0))(k, a_v)

        compiled = jax.jit(product if own_product else jax.vmap(spectrum, (0, 0, 0, 0, 0, None)))

    def call() -> NDArray:
        with jax.enable_x64(double):
            return np.asarray(compiled(*arguments, a_v, stars))

    return call


def dsps_contestant(table: SSPTable, *, double: bool) -> Contestant:
    """Return DSPS with the number of galaxies a call at which it is quickest."""
    sizes = (8, 32, 128, 512)
    return quickest({n: Contestant(dsps(table, dsps_galaxies(table, n), double=double), n) for n in sizes})
