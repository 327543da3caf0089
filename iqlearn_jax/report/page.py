"""The report page: one self-contained HTML file about one or more runs, made from their files alone."""

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from iqlearn_jax.disk import written_whole
from iqlearn_jax.doctor.findings import sentence
from iqlearn_jax.report.plots import FEW, diagnostics, learning_curves, returns_per_seed
from iqlearn_jax.report.read import Run, read_runs, settings_text
from iqlearn_jax.report.reward_plots import gridworld_maps, recovered_reward
from iqlearn_jax.report.sweep_plots import heat_maps
from iqlearn_jax.report.tables import html_table, interval_text, learned_from, score, summary_rows
from iqlearn_jax.statistics import MIN_SEEDS_FOR_INTERVAL, iqm, known, probability_of_improvement

READING = (
    "Normalised: 0 is a uniform policy, 1 the mean of the demonstrations; not clipped. IQM: interquartile "
    f"mean over seeds; interval: 95 % bootstrap over seeds, none below {MIN_SEEDS_FOR_INTERVAL}. Final "
    "policies, never the best checkpoint. Likeness (median over seeds): of the final policies' episodes to "
    "the demonstrations, without any reward; 0 as far as a uniform policy's, 1 no distance at all."
)


MOST_DRAWN = 8  # points of a sweep in one plot; the table has all


class Picture(NamedTuple):
    """A figure of the page; `wide` ones take the whole width and scroll on a phone."""

    name: str
    png: bytes | None
    caption: str
    wide: bool = False

    @property
    def data(self) -> str:
        """The PNG in base64."""
        return base64.b64encode(self.png or b"").decode("ascii")

    @property
    def alt(self) -> str:
        """What the picture shows, for readers who do not see it."""
        return self.caption


def write_report(workdirs: Sequence[Path], out: Path) -> Path:
    """Writes `out/report.html` and `out/figures/*.png` about the runs in `workdirs`.

    Args:
      workdirs: folders that `iqlearn train` wrote; runs of the same environment are compared.
      out: folder to write to, made when it does not exist.
    Returns:
      the page's path.
    Raises:
      InputError: a folder holds no summary.json, or a file in it cannot be read.
    """
    runs = read_runs(workdirs)
    tasks = _by_task(runs)
    shared = {task: _task_pictures(task, group) for task, group in tasks.items()}
    shown = {run.label for run in (_best_first(runs)[:MOST_DRAWN] if _is_sweep(runs) else runs)}
    of_each = [_run_pictures(run, alone=len(runs) == 1) if run.label in shown else [] for run in runs]
    for picture in chain(*shared.values(), *of_each):
        _write(out / "figures" / f"{picture.name}.png", picture.png or b"")
    views = [_run_view(run, pictures) for run, pictures in zip(runs, of_each, strict=True)]
    page = _template().render(
        title=_title(tasks),
        tasks=[_task_view(task, group, shared[task], views) for task, group in tasks.items()],
        runs=views,
    )
    _write(out / "report.html", page.encode("utf-8"))
    return out / "report.html"


def headline(task: str, runs: Sequence[Run]) -> str:
    """The result in a sentence: each method's normalised interquartile mean, interval and seeds.

    Of many points of a sweep it names the best, and that it was chosen.
    """
    parts = []
    many = len(runs) > (FEW if _is_sweep(runs) else MOST_DRAWN)
    for run in [max(runs, key=_order)] if many else runs:
        value, interval = score(run)
        seeds = len(run.summary["seeds"])
        over = f"over {seeds} seeds" if seeds > 1 else "on one seed"
        parts.append(f"{run.label}: normalised IQM {interval_text(value, interval)} {over}")
    demos = learned_from(runs[0])
    given = "" if demos == "–" else f" from {demos}"
    chosen = f" The best of {len(runs)} points, chosen on these seeds." if many else ""
    return f"{task}{given}. {'; '.join(parts)}.{chosen}"


def _title(tasks: Mapping[str, Sequence[Run]]) -> str:
    labels = dict.fromkeys(run.label for group in tasks.values() for run in group)
    return f"{' and '.join(labels)} on {' and '.join(tasks)}" if len(labels) < 4 else " and ".join(tasks)


def _by_task(runs: Sequence[Run]) -> dict[str, list[Run]]:
    names = dict.fromkeys(run.summary["env"] for run in runs)
    return {name: [run for run in runs if run.summary["env"] == name] for name in names}


def _task_pictures(task: str, runs: Sequence[Run]) -> list[Picture]:
    curve = "Thin: each seed. Thick: interquartile mean. Band: 95 % bootstrap interval, from 5 seeds on."
    dots = "Each mark is one seed's final policy; the bar is the interquartile mean."
    heat = "Normalised IQM of the final policies; where other settings vary too, their mean and the best."
    best = _by_settings(_best_first(runs)[:MOST_DRAWN] if len(runs) > MOST_DRAWN else runs)
    only = f" The best {MOST_DRAWN} of {len(runs)} points." if len(runs) > MOST_DRAWN else ""
    grid = [(run.settings, value) for run in runs if np.isfinite(value := _order(run))]
    return _present(
        Picture(f"heat_{_slug(task)}", heat_maps(grid), heat, wide=True),
        Picture(f"curves_{_slug(task)}", learning_curves(best), curve + only, wide=len(best) > FEW),
        Picture(f"returns_{_slug(task)}", returns_per_seed(best), dots + only, wide=len(best) > FEW),
    )


def _order(run: Run) -> float:
    """What the points of a sweep are ordered by: normalised IQM, or the return's where there is none."""
    value, _ = score(run)
    returns = known(run.summary["returns"])
    if value is None:
        return float(iqm(returns)) if returns.size else float("-inf")
    return value


def _run_pictures(run: Run, alone: bool) -> list[Picture]:
    suffix = "" if alone else f"_{_slug(run.summary['env'])}_{_slug(run.label)}"
    reward = (
        "The reward recovered from the demonstrations beside the environment's own, which training never "
        "saw. A reward is identified only up to shaping, so compare order and shape, not units."
    )
    grid = "Each panel has its own scale; grey cells are walls. The exact optimum has no sampling error."
    curves = "Thin: each seed. Thick: interquartile mean. Band: 95 % bootstrap interval, from 5 seeds on."
    return _present(
        Picture(f"rewards{suffix}", recovered_reward(run.rewards), reward, wide=True),
        Picture(f"maps{suffix}", gridworld_maps(run.maps), grid, wide=True),
        Picture(f"diagnostics{suffix}", diagnostics(run), curves, wide=True),
    )


def _present(*pictures: Picture) -> list[Picture]:
    return [picture for picture in pictures if picture.png is not None]


def _task_view(task: str, runs: Sequence[Run], pictures: Sequence[Picture], views: Sequence[dict]) -> dict:
    return {
        "name": task,
        "headline": headline(task, runs),
        "warnings": list(_warnings(runs)),
        "table": html_table(summary_rows(_best_first(runs) if _is_sweep(runs) else runs)),
        "reading": " ".join([READING, *([] if _is_sweep(runs) else _comparisons(runs))]),
        "figures": pictures,
        "runs": [view for view in views if view["task"] == task],
    }


def _best_first(runs: Sequence[Run]) -> list[Run]:
    return sorted(runs, key=_order, reverse=True)


def _by_settings(runs: Sequence[Run]) -> list[Run]:
    """The points of one sweep under what sets them apart alone; other runs as they are."""
    same = len({run.summary["method"] for run in runs}) == 1 and all(run.settings for run in runs)
    return [run._replace(label=settings_text(run.settings)) if same else run for run in runs]


def _is_sweep(runs: Sequence[Run]) -> bool:
    return any(run.settings for run in runs)


def _warnings(runs: Sequence[Run]) -> Iterator[str]:
    for run in runs:
        seeds, updates = len(run.summary["seeds"]), run.summary.get("updates", "?")
        if run.summary.get("status") == "stopped":
            yield f"{run.label} was stopped after {updates} updates: not a final result."
        if seeds < MIN_SEEDS_FOR_INTERVAL:
            yield f"{run.label} ran on {seeds} of the {MIN_SEEDS_FOR_INTERVAL} seeds that an interval needs."
        for finding in run.findings:
            yield f"{run.label}: {sentence(finding, seeds)}"
        for entry in run.summary.get("failed", ()):
            names = entry["not_finite"]
            after = "unknown" if names == ["eval/return"] else "that of the policy before"
            yield (
                f"{run.label}, seed {entry['seed']}: {', '.join(names)} not finite at update "
                f"{entry['update']:,}; its return is {after}."
            )


def _comparisons(runs: Sequence[Run]) -> Iterator[str]:
    """How likely a run of the first method returns more than one of each other method."""
    first = runs[0]
    for other in runs[1:]:
        both = known(first.summary["returns"]), known(other.summary["returns"])
        if not (both[0].size and both[1].size):
            continue
        chance = probability_of_improvement(*both)
        yield f"A run of {first.label} returns more than one of {other.label} with probability {chance:.2f}."


def _run_view(run: Run, pictures: Sequence[Picture]) -> dict[str, Any]:
    return {
        "label": run.label,
        "task": run.summary["env"],
        "figures": pictures,
        "films": [base64.b64encode(path.read_bytes()).decode() for path in sorted(run.folder.glob("*.gif"))],
        "provenance": [("folder", str(run.folder)), *_flat(run.provenance)],
        "config": json.dumps(run.config, indent=2, ensure_ascii=False) if run.config else "",
    }


def _flat(content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Nested mappings and lists on one line each, in words."""
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield key, ", ".join(f"{name} {inner}" for name, inner in value.items())
        elif isinstance(value, list | tuple):
            yield key, " ".join(map(str, value))
        else:
            yield key, str(value)


def _template():
    loader = PackageLoader("iqlearn_jax.report", "")
    env = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return env.get_template("page.html.jinja")


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "_", name).strip("_").lower() or "run"


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all: a reader never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as temporary:
        temporary.write_bytes(content)
