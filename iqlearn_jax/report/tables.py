"""Tables of runs and of experiments' results, as rows, Markdown and HTML."""

import html
from collections.abc import Mapping, Sequence

import numpy as np

from iqlearn_jax.report.read import Run
from iqlearn_jax.statistics import MIN_SEEDS_FOR_INTERVAL, iqm, iqm_and_ci, known, normalize

Row = Mapping[str, str]


def score(run: Run) -> tuple[float | None, Sequence[float] | None]:
    """Normalised interquartile mean of a run's final returns and its 95 % interval, from the returns.

    None for both where the expert's or the random policy's return is unknown, as in plain RL.
    """
    expert, random = run.summary.get("expert_return"), run.summary.get("random_return")
    if expert is None or random is None:
        return None, None
    return iqm_and_ci(normalize(run.summary["returns"], expert, random))


def summary_rows(runs: Sequence[Run]) -> list[Row]:
    """One row a run: what it learned from, reached and cost; columns without any value are left out."""
    rows = [_summary_row(run) for run in runs]
    filled = [key for key in (rows[0] if rows else ()) if any(row[key] != "–" for row in rows)]
    return [{key: row[key] for key in filled} for row in rows]


def markdown(rows: Sequence[Row]) -> str:
    """A Markdown table; the keys of the first row are its head."""
    if not rows:
        return ""
    head = list(rows[0])
    lines = [head, ["---"] * len(head), *([row[key].replace("|", "\\|") for key in head] for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def html_table(rows: Sequence[Row]) -> str:
    """An HTML table; the keys of the first row are its head."""
    if not rows:
        return ""
    head = "".join(f"<th>{html.escape(key)}</th>" for key in rows[0])
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(row[key])}</td>" for key in rows[0]) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def interval_text(value: float | None, interval: Sequence[float] | None, digits: int = 2) -> str:
    """`0.98 [0.95, 1.00]`, without brackets where there is no interval."""
    if value is None:
        return "–"
    spread = "" if interval is None else f" [{interval[0]:.{digits}f}, {interval[1]:.{digits}f}]"
    return f"{value:.{digits}f}{spread}"


def demos_text(trajectories: int | None, subsample: int | None, transitions: int | None = None) -> str:
    """`1 demonstration (500 transitions)`, `10 demonstrations, every 20th step (250 transitions)`.

    Without demonstrations a dash; in folders of early versions 0 trajectories of some transitions are all.
    """
    if trajectories is None or (trajectories == 0 and transitions == 0):
        return "–"
    text = f"{trajectories or 'all'} demonstration{'' if trajectories == 1 else 's'}"
    if subsample and subsample > 1:
        text += f", every {_ordinal(subsample)} step"
    return text if transitions is None else f"{text} ({transitions:,} transitions)"


def learned_from(run: Run) -> str:
    """The demonstrations of a run, in words."""
    return demos_text(
        *(run.summary.get(f"demo_{key}") for key in ("trajectories", "subsample", "transitions"))
    )


def _summary_row(run: Run) -> Row:
    summary = run.summary
    return {
        "method": run.label,
        **_scores(summary["returns"], *score(run)),  # what a phone shows first
        "setting": summary.get("setting", "–"),
        "learned from": learned_from(run),
        "likeness": interval_text(_median(summary.get("likeness")), None),
        "updates": _count(summary.get("updates")),
        "env steps": _count(summary.get("env_steps")),
        "seconds": _count(summary.get("wall_seconds")),
    }


def _median(values: Sequence[float] | None) -> float | None:
    return None if values is None or not known(values).size else float(np.median(known(values)))


def _scores(returns: Sequence[float], value: float | None, interval: Sequence[float] | None) -> Row:
    number, returns = len(returns), known(returns).tolist()
    if not returns:
        spread = "not known"
    elif len(returns) < MIN_SEEDS_FOR_INTERVAL:
        spread = ", ".join(f"{each:,.4g}" for each in returns)
    else:
        spread = f"{iqm(returns):,.4g} ({min(returns):,.4g} to {max(returns):,.4g})"
    return {
        "normalised IQM [95 % CI]": interval_text(value, interval),
        "return: IQM (range)": spread,
        "seeds": str(number),
    }


def _count(value: float | None) -> str:
    return f"{value:,.0f}" if value else "–"


def _ordinal(number: int) -> str:
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
