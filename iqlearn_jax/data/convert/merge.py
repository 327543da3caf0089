"""Several demonstrations as one file."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from iqlearn_jax.data.checks import FIELDS, Source, problem
from iqlearn_jax.data.demos import Demos, fields_of, from_arrays


def merge(parts: Sequence[Demos], sources: Sequence[Source]) -> Demos:
    """The episodes of all, in order.

    Args:
      parts: converted demonstrations; rewards are kept where all have them.
      sources: their files, for messages.
    Raises:
      InputError: parts of other shapes, types or environments than the first.
    """
    arrays = {}
    for name in FIELDS:
        values = [fields_of(part)[name] for part in parts]
        if all(value is None for value in values) or (name == "rewards" and any(v is None for v in values)):
            continue
        kinds = ["none" if value is None else f"{value.dtype} {list(value.shape[1:])}" for value in values]
        _check_alike(kinds, name, sources)
        arrays[name] = np.concatenate(values)
    metadata: dict[str, Any] = {}
    for key in ("env", "policy"):
        said = [str(part.metadata.get(key, "unknown")) for part in parts]
        if key == "env":
            _check_alike(said, "metadata.env", sources, unless="unknown")
        metadata[key] = ", ".join(dict.fromkeys(value for value in said if value != "unknown")) or "unknown"
    metadata["conversion"] = [entry for part in parts for entry in part.metadata.get("conversion", [])]
    return from_arrays(arrays, metadata)


def _check_alike(values: Sequence[str], name: str, sources: Sequence[Source], unless: str = "") -> None:
    known = [(value, source) for value, source in zip(values, sources, strict=True) if value != unless]
    for value, source in known[1:]:
        if value != known[0][0]:
            expected = f"{known[0][0]} as in {known[0][1]}"
            raise problem(source, name, expected, value, "merge what is of one environment")
