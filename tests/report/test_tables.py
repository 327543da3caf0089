from iqlearn_jax.report.read import read_run
from iqlearn_jax.report.tables import (
    demos_text,
    html_table,
    interval_text,
    markdown,
    score,
    summary_rows,
)
from tests.report.synthetic import write_run


def test_summary_row(tmp_path):
    returns = (500.0, 500.0, 500.0, 261.0, 22.0, 500.0, 500.0, 500.0)
    run = read_run(write_run(tmp_path / "run", returns=returns, full=False))
    assert score(run)[0] == 1.0
    (row,) = summary_rows([run])
    assert row["method"] == "IQ-Learn"
    assert row["learned from"] == "1 demonstration (500 transitions)"
    assert row["return: IQM (range)"] == "500 (22 to 500)"
    assert row["normalised IQM [95 % CI]"].startswith("1.00 [")
    assert "env steps" not in row  # offline: none of the rows has any


def test_few_seeds_give_each_value_and_no_interval(tmp_path):
    (row,) = summary_rows([read_run(write_run(tmp_path / "run", returns=(261.0, 500.0), full=False))])
    assert row["return: IQM (range)"] == "261, 500"
    assert row["normalised IQM [95 % CI]"] == "0.75"


def test_score_is_unknown_without_an_expert(tmp_path):
    run = read_run(write_run(tmp_path / "run", full=False, expert_return=None))
    assert score(run) == (None, None)


def test_texts():
    assert demos_text(10, 20, 250) == "10 demonstrations, every 20th step (250 transitions)"
    assert demos_text(0, 1, 250) == "all demonstrations (250 transitions)"  # as folders of early versions say
    assert demos_text(0, 1, 0) == demos_text(None, None) == "–"
    assert [demos_text(1, n) for n in (1, 2, 3, 11, 21)] == [
        "1 demonstration",
        "1 demonstration, every 2nd step",
        "1 demonstration, every 3rd step",
        "1 demonstration, every 11th step",
        "1 demonstration, every 21st step",
    ]
    assert interval_text(0.984, [0.9512, 1.0]) == "0.98 [0.95, 1.00]"
    assert interval_text(0.984, [0.9512, 1.0], digits=3) == "0.984 [0.951, 1.000]"
    assert interval_text(0.984, None) == "0.98"
    assert interval_text(None, None) == "–"


def test_markdown_and_html_escape():
    rows = [{"a": "x|y", "b": "<script>"}]
    assert markdown(rows) == "| a | b |\n| --- | --- |\n| x\\|y | <script> |\n"
    assert "<td>&lt;script&gt;</td>" in html_table(rows)
    assert markdown([]) == html_table([]) == ""
