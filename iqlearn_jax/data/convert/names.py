"""Which of a file's columns are the format's: by their usual names, or as `--map` says."""

from collections.abc import Iterable, Mapping

from iqlearn_jax.data.checks import FIELDS, Source, problem
from iqlearn_jax.data.convert.columns import Beside, Column, Recording
from iqlearn_jax.errors import InputError, unknown

# The first that a file has counts. `dones` are ends of either kind, `timeouts` those that --timeouts names.
USUAL: dict[str, tuple[str, ...]] = {
    "observations": ("observations", "obs", "observation", "states", "state"),
    "actions": ("actions", "acts", "action", "acs"),
    "rewards": ("rewards", "rews", "reward"),
    "next_observations": ("next_observations", "next_obs", "next_observation", "next_states", "next_state"),
    "terminals": ("terminals", "terminal", "terminations", "terminated"),
    "truncations": ("truncations", "truncated", "timeouts", "timeout", "time_outs"),
    "dones": ("dones", "done"),
    "timeouts": (),
    "episode": ("episode", "episode_index", "episode_id"),
    "episode_starts": ("episode_starts",),
    "episode_ends": ("episode_ends", "episode_terminals"),
    "lengths": ("lengths", "episode_lengths"),
}
MAPPED = (*FIELDS, "dones", "episode")
FLAGS = ("terminals", "truncations", "timeouts", "dones")
BOUNDARIES = ("lengths", "episode_starts", "episode_ends", "episode")


def parse_map(text: str) -> dict[str, str]:
    """`observations=obs,actions=acts` as a dict.

    Raises:
      InputError: something else.
    """
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    for field, equals, _ in pairs:
        if not equals:
            raise InputError(f"--map: expected FIELD=KEY,..., found '{field}'; see docs/demonstrations.md")
    return {field.strip(): key.strip() for field, _, key in pairs}


def given_names(mapping: Mapping[str, str] | None, **options: str | None) -> dict[str, str]:
    """What a user says about names: `map` and the options that name ends.

    Raises:
      InputError: a field that the format does not have.
    """
    for field in mapping or {}:
        if field not in MAPPED:
            raise unknown("field to map", field, MAPPED)
    return dict(mapping or {}) | {field: name for field, name in options.items() if name is not None}


def find(recording: Recording, given: Mapping[str, str], source: Source) -> tuple[dict[str, Column], str]:
    """The columns of the fields, and how they are named where that is not the field's own name.

    A given name is a column, a group of them, or several joined by "+", which are put side by side in that
    order; "" leaves a field out. Where one kind of boundary is given, a file's others do not count.

    Raises:
      InputError: a given name that the file lacks, listing those that it has.
    """
    usual = {field: _usual(field, recording) for field in USUAL}
    if any(field in given for field in BOUNDARIES):
        usual |= dict.fromkeys(BOUNDARIES)
    if "timeouts" in given:
        usual["truncations"] = None
    if "observations" in given and "next_observations" in recording.groups:
        usual["next_observations"] = given["observations"]
    names = {field: name for field, name in (usual | dict(given)).items() if name}
    found = {}
    for field, name in names.items():
        parts = _parts(name, field, recording, source, field in given)
        if parts:
            found[field] = parts[0] if len(parts) == 1 else _beside(parts, field, name, source)
    said = {field: name for field, name in names.items() if field in found and name != field}
    return found, ", ".join(f"{field}={name}" for field, name in said.items())


def no_column(recording: Recording, field: str, name: str, source: Source) -> InputError:
    """The error for a column that a file lacks, or has as something else than numbers."""
    remedy = f"name it: --map {field}=KEY" if field in MAPPED else "name one of them"
    for other in (name, recording.known.get(field), *(USUAL[field] if name in USUAL[field] else ())):
        if other in recording.unread:
            return problem(source, other, "a column of numbers", recording.unread[other], remedy)
    here = _listed(recording.columns)
    return problem(source, field, f"a column '{name}'", f"only {here}", remedy)


def _listed(names: Iterable[str], most: int = 30) -> str:
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) or "no column of numbers") + more


def _usual(field: str, recording: Recording) -> str | None:
    candidates = (recording.known[field],) if field in recording.known else USUAL[field]
    return next((name for name in candidates if _has(name, recording)), None)


def _has(name: str, recording: Recording) -> bool:
    return all(part in recording.columns for part in name.split("+"))


def _parts(name: str, field: str, recording: Recording, source: Source, given: bool) -> list[Column]:
    columns, group = recording.columns, recording.groups.get(field, "")
    found: list[Column] = []
    for part in [name] if name in columns else name.split("+"):
        under = [key for key in columns if key.startswith(f"{part.rstrip('/')}/")]
        if group + part in columns:
            found.append(columns[group + part])
        elif part in columns:
            found.append(columns[part])
        elif under:
            found.extend(columns[key] for key in under)
        elif given and not (field == "next_observations" and group):
            raise no_column(recording, field, part, source)
        else:
            return []
    return found


def _beside(parts: list[Column], field: str, name: str, source: Source) -> Column:
    rows = [part.shape[0] for part in parts]
    wide = next((part for part in parts if len(part.shape) > 2), None)
    if wide is not None:
        actual = f"one of shape {list(wide.shape)} in '{name}'"
        raise problem(
            source, field, "vectors to put side by side", actual, f"map one image: --map {field}=KEY"
        )
    if len(set(rows)) > 1:
        raise problem(source, field, "as many rows in each of them", str(rows), f"'{name}' is what is joined")
    return Beside(parts)
