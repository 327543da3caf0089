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
    """The columns of the fields, and how they are called where that is not the field's own name.

    A name is a column, a group of them in the order of their names, or several joined by "+"; these are put
    side by side. A given "" leaves a field out. A file's own boundaries do not count where one kind is given,
    nor where its flags say all there is to say.

    Raises:
      InputError: a given name that the file lacks, listing those that it has.
    """
    usual = {field: _usual(field, recording) for field in USUAL}
    complete = usual["terminals"] and usual["truncations"]
    if complete or any(field in given for field in BOUNDARIES):
        usual |= dict.fromkeys(BOUNDARIES)
    if "timeouts" in given:
        usual["truncations"] = None
    if "observations" in given and "next_observations" in recording.groups:
        usual["next_observations"] = given["observations"]
    found, said = {}, []
    for field, name in (usual | dict(given)).items():
        keys = _keys(name, field, recording) if name else []
        if name and not keys and field in given:
            raise no_column(recording, field, name, source)
        if keys:
            parts = [recording.columns[key] for key in keys]
            found[field] = parts[0] if len(parts) == 1 else _beside(parts, field, keys, source)
            said += [f"{field}: {' + '.join(keys)}"] if keys != [field] else []
    return found, ", ".join(said)


def no_column(recording: Recording, field: str, name: str, source: Source) -> InputError:
    """The error for a column that a file lacks, or has as something else than numbers."""
    remedy = f"name it: --map {field}=KEY" if field in MAPPED else "name one of them"
    for other in (name, recording.known.get(field), *(USUAL[field] if name in USUAL[field] else ())):
        if other in recording.unread:
            actual = f"{recording.unread[other]} beside {_held(recording)}"
            return problem(source, other, "a column of numbers", actual, remedy)
    parts = [part for part in name.split("+") if not _keys(part, field, recording)]
    expected = f"a column '{parts[0] if parts else name}'"
    return problem(source, field, expected, f"only {_held(recording)}", remedy)


def _held(recording: Recording) -> str:
    """All keys of a file, for messages; those that are no numbers apart."""
    others = f" (and, not as numbers, {listed(recording.unread)})" if recording.unread else ""
    return listed(recording.columns) + others


def listed(names: Iterable[str], most: int = 30) -> str:
    """The columns of a file, for messages."""
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) or "no column of numbers") + more


def _usual(field: str, recording: Recording) -> str | None:
    candidates = (recording.known[field],) if field in recording.known else USUAL[field]
    return next((name for name in candidates if _keys(name, field, recording)), None)


def _keys(name: str, field: str, recording: Recording) -> list[str]:
    """The columns that a name stands for; none where one of them is missing."""
    columns, group = recording.columns, recording.groups.get(field, "")
    found: list[str] = []
    for part in [name] if name in columns else name.split("+"):
        under = sorted(key for key in columns if key.startswith(f"{part.rstrip('/')}/"))
        here = [key for key in (group + part, part) if key in columns][:1] or under
        if not here:
            return []
        found += here
    return found


def _beside(parts: list[Column], field: str, keys: list[str], source: Source) -> Column:
    rows = [part.shape[0] for part in parts]
    wide = next((key for key, part in zip(keys, parts, strict=True) if len(part.shape) > 2), None)
    if wide is not None:
        remedy = f"choose one image or several vectors: --map {field}=KEY+KEY"
        raise problem(source, field, "vectors to put side by side", f"'{wide}' among {listed(keys)}", remedy)
    if len(set(rows)) > 1:
        raise problem(source, field, "as many rows in each part", str(rows), f"these are {listed(keys)}")
    return Beside(parts)
