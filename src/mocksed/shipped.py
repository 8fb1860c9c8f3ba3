"""Files that come with mocksed, in the folder ``resources`` of the repository and of an installed package."""

from pathlib import Path

_FOLDERS = (Path("resources"), Path(__file__).with_name("resources"), Path(__file__).parents[2] / "resources")
"""Where they are, in order: the current folder, where it is the workflow's; with the package; its repository."""


def found(path: str) -> str:
    """Return a path below ``resources`` as it is if it is there, else that of the file or folder that is installed.

    Any other path is returned as it is, and so is one of a file that does not come with mocksed.
    """
    name = Path(path)
    if name.parts[:1] != ("resources",):
        return path
    below = Path(*name.parts[1:])
    return next((str(folder / below) for folder in _FOLDERS if (folder / below).exists()), path)
