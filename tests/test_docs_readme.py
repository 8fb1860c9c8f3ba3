"""The README: its Python, its links, and the version in all places that name one."""

import re
import tomllib

import numpy as np
import pytest
import yaml


@pytest.fixture(scope="module")
def readme(root):
    return (root / "README.md").read_text()


@pytest.mark.slow
def test_the_engine_of_the_readme(readme, root, monkeypatch):
    monkeypatch.chdir(root)
    (block,) = (text for text in re.findall(r"```python\n(.*?)```", readme, re.DOTALL) if "Engine(" in text)
    names: dict = {}
    exec(block, names)
    engine, galaxies = names["engine"], names["galaxies"]
    of_galaxies = engine.spectra(**galaxies, nebular=True, mass_formed=1e10 / names["mass_fraction"])
    np.testing.assert_allclose(names["l_nu_of_galaxy"], of_galaxies, rtol=1e-5, atol=1e-20)
    near_1500 = np.abs(engine.wavelength - 1500) < 50
    mag = -2.5 * np.log10(names["l_nu"][:, near_1500].mean(axis=1) / names["mass_fraction"])
    np.testing.assert_allclose(np.diff(names["muv"]), np.diff(mag), atol=0.02)  # both per surviving mass


@pytest.mark.parametrize(
    "name", ["README.md", "CONTRIBUTING.md", "docs/tutorial.md", "docs/method.md", "docs/developers.md"]
)
def test_links_lead_to_files(root, name):
    page = root / name
    links = re.findall(r"\]\(([^)#:]+?)(?:#[\w-]+)?\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_pages_name_files_that_exist(root):
    named = {
        (page.name, path)
        for page in (*root.glob("*.md"), *root.glob("docs/*.md"))
        for path in re.findall(r"`((?:tests|src|benchmarks|workflow|resources)/[\w./-]+\.\w+)`", page.read_text())
    }
    assert len(named) > 5
    assert [(page, path) for page, path in sorted(named) if not (root / path).exists()] == []


def test_one_version(root):
    version = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    assert yaml.safe_load((root / "CITATION.cff").read_text())["version"] == version
    assert re.search(r"^## (\S+)", (root / "CHANGELOG.md").read_text(), re.MULTILINE).group(1) == version
