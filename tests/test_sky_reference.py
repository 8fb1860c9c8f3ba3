import shutil

from mocksed.sky import observed, reference

NAME = "uv_luminosity_function_parsa2016"


def test_the_reference_is_that_of_the_tables(root):
    assert (root / "docs/sky.md").read_text() == reference.markdown(root / observed.FOLDER)


def test_a_row_says_what_is_in_the_header(root, tmp_path):
    shutil.copy(root / observed.FOLDER / f"{NAME}.ecsv", tmp_path)
    rows = [line for line in reference.markdown(tmp_path).splitlines() if NAME in line]
    assert rows == [
        f"| `{NAME}` | [Parsa et al. (2016), table 2](https://doi.org/10.1093/mnras/stv2857)* | points: 45 | "
        "1.9 to 3.8 | -22.5 to -14.5 | - | 70, 0.3* | 1500 A. |"
    ]
