"""The commands of docs/spectra.md on a finished run."""

import re
import shlex

import pytest
import yaml
from astropy.table import QTable
from PIL import Image

from mocksed import cli
from mocksed.files import storage
from mocksed.run import configuration
from mocksed.survey import instruments
from tests.runs import Workflow

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def page(root):
    return (root / "docs/spectra.md").read_text()


def test_the_config_of_the_page_is_one(page, root, monkeypatch):
    monkeypatch.chdir(root)
    (block,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    loaded = configuration.load({"run": "test"} | yaml.safe_load(block))
    assert loaded["spectra"]["observed"]["preset"] == "spherex"


def test_the_presets_of_the_page_are_those_there_are(page):
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \|", page, re.MULTILINE)
    assert {name: int(n) for name, n in rows} == {
        name: len(instruments.by_name(name).wavelength) for name in instruments.presets()
    }


def test_the_commands_of_the_page_run(page, tiny: Workflow, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"```bash\n(.*?)```", page, re.DOTALL)
    for line in block.replace("--run demo", f"--run tiny --results {tiny.folder}/results").splitlines():
        program, *arguments = shlex.split(line)
        assert program == "mocksed"
        assert cli.main(arguments) == 0
    assert storage.count_rows("spherex.parquet") == 2
    for name, n in (("prism.fits", 184), ("mine.fits", 2500)):
        assert len(QTable.read(name, hdu=1)) == n
    with Image.open("examples.png") as image:
        assert image.width > 1000
    (python,) = (block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "observed.of_run" in block)
    results = f'"tiny", [12, 34], {{"preset": "euclid_red"}}, "{tiny.folder}/results"'
    names: dict = {}
    exec(python.replace('"demo", [12, 34], {"preset": "euclid_red"}', results), names)
    assert names["f_lambda"].shape == (2, 501)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--observed", "sperex"], "did you mean spherex"),
        (["--observed", "[1, 2]"], "expected a preset"),
        (["--observed", "{range: [10, 50], step: 1}"], "reaches beyond the spectra"),
        (["--plot", "examples.gif"], "expected a name that ends in .png"),
    ],
)
def test_mistakes_are_said(tiny: Workflow, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    of_run = [
        "spectra",
        "--run",
        "tiny",
        "--results",
        f"{tiny.folder}/results",
        "--ids",
        "12",
        "--output",
        "no.parquet",
    ]
    assert cli.main([*of_run, *arguments]) == 1
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said
    assert not list(tmp_path.iterdir())
