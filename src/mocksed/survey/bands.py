"""The filters of a survey and how deep it sees in each: presets, which are data (presets.yaml), and the user's own."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from mocksed import yamlfile
from mocksed.errors import suggestion

PRESETS = Path(__file__).with_name("presets.yaml")

ALL_SKY = 0.04
"""gamma where all noise is that of the background, as from space."""

_DEPTHS = (10.0, 40.0)  # that make sense [AB mag]
_REFERENCE_S = 30.0  # exposure that c_m is for


@dataclass(frozen=True)
class Band:
    """A filter of a survey.

    Attributes
    ----------
    name : str
        The filter.
    depth : float
        Magnitude of a point source that has a signal-to-noise ratio of 5 in one visit [AB mag].
    visits : float
        How many visits are stacked.
    gamma : float
        Parameter of the noise (`mocksed.survey.noise.flux_error`): `ALL_SKY`, or less where the photons of a source at
        the depth contribute.
    fwhm : float, optional
        Of the PSF in the images [arcsec]; only apertures need it.

    """

    name: str
    depth: float
    visits: float = 1.0
    gamma: float = ALL_SKY
    fwhm: float | None = None


@dataclass(frozen=True)
class Preset:
    """A survey that is known by name, and where its numbers come from."""

    name: str
    is_: str
    source: str
    url: str
    bands: tuple[Band, ...]


@cache
def presets() -> dict[str, Preset]:
    """Return the surveys that are known by name."""
    return {
        name: Preset(
            name, content["is"], content["source"], content["url"],
            tuple(_band(filter_, values, content.get("years", 1.0)) for filter_, values in content["bands"].items()),
        )
        for name, content in yamlfile.read(PRESETS).items()
    }  # fmt: skip


def _band(name: str, values: Mapping[str, float], years: float) -> Band:
    depth = values["depth"] if "depth" in values else depth_of_visit(**{key: values[key] for key in _VISIT_KEYS})
    fwhm = values.get("fwhm")
    if fwhm is not None:
        fwhm *= values.get("airmass", 1.0) ** 0.6
    return Band(name, depth, years * values.get("visits", 1.0), values.get("gamma", ALL_SKY), fwhm)


_VISIT_KEYS = ("exposure", "airmass", "fwhm", "sky", "dark_sky", "extinction", "c_m", "dc_m_inf")


def depth_of_visit(
    *, exposure: float, airmass: float, fwhm: float, sky: float, dark_sky: float, extinction: float, c_m: float,
    dc_m_inf: float,
) -> float:  # fmt: skip
    """Return the 5 sigma depth for point sources of a visit from the ground [AB mag].

    Ivezic et al. (2019), eq. 6, with the correction for read noise of Bianco et al. (2022), eqs 2 and 3.

    Parameters
    ----------
    exposure : float
        [s].
    airmass : float
        1 or more.
    fwhm : float
        Seeing at the zenith [arcsec].
    sky, dark_sky : float
        Brightness of the sky in the visit, and of the dark sky that ``c_m`` is given for [mag / arcsec^2].
    extinction : float
        At the zenith [mag].
    c_m, dc_m_inf : float
        Sensitivity of the telescope, camera and filter, and what it gains in a long exposure [mag].

    """
    tau = exposure / _REFERENCE_S * 10.0 ** (-0.4 * (sky - dark_sky))
    read_noise = dc_m_inf - 1.25 * math.log10(1.0 + (10.0 ** (0.8 * dc_m_inf) - 1.0) / tau)
    seeing, time = 2.5 * math.log10(0.7 / fwhm), 1.25 * math.log10(exposure / _REFERENCE_S)
    return c_m + 0.5 * (sky - 21.0) + seeing + time - extinction * (airmass - 1.0) + read_noise


def of_config(config: Mapping[str, Any]) -> list[Band]:
    """Return the bands that a complete, valid config asks for, in the order of ``photometry.filters``."""
    survey = config["survey"]
    known = {band.name: band for name in survey["presets"] for band in presets()[name].bands}
    bands = []
    for name in config["photometry"]["filters"]:
        if name in known or name in survey["depths"]:
            band = known.get(name, Band(name, math.nan))
            band = replace(band, **{key: survey[key][name] for key in ("gamma", "fwhm") if name in survey[key]})
            if name in survey["depths"]:
                band = replace(band, depth=survey["depths"][name] - _gain_of_stack(band))
            bands.append(band)
    return bands


def _gain_of_stack(band: Band) -> float:
    """Return by how much the stack of visits is deeper than one visit [mag], without errors of the calibration."""
    half = band.gamma - 0.04
    return 2.5 * math.log10((half + math.sqrt(half**2 + 0.16 * band.gamma * band.visits)) / (2.0 * band.gamma))


def is_asked_for(config: Mapping[str, Any]) -> bool:
    """Return whether a complete config asks for the fluxes of a survey."""
    return bool(config["survey"]["presets"] or config["survey"]["depths"])


def sources(config: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return what files record of the presets that a config names: what each is, and its source."""
    named = (presets()[name] for name in config["survey"]["presets"])
    return {preset.name: {"is": preset.is_, "source": preset.source, "url": preset.url} for preset in named}


def preview(config: Mapping[str, Any]) -> list[str]:
    """Return what `mocksed check` shows of a valid config's survey: its filters, and those of presets left out."""
    if not is_asked_for(config):
        return []
    used = [band.name for band in of_config(config)]
    known = [band.name for name in config["survey"]["presets"] for band in presets()[name].bands]
    left_out = [name for name in dict.fromkeys(known) if name not in used]
    more = f"; not in photometry.filters, and so left out: {', '.join(left_out)}" if left_out else ""
    return [f"survey: {', '.join(used)}{more}"]


def problems(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a complete config's ``survey``, each with its key."""
    survey, filters = config["survey"], config["photometry"]["filters"]
    known = [name for name in survey["presets"] if name in presets()]
    for name in survey["presets"]:
        if name not in presets():
            yield (
                f"survey.presets: '{name}' is not known{suggestion(name, presets())}; expected some of "
                f"{', '.join(presets())} (`mocksed surveys` describes them), or your own survey.depths"
            )
        elif not any(band.name in filters for band in presets()[name].bands):
            names = ", ".join(band.name for band in presets()[name].bands)
            yield f"survey.presets: none of the filters of {name} is in photometry.filters; expected some of {names}"
    in_presets: dict[str, list[str]] = {}
    for name in known:
        for band in presets()[name].bands:
            in_presets.setdefault(band.name, []).append(name)
    ambiguous: dict[str, list[str]] = {}
    for name in filters:
        if len(offering := in_presets.get(name, ())) > 1 and name not in survey["depths"]:
            ambiguous.setdefault(" and ".join(offering), []).append(name)
    for preset_names, shared in ambiguous.items():
        yield (
            f"survey.presets: {preset_names} all have a depth of {', '.join(shared)}; name one of them, or set "
            "survey.depths"
        )
    for name, depth in survey["depths"].items():
        if name not in filters:
            yield (
                f"survey.depths.{name}: the catalogue has no such filter{suggestion(name, filters)}; expected one of "
                "photometry.filters, or add it there"
            )
        if not _DEPTHS[0] <= depth <= _DEPTHS[1]:
            yield (
                f"survey.depths.{name}: {depth:g} is not allowed; expected the AB magnitude of a point source at 5 "
                f"sigma, from {_DEPTHS[0]:g} to {_DEPTHS[1]:g}"
            )
    for key in ("gamma", "fwhm"):
        for name in survey[key]:
            if name not in survey["depths"] and name not in in_presets:
                yield f"survey.{key}.{name}: not used; expected a filter of survey.presets or survey.depths"
    if not ambiguous and len(known) == len(survey["presets"]):
        yield from _problems_of_apertures(config, of_config(config))


def _problems_of_apertures(config: Mapping[str, Any], bands: Sequence[Band]) -> Iterator[str]:
    survey = config["survey"]
    if survey["aperture"] == "point" or not is_asked_for(config):
        return
    if not config["morphology"]["write"]:
        yield (
            f"survey.aperture: {survey['aperture']} is not allowed without the sizes of the galaxies; set "
            "morphology.write to true (columns of the table are kept), or expected point"
        )
    if lacking := [band.name for band in bands if band.fwhm is None]:
        yield (
            f"survey.fwhm: missing for {', '.join(lacking)}; survey.aperture {survey['aperture']} needs the width of "
            "their PSF [arcsec]"
        )
