"""Table 3's page has a line for each row that may be run, and its configurations exist."""

from experiments.tables import table3
from iqlearn_jax.config.files import load_config


def test_every_row_has_a_line_and_a_configuration(monkeypatch):
    monkeypatch.chdir(table3.__file__.split("/experiments/")[0])
    rows = []
    for name, row in table3.ROWS.items():
        subsample = row.changes.get("demos.subsample", 1)
        rows.append(
            {"name": name, "label": "a label", "subsample": subsample, "seeds": [1, 2], "settings": {},
             "normalized": [0.5, 0.5], "normalized_iqm": 0.5, "ci95": None}
        )  # fmt: skip
        assert load_config(row.config).method == name.rsplit("_", 1)[1]
    page = table3.markdown(rows)
    offline, online = (table.splitlines()[2:] for table in page.split("\n\n"))
    assert len(online) == len(table3.ONLINE)
    cells = [line.split(" | ")[2:] for line in offline]
    filled = sum(cell.startswith("0.500 (") for line in cells for cell in line)
    assert filled == len(table3.ROWS) - len(table3.ONLINE)
    assert len(offline) + len(online) <= 25  # one screen
