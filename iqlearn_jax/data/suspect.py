"""What is probably wrong with demonstrations although nothing forbids it: warned of, never refused.

A further rule is one more function in `RULES`: it reads valid arrays and says in one line what it saw, what
that usually means and what to do, or None.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from absl import logging

from iqlearn_jax.data.origin import find_origin
from iqlearn_jax.types import EnvSpec

Arrays = Mapping[str, Any]

CONVERT = "'iqlearn demos convert"
MOST_ROWS = 1024  # ends that a rule compares at most; those beyond are like those before
MANY_ENDS = 5  # so many at the longest length are no chance, even if other episodes are shorter
LEAST_LOST = 0.1  # share of a column's changes that float32 may lose before it is worth a word
COLUMNS_NAMED = 5


class Ends(NamedTuple):
    """Where episodes end: index of the last step, number of steps, and the two flags there. All [E]."""

    last: np.ndarray
    lengths: np.ndarray
    terminal: np.ndarray
    truncated: np.ndarray


Rule = Callable[[Arrays, Ends, EnvSpec | None], str | None]


def suspicions(arrays: Arrays, spec: EnvSpec | None = None) -> list[str]:
    """What is suspicious in valid demonstrations, a line of text each.

    Args:
      arrays: the fields of the format, [N, ...]; actions and rewards may be absent or None.
      spec: environment, for the rules that need its time limit or its box of actions.
    """
    last = np.flatnonzero(arrays["terminals"] | arrays["truncations"])
    lengths = np.diff(last, prepend=-1)
    ends = Ends(last, lengths, arrays["terminals"][last], arrays["truncations"][last])
    return [text for rule in RULES if (text := rule(arrays, ends, spec))]


def warn(source: str | os.PathLike, lines: Iterable[str]) -> None:
    """Warns of each line, named after the file."""
    for line in lines:
        logging.warning("%s: %s", os.fspath(source), line)


def next_start(arrays: Arrays, ends: Ends, spec: EnvSpec | None) -> str | None:
    """Successors at ends that are the next episode's first observation; tabular states may well agree."""
    inner = ends.last[:-1][:MOST_ROWS]
    if arrays["observations"].ndim < 2 or not len(inner):
        return None
    same = _equal_rows(arrays["next_observations"][inner], arrays["observations"][inner + 1])
    if 2 * same.sum() <= len(inner):
        return None
    steps = len(arrays["observations"])
    if 2 * len(ends.last) > steps:
        return (
            f"{len(ends.last)} of {steps} steps end an episode, yet the next one goes on there: the flags "
            "look like masks (1 - done); store done itself"
        )
    text = f"at {same.sum()} of {len(inner)} inner ends next_observations is the next episode's first one"
    remedy = (
        "unless nothing was reset there, store the true successor (of vector environments "
        "info['final_obs']), and no row that only resets"
    )
    cut = (ends.truncated & ~ends.terminal)[:-1][:MOST_ROWS]
    option = f", or cut such steps off with {CONVERT} --drop-last'" if (same & cut).any() else ""
    return f"{text}; {remedy}{option}"


def own_successor(arrays: Arrays, ends: Ends, spec: EnvSpec | None) -> str | None:
    """Successors at truncated ends that are the last observation again, or zeros, unless all stands still."""
    obs, following = arrays["observations"], arrays["next_observations"]
    cut = np.flatnonzero(ends.truncated & ~ends.terminal)[:MOST_ROWS]
    if obs.ndim < 2 or not len(cut):
        return None
    last = ends.last[cut]
    before = np.where(ends.lengths[cut] > 1, last - 1, last)
    still = (before < last) & _equal_rows(obs[before], obs[last])
    repeated = _equal_rows(following[last], obs[last]) & ~still
    zero = ~_any_in_rows(following[last]) & _any_in_rows(obs[last])
    for bad, what in ((repeated, "the last observation again"), (zero, "all zeros")):
        if 2 * bad.sum() > len(cut):
            return (
                f"at {bad.sum()} of {len(cut)} truncated ends next_observations is {what}, as where the true "
                f"successor is missing; store it, or cut such steps off with {CONVERT} --drop-last'"
            )
    return None


def both_flags(arrays: Arrays, ends: Ends, spec: EnvSpec | None) -> str | None:
    """Time-outs that are all marked as terminals too, as stable-baselines3's `dones` do."""
    count = int(ends.truncated.sum())
    if not count or not ends.terminal[ends.truncated].all():
        return None
    return (
        f"each of the {count} truncations is a terminal as well and counts as one; if the clock ended them "
        f"(stable-baselines3 marks them so), take {CONVERT} --timeouts-win'"
    )


def clock_as_terminal(arrays: Arrays, ends: Ends, spec: EnvSpec | None) -> str | None:
    """Time limits recorded as ends of the task: at the environment's own limit, or all at one length."""
    alone = ends.terminal & ~ends.truncated
    limit = int(ends.lengths.max())
    at_limit = int((alone & (ends.lengths == limit)).sum())
    common = alone.all() and at_limit == len(alone) >= 2
    frequent = at_limit >= max(MANY_ENDS, len(alone) / 2)
    place = "the longest that there is"
    if spec is not None and (alone & (ends.lengths == spec.max_episode_steps)).any():
        limit, place = spec.max_episode_steps, f"the time limit of {spec.id}"
        at_limit = int((alone & (ends.lengths == limit)).sum())
    elif limit == 1 or not (common or frequent):
        return None
    return (
        f"{at_limit} of {len(alone)} episodes are terminated after exactly {limit} steps, {place}; if that "
        f"was the clock, take {CONVERT} --max-episode-steps {limit}'"
    )


def no_rewards(arrays: Arrays, ends: Ends, spec: EnvSpec | None) -> str | None:
    """Zeros in place of rewards that nobody knows."""
    if arrays.get("rewards") is None or arrays["rewards"].any():
        return None
    return "rewards are 0 at every step, so they are taken as not known; leave them out"


def unit_actions(arrays: Arrays, ends: Ends, spec: EnvSpec | None) -> str | None:
    """Actions that span ±1 exactly where the box is another one."""
    actions = arrays.get("actions")
    if spec is None or spec.action_low is None or actions is None or not spans_unit(actions, spec):
        return None
    return (
        f"actions span -1..1 exactly, but {spec.id} takes {box_text(spec)}; if they were normalised, take "
        f"{CONVERT} --env {spec.id} --rescale-actions'"
    )


def negative_actions(arrays: Arrays, ends: Ends, spec: EnvSpec | None) -> str | None:
    """Discrete actions below 0, which few environments take; where one is named, it is asked instead."""
    actions = arrays.get("actions")
    if spec is not None or actions is None or actions.dtype.kind == "f" or not (actions < 0).any():
        return None
    return (
        f"{int((actions < 0).sum())} of {actions.size} discrete actions are below 0, which only spaces that "
        "start there take; number them as the environment does (--env ID checks it)"
    )


def lost_digits(arrays: Arrays, ends: Ends, spec: EnvSpec | None) -> str | None:
    """Columns in float64 that learning, in float32, will see less of, also when an origin is subtracted."""
    observations = arrays["observations"]
    if observations.dtype != np.float64 or observations.ndim != 2:
        return None
    origin = find_origin([observations])
    lines = lost_in_float32(observations if origin is None else observations - origin, "observations")
    return lines[0] if lines else None


RULES: tuple[Rule, ...] = (
    lost_digits,
    negative_actions,
    next_start,
    own_successor,
    both_flags,
    clock_as_terminal,
    no_rewards,
    unit_actions,
)


def spans_unit(actions: np.ndarray, spec: EnvSpec) -> bool:
    """Whether the entries whose bounds are not ±1 reach -1 and 1 and nothing beyond."""
    low, high = np.asarray(spec.action_low), np.asarray(spec.action_high)
    if actions.dtype.kind != "f" or actions.shape[1:] != low.shape:
        return False
    other = actions[:, (low != -1) | (high != 1)]
    return bool(other.size and other.min() == -1 and other.max() == 1)


def box_text(spec: EnvSpec) -> str:
    """`-2..2`: the widest bounds of continuous actions."""
    return f"{np.min(spec.action_low):.4g}..{np.max(spec.action_high):.4g}"


def lost_in_float32(values: np.ndarray, field: str) -> list[str]:
    """Columns of float64 vectors [N, D] whose neighbours differ, but no longer as float32.

    Changes that are within float32's precision of the column's own spread do not count.
    """
    if values.ndim != 2 or values.dtype.itemsize <= np.dtype(np.float32).itemsize:
        return []
    with np.errstate(all="ignore"):  # what is not finite is refused elsewhere
        lost = [column for column in range(values.shape[1]) if _collapses(values[:, column])]
    named = [_loss_text(values[:, column], column) for column in lost[:COLUMNS_NAMED]]
    more = f" and {len(lost) - COLUMNS_NAMED} more columns" if len(lost) > COLUMNS_NAMED else ""
    remedy = "subtract an offset (a start time, an origin) before they are stored"
    text = f"{field}: float32 cannot tell neighbours apart: {', '.join(named)}{more}; {remedy}"
    return [text] if lost else []


def _collapses(column: np.ndarray) -> bool:
    moved = np.abs(np.diff(column)) > np.finfo(np.float32).eps * column.std()
    lost = moved & (np.diff(column.astype(np.float32)) == 0)
    return bool(lost.any() and lost.sum() > LEAST_LOST * moved.sum())


def _loss_text(values: np.ndarray, column: int) -> str:
    before, after = len(np.unique(values)), len(np.unique(values.astype(np.float32)))
    return f"column {column} ({before} values become {after})"


def _equal_rows(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a == b).reshape(len(a), -1).all(axis=1)


def _any_in_rows(a: np.ndarray) -> np.ndarray:
    return np.any(a.reshape(len(a), -1), axis=1)
