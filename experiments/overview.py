"""docs/results.md: what was found, one line a claim, from the files of docs/results alone.

Written by `python -m experiments.reproduce --write`.
"""

import json
from collections.abc import Callable
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from experiments.lib.comparison import VERDICTS
from experiments.lib.markdown import markdown_table, score, seeds
from experiments.lib.table import RESULTS

PAGE = Path("docs/results.md")
Read = Callable[[str], dict[str, Any]]  # name of a result file -> its content


class Claim(NamedTuple):
    """One line.

    Attributes:
      words: the claim.
      rows: what bears it out, as FILE/ROW or FILE/ROW=NAME to call it otherwise; of several rows that a *
        stands for, the best that is not IQ-Learn's.
      facts: instead of rows: (the file's content) -> the number in words.
      source: the file of `facts`.
      seeds: of `facts`, in words.
      shows: a picture in docs/images, else the page.
    """

    words: str
    rows: tuple[str, ...] = ()
    facts: Callable[[dict[str, Any]], str] | None = None
    source: str = ""
    seeds: str = "–"
    shows: str = ""


def verdict_counts(content: dict[str, Any], key: str = "comparisons") -> str:
    """How often IQ-Learn is what in comparison."""
    words = [pair["verdict"] for pair in content[key]]
    counted = [f"{words.count(word)} {word}" for word in VERDICTS if word != "none"]
    return f"of {len(words) - words.count('none')}: {', '.join(counted)}"


def reward_shares(name: str, *shown: str) -> Callable[[dict[str, Any]], str]:
    """What policies trained on that task's recovered and true reward are worth; `shown` of their kinds."""
    from experiments.studies.reward_pages import number, share

    def text(content: dict[str, Any]) -> str:
        row = next(row for row in content["rows"] if row["name"] == name)
        kinds = {
            "recovered": "recovered reward",
            "true": "true reward",
            "recovered_changed": "recovered, changed dynamics",
        }
        shares = {words: share(row, kind) for kind, words in kinds.items() if kind in shown}
        return "; ".join(f"{words} {number(value)}" for words, value in shares.items())

    return text


def gradient_bias(content: dict[str, Any]) -> str:
    """At 16 rows."""
    at = {row["method"]: row["gradient_bias"] for row in content["rows"] if row["batch"] == 16}
    return f"IQ-Learn {at['iq']:.3f}; ValueDICE {at['value_dice']:.3f} of the gradient's length"


def optimum(content: dict[str, Any]) -> str:
    """IQ-Learn's distance to its exact optimum on stochastic processes."""
    value, (low, high) = next(row for row in content["rows"] if row["method"] == "iq")["stochastic"][-1]
    return f"{value:.3f} [{low:.3f}, {high:.3f}] total variation"


def pooled(content: dict[str, Any]) -> str:
    """The likeness's rank correlation with the return: runs made to differ, then all others within tasks."""
    made, others = content["rows"][-1]["runs"], content["others"][-1]
    within = f"{others['ρ']} within the tasks of {others['runs']:,} others"
    return f"ρ = {made:.2f} over 70 runs made to differ, {within}"


def gaps(content: dict[str, Any]) -> str:
    """Of the gridworld's recovered rewards to the true one."""
    exact, *learned = (row["gap_everywhere"] for row in content["rows"])
    return f"exact occupancy {exact:.3f}; 30 demonstrations {min(learned):.2f} to {max(learned):.2f}"


DOUBLE = "inverted_double_pendulum"
CLAIMS = (
    Claim(
        "25 transitions of CartPole and 20,000 steps of its own: IQ-Learn is at the expert, as are others; "
        "cloning is not",
        ("table1/cartpole_online_iq", "table1/cartpole_sparse_bc_1", "table1/cartpole_online_*"),
        shows="core_curves.png",
    ),
    Claim(
        "Acrobot in the same way: the best methods are equal",
        ("table1/acrobot_online_iq", "table1/acrobot_sparse_bc_1", "table1/acrobot_online_*"),
    ),
    Claim(
        "Double pendulum, one demonstration: online at the expert, as are others, and cloning without a step",
        (f"table1/{DOUBLE}_online_iq", f"core/{DOUBLE}_bc", f"table1/{DOUBLE}_online_*"),
    ),
    Claim(
        "Hopper online, one whole demonstration, 300,000 steps: between 0.83 and 1.00 in four runs of two "
        "seeds, as what was learned is lost again in some; DAC, without layer norm, likewise",
        (
            "control/hopper_last_actor=IQ-Learn, last actor", "control/hopper=mean of actors",
            "control/hopper_again=other seeds", "control/hopper_rerun=these with later code",
            "table1/hopper_online_dac", "table3/hopper_whole_bc",
        ),
        shows="control_curves.png",
    ),
    Claim(
        "Hopper, offline, one whole demonstration: IQ-Learn and cloning are equal",
        ("table3/hopper_whole_iq", "table3/hopper_whole_bc"),
    ),
    Claim(
        "Humanoid, one whole demonstration: both fail offline, and IQ-Learn with 65,000 steps, too",
        (
            "table3/humanoid_whole_iq", "table3/humanoid_whole_bc",
            "table3/humanoid_anchored_iq=IQ-Learn online, anchor",
        ),
    ),
    Claim(
        "Walker2d, one whole demonstration: with 65,000 steps and an anchor IQ-Learn and DAC are near the "
        "expert; DAC and PWIL without one and offline IQ-Learn and cloning are not",
        (
            "table3/walker2d_anchored_iq=IQ-Learn, anchor", "table3/walker2d_anchored_dac=DAC, anchor",
            "table3/walker2d_plain_dac", "table3/walker2d_online_pwil",
            "table3/walker2d_whole_iq=IQ-Learn offline", "table3/walker2d_whole_bc",
        ), shows="table3_curves.png",
    ),
    Claim(
        "Hopper, every 20th step (50 rows): with 65,000 steps and an anchor IQ-Learn and DAC are near the "
        "expert; offline IQ-Learn and cloning fail",
        (
            "table3/hopper_few_iq=IQ-Learn, anchor", "table3/hopper_few_dac=DAC, anchor",
            "table3/hopper_every_20th_iq=IQ-Learn offline", "table3/hopper_every_20th_bc",
        ), shows="table3_curves.png",
    ),
    Claim(
        "HalfCheetah and Ant in the same way: IQ-Learn and DAC are at HalfCheetah's expert; on Ant IQ-Learn "
        "comes to 0.80 of it and DAC fails; cloning fails on both",
        (
            "table3/halfcheetah_few_iq=IQ-Learn, anchor", "table3/halfcheetah_few_dac=DAC, anchor",
            "table3/halfcheetah_every_20th_bc", "table3/ant_few_iq=Ant: IQ-Learn, anchor",
            "table3/ant_few_dac=DAC, anchor", "table3/ant_every_20th_bc",
        ), shows="table3_curves.png",
    ),
    Claim(
        "Offline and online, all methods on the same data: where IQ-Learn is worse, open, better, equal",
        facts=verdict_counts, source="table1", seeds="from 8000 on", shows="table1_scores.png",
    ),
    Claim(
        "Offline, CartPole and Acrobot, 1 and 10 demonstrations of experts trained here: IQ-Learn is better "
        "than cloning or AVRIL nowhere",
        facts=partial(verdict_counts, key="comparisons_made_here"), source="figure2", seeds="8000–8019",
    ),
    Claim(
        "CartPole offline, 25 transitions: both fail; AVRIL, which sees twice the actions, is higher, their "
        "intervals overlap",
        ("figure2/cartpole_sparse_iq_1", "figure2/cartpole_sparse_bc_1", "figure2/cartpole_sparse_avril_1"),
        shows="figure2_scores.png",
    ),
    Claim(
        "The same with the expert's next action: cloning is higher, their intervals overlap",
        ("figure2/cartpole_sparse_iq_next_1", "figure2/cartpole_sparse_bc_next_1"),
    ),
    Claim(
        "20,000 steps of random play beside the 25 transitions help, offline",
        ("other_data/with_data", "other_data/same_settings", "other_data/bc"), shows="other_data_curves.png",
    ),
    Claim(
        "Breakout (MinAtar, pixels) from 20 episodes: above cloning; from one episode they are equal, as "
        "what was shown is followed to the step and the other start is lost",
        (
            "images/breakout_all=20 episodes, IQ-Learn", "images/breakout_bc_all",
            "images/breakout=one, IQ-Learn", "images/breakout_bc",
        ),
        shows="images_curves.png",
    ),
    Claim(
        "From observations alone: CartPole at the expert; the gridworld half of it, with actions nearly all",
        (
            "control/cartpole_states=CartPole", "control/gridworld_states=gridworld",
            "core/gridworld=gridworld, with actions",
        ), shows="gridworld_states.png",
    ),
    Claim(
        "χ² must hold the learner's samples too: over the expert's alone continuous IQ-Learn fails",
        ("stability/preset", "stability/chi2_over_expert", "stability/no_target"),
        shows="stability_curves.png",
    ),
    Claim(
        "Of φ over the expert's rows alone only total variation learns online",
        (f"divergences/{DOUBLE}_tv", f"divergences/{DOUBLE}_chi2", f"divergences/{DOUBLE}_chi2_both"),
    ),
    Claim("The authors' settings on Hopper, 100,000 updates: far from the expert", ("control/hopper_paper",)),
    Claim(
        "LunarLander's recovered reward trains policies, also with other gravity",
        facts=reward_shares("lunarlander", "recovered", "true", "recovered_changed"), source="rewards",
        seeds="6000, 6001", shows="rewards_lunarlander.png",
    ),
    Claim(
        "On Hopper's recovered reward no policy learns to walk in 305,000 steps, on its true reward neither",
        facts=reward_shares("hopper_rerun", "recovered", "true"), source="rewards", seeds="6000, 6001",
        shows="rewards_hopper_rerun.png",
    ),
    Claim(
        "The objective holds the reward up to shaping, 30 demonstrations do not give it (distance)",
        facts=gaps, source="gridworld", seeds="6000–6004", shows="gridworld.png",
    ),
    Claim(
        "Converges to its objective's optimum on random processes",
        facts=optimum, source="properties", seeds="100 processes", shows="properties_distance.png",
    ),
    Claim(
        "From batches of 16 its gradient is unbiased, ValueDICE's is not",
        facts=gradient_bias, source="unbiased", seeds="10 processes",
        shows="unbiased.png",
    ),
    Claim(
        "The likeness, which reads no reward, ranks runs as returns do",
        facts=pooled, source="doctor", seeds="6000–6004",
    ),
)  # fmt: skip
ABOUT = """# Results

Scores are interquartile means over seeds [95 % bootstrap] of final policies: 0 is the uniform policy, 1 the
expert, nothing is clipped. Below five seeds (the lowest … the highest seed). Failures are here as well.
A page has a table and says what was done; the JSON file beside it has every run. `python -m
experiments.reproduce --list` names what there is. Online, 1,000 to 5,000 random steps come before those that
a claim counts. With an anchor IQ-Learn has a split critic, too: [terms](concepts/terms.md).

**What you need to run them.** CartPole's, Acrobot's, LunarLander's, MuJoCo's and Pong's rows learn from files
that are not in this repository (`--shared=FOLDER`): rollouts of experts of DLR-RM/rl-trained-agents
(`*_zoo-*`), of berkeleydeeprlcourse/homework_fall2023 (`*_cs285_*`), both MIT, and of greydanus/baby-a3c
(Pong, Apache-2.0). The settings of a row, in its JSON file, name it. The others need nothing.

"""
HEAD = ("claim", "number [95 %]", "seeds", "made by `python -m experiments.…`", "picture or page")


def load(name: str) -> dict[str, Any]:
    """A result file."""
    return json.loads((RESULTS / f"{name}.json").read_text())


def found(pattern: str, read: Read) -> dict[str, Any]:
    """The row of that name; of those that a * stands for, the best that is not IQ-Learn's."""
    pattern, _, own_name = pattern.partition("=")
    file, _, name = pattern.partition("/")
    rows = [row for row in read(file)["rows"] if fnmatch(row["name"], name)]
    others = [row for row in rows if row["method"] != "iq"] if "*" in name else rows
    best = max(others, key=lambda row: (row["normalized_iqm"], fmean(row["normalized"])))
    return best | {"label": own_name or best["label"]}


def line(claim: Claim, read: Read) -> tuple:
    """The claim with its numbers, seeds, commands and where to read on."""
    if claim.facts:
        page, numbers, numbered = claim.source, claim.facts(read(claim.source)), claim.seeds
        commands = _module(claim.source)
    else:
        rows = [found(pattern, read) for pattern in claim.rows]
        page = claim.rows[0].partition("/")[0]
        best = ["best other, " if "*" in pattern else "" for pattern in claim.rows]
        parts = [f"{b}{row['label']} {score(row)}" for b, row in zip(best, rows, strict=True)]
        own_seeds = [seeds(row) for row in rows]
        numbers, numbered = "; ".join(parts), "; ".join(own_seeds if len({*own_seeds}) > 1 else own_seeds[:1])
        commands = "`, `".join(_commands(rows))
    shown = f"[{page}](results/{page}.md)"
    picture = f"[picture](images/{claim.shows}), {shown}" if claim.shows else shown
    return claim.words, numbers, numbered, f"`{commands}`", picture


def _commands(rows: list[dict[str, Any]]) -> list[str]:
    """What makes the rows, one for each experiment."""
    names: dict[str, list[str]] = {}
    for row in rows:
        module, _, name = row["command"].removeprefix("python -m experiments.").partition(" --only=")
        names.setdefault(module, []).append(name)
    return [f"{module} --only={','.join(own)}" for module, own in names.items()]


def _module(name: str) -> str:
    from experiments.reproduce import EXPERIMENTS

    return next(e.module for e in EXPERIMENTS.values() if e.module.endswith(f".{name}"))


def write() -> None:
    """The page."""
    lines = [line(claim, load) for claim in CLAIMS]
    PAGE.write_text(ABOUT + markdown_table(HEAD, lines))
