"""The table of a run's configuration as text: for `iqlearn train --help` and `iqlearn list keys`."""

import json
import math
from collections.abc import Collection, Iterator
from typing import Any

from iqlearn_jax.cli.text import pairs, terminal_width, wrapped
from iqlearn_jax.config.schema import BELOW_ONE, KEYS, TINY, Key
from iqlearn_jax.config.values import kind_of

GROUPS = {  # title: first key; they follow each other as in the table
    "the run": "method",
    "the task": "env.id",
    "observations": "normalize_obs",
    "what IQ-Learn maximises": "divergence",
    "the agent": "temperature",
    "other methods": "reward_shape",
    "acting": "online.num_envs",
    "what is written": "log_every",
}


def value_text(value: Any) -> str:
    """A value as the command line takes it: `(64,64)`, `0.01`, `True`."""
    if isinstance(value, tuple):
        return f"({','.join(map(str, value))})"
    return f"{value:g}" if isinstance(value, float) else str(value)


DEFAULT = max(len(value_text(key.default)) for key in KEYS.values())  # width of the column


def grouped(names: Collection[str] = KEYS.keys()) -> Iterator[tuple[str, list[str]]]:
    """(title, keys) of each group of the table that has any of `names`."""
    order = list(KEYS)
    starts = [order.index(first) for first in GROUPS.values()]
    tail = order[starts[-1] :]
    registered = [name for name in tail if KEYS[name].of_method]  # came with --import, at the end
    groups = {title: order[a:b] for title, a, b in zip(GROUPS, starts, starts[1:], strict=False)}
    groups["what is written"] = [name for name in tail if name not in registered]
    for title, members in (groups | {"registered methods": registered}).items():
        chosen = [name for name in members if name in names]
        if chosen:
            yield title, chosen


def short_help() -> str:
    """Every key with its default and meaning, in groups."""
    column = max(len(_assignment(name)) for name in KEYS)
    parts = []
    for title, names in grouped():
        rows = [(f"{_assignment(name):<{column}}", KEYS[name].meaning) for name in names]
        parts.append(f"{title}:\n{pairs(rows)}")
    return "\n\n".join(parts)


def full_help(names: Collection[str] = KEYS.keys()) -> str:
    """Keys with default, type, range, how they are compiled, and meaning, in groups."""
    width, column = terminal_width(), max(map(len, names))
    parts = []
    for title, members in grouped(names):
        lines = [f"{title}:"]
        for name in members:
            lines.append(pairs([(f"{name:<{column}}", facts(KEYS[name]))], width))
            lines += [" " * 6 + line for line in wrapped(KEYS[name].meaning, width - 6)]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _assignment(name: str) -> str:
    return f"{name}={value_text(KEYS[name].default)}"


def facts(key: Key) -> str:
    """`0.99          float in [0, 1), traced`"""
    kind = f"{kind_of(key)} {range_text(key)}".strip()
    default = value_text(key.default) or "(empty)"
    return f"{default:<{DEFAULT}}  {kind}, {'traced' if key.traced else 'static'}"


def range_text(key: Key) -> str:
    """`in [0, 1)`, `expert | both`, or nothing where a value is free."""
    if key.choices:
        return " | ".join(map(str, key.choices))
    if key.low is None and key.high is None:
        return ""
    low = "(-∞" if key.low is None else "(0" if key.low == TINY else f"[{key.low:g}"
    high = "∞)" if key.high in (None, math.inf) else "1)" if key.high == BELOW_ONE else f"{key.high:g}]"
    words = f" or {', '.join(map(json.dumps, key.words))}" if key.words else ""
    return f"in {low}, {high}{words}"
