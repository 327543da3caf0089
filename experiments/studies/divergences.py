"""Every divergence on the same data: offline with discrete actions, online with continuous ones.

    python -m experiments.studies.divergences [--list] [--only=NAME,...]

What the reverse KL's two forms do with batches is in experiments/studies/unbiased.py.
"""

from functools import partial
from typing import Any

from experiments.lib.demonstrations import SHARED
from experiments.lib.markdown import NOT_RUN, markdown_table, score
from experiments.lib.table import Row, Table, main
from experiments.tables.tuning import searched
from iqlearn_jax.ops.iq.divergences import DIVERGENCES

FIRST_SEED = 8000
NAMES = tuple(DIVERGENCES)
DEMOS = {"cartpole": 3, "acrobot": 1}
PENDULUM = "inverted_double_pendulum"


def changes(name: str) -> dict[str, Any]:
    """What a divergence asks for; W1 is a constraint, here the paper's penalty."""
    return {"divergence": name} | ({"gradient_penalty": 10.0} if name == "w1" else {})


def offline_rows() -> dict[str, Row]:
    """Thinned-out demonstrations, on which methods differ; rates and temperature are those found for χ²."""
    return {
        f"{task}_{name}": Row(
            f"table1:{task}_sparse_iq", SHARED[task],
            changes(name) | {"demos.trajectories": demos, "first_seed": FIRST_SEED}, label=name,
            prepare=partial(searched, f"{task}_sparse_iq"), hours=0.01,
        )
        for task, demos in DEMOS.items()
        for name in NAMES
    }  # fmt: skip


def online_rows() -> dict[str, Row]:
    """The double pendulum: φ over the expert's rows alone, and with χ²'s square over both kinds of rows.

    For χ² itself the second is the preset, whose ends lie at its bounds.
    """
    ends = {"terminal": "absorbing", "clip_targets": False}
    settings: dict[str, dict[str, Any]] = {
        f"{name}{suffix}": ends | changes(name) | {"regularize": over}
        for suffix, over in (("", "expert"), ("_both", "both"))
        for name in NAMES
    }
    settings["chi2_both"] = {}
    return {
        f"{PENDULUM}_{name}": Row(
            f"brax:{PENDULUM}", changes=setting | {"first_seed": FIRST_SEED}, label=name, hours=0.2
        )
        for name, setting in settings.items()
    }


ROWS = offline_rows() | online_rows()
PREFACE = """# Divergences

Interquartile means [95 % bootstrap] of final policies, 10 deterministic episodes each, seeds from 8000 on (10
offline, 5 online); 0 is the uniform policy, 1 the expert; nothing is clipped. Offline: CartPole from three
demonstrations, every 20th step, Acrobot from one, every 5th, no target network; rates and temperature were
found for χ² ([tuning.md](tuning.md)) and are the same for all: the table says how far one may swap
divergences, not how good each could be. With a target network both KL are much higher on CartPole
([why](../research/02-why-offline-values-sank.md)). χ² and its
monotone form differ above r = 2α alone, which no reward reaches offline: there both are one run. Online:
inverted_double_pendulum (brax), 60,000 steps, a learned absorbing state; "alone": φ holds the expert's
rewards and nothing the learner's; "with χ² over both": r²/4α over the rows of both beside φ, as the authors
do online (for χ² in the place of φ: the preset, ends at its bounds). The reverse KL's two forms over batch
sizes: [unbiased.md](unbiased.md).

"""


def markdown(results: list[dict[str, Any]]) -> str:
    """Divergences by tasks."""
    done = {row["name"]: row for row in results}

    def cell(name: str) -> str:
        return f"{score(done[name])}, worst {min(done[name]['normalized']):.2f}" if name in done else NOT_RUN

    columns = {f"{task}, offline": f"{task}_{{}}" for task in DEMOS}
    columns |= {f"{PENDULUM}, alone": f"{PENDULUM}_{{}}", "with χ² over both": f"{PENDULUM}_{{}}_both"}
    lines = [(name, *(cell(column.format(name)) for column in columns.values())) for name in NAMES]
    return markdown_table(("divergence", *columns), lines)


TABLE = Table("studies.divergences", ROWS, PREFACE, markdown)

if __name__ == "__main__":
    main(TABLE, __doc__)
