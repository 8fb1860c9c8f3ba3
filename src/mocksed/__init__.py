"""mocksed: a spectrum for every galaxy of a simulated catalogue."""

from importlib.metadata import version

__version__ = version("mocksed")
