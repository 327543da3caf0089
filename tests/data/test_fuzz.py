"""Every loader under damaged files: a clear error or a correct load, and nothing else.

`make test-slow` tries 10,000 of them, the fast tests a few hundred.
"""

import itertools
import json
import pickle
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from iqlearn_jax.config.values import as_plain, base_config, check, from_flat
from iqlearn_jax.data.convert.convert import convert
from iqlearn_jax.data.demos import load_demos, validate
from iqlearn_jax.data.save import save
from iqlearn_jax.disk import digest_of, read_json, sealed
from iqlearn_jax.errors import InputError
from iqlearn_jax.methods.function_file import FileKind, read_function, write_function
from iqlearn_jax.report.read import read_runs
from iqlearn_jax.runs.files import write_json
from iqlearn_jax.runs.folder import read_normalization, read_spec
from iqlearn_jax.runs.history import read_history
from iqlearn_jax.runs.manifest import damage, write_manifest
from iqlearn_jax.runs.provenance import last_start
from tests.common import spec_of
from tests.data.made_up import arrays_of, assert_same, make_demos
from tests.data.mutants import in_archive, in_hdf5, in_json, in_table, mutant
from tests.data.test_convert import minari_folder
from tests.data.test_convert_sizes import d3rlpy, imitation_of, lerobot_of
from tests.data.test_layouts import cs285, d4rl, robomimic, table
from tests.data.test_pickles import trajectories
from tests.report.synthetic import write_run

KIND = FileKind("policy", schema_version=1)
SECONDS, MEGABYTES = 10.0, 1500  # of any one mutant; of the whole process more than before


class Loader(NamedTuple):
    """A file and how it is read.

    Attributes:
      path: of the whole file.
      load: (path) -> what was read; of pickles and JSON any content of the right kind is correct.
      knowing: damages the file without its layout noticing, or None.
      source: what `load` is given and messages name, where that is a folder; None for the file.
      same: raises unless what was read is what was written, or valid where that cannot be known.
    """

    path: Path
    load: Callable[[Path], Any]
    knowing: Callable | None
    same: Callable[[Any], None] = lambda loaded: None
    source: Path | None = None


@pytest.fixture(scope="module")
def loaders(tmp_path_factory):
    return dict(_loaders(tmp_path_factory.mktemp("whole")))


def _loaders(folder):
    demos, steps = make_demos(), make_demos(discrete=False)
    save(folder / "demos.npz", demos)
    yield "demonstrations", Loader(folder / "demos.npz", load_demos, in_archive, lambda x: _close(x, demos))
    np.savez(folder / "foreign.npz", **arrays_of(steps))
    yield "foreign npz", Loader(folder / "foreign.npz", convert, in_archive, validate)
    frames = {"frames": np.zeros((10, 4, 4), np.uint8), "episode_frame_start": np.array([0, 6])}
    ends = np.isin(np.arange(8), (4, 7))
    frames |= {"episode_lengths": np.array([5, 3]), "actions": np.zeros(8, int), "rewards": np.zeros(8)}
    np.savez_compressed(folder / "frames.npz", **frames, terminals=ends, truncations=ends & False)
    yield "frames", Loader(folder / "frames.npz", convert, in_archive, validate)
    for protocol in (0, 2, 4):
        path = folder / f"authors{protocol}.pkl"
        path.write_bytes(pickle.dumps(trajectories(demos if protocol else steps), protocol))
        yield path.name, Loader(path, convert, None, validate)
    yield from _of_other_layouts(folder, demos, steps)
    yield from _of_a_run(folder)


def _of_other_layouts(folder, demos, steps):
    (folder / "episodes.pkl").write_bytes(pickle.dumps(cs285(steps)))
    np.save(folder / "episodes.npy", np.array(cs285(steps), object), allow_pickle=True)
    for name in ("episodes.pkl", "episodes.npy"):
        yield name, Loader(folder / name, convert, None, validate)
    yield "table", Loader(table(folder / "steps.csv", demos), convert, in_table, validate)
    if find_spec("h5py"):
        import h5py

        yield "d4rl", Loader(d4rl(h5py, folder / "d4rl.hdf5", steps), convert, in_hdf5, validate)
        yield "robomimic", Loader(robomimic(h5py, folder / "low.hdf5", steps), convert, in_hdf5, validate)
        yield "d3rlpy", Loader(d3rlpy(h5py, folder / "d3rlpy.h5"), convert, in_hdf5, validate)
    if find_spec("pyarrow"):
        robot, rollouts = lerobot_of(folder / "robot", steps), imitation_of(folder / "rollouts", demos)
        for file in (robot / "data" / "chunk-000" / "file-000.parquet", robot / "meta" / "info.json"):
            knowing = in_json if file.suffix == ".json" else None
            yield file.name, Loader(file, convert, knowing, validate, robot)
        yield "arrow", Loader(rollouts / "a.arrow", convert, None, validate, rollouts)
    if find_spec("minari") and find_spec("h5py"):
        with pytest.MonkeyPatch.context() as patch:
            _, stored = minari_folder(folder, patch)
        for name, knowing in (("main_data.hdf5", in_hdf5), ("metadata.json", in_json)):
            yield name, Loader(stored / "data" / name, convert, knowing, validate, stored)


def _of_a_run(folder):
    spec, config = spec_of(), as_plain(base_config())
    arrays = {"obs_mean": np.zeros((2, 3), np.float32), "obs_std": np.ones((2, 3), np.float32)}
    (folder / "stated").mkdir()
    path = folder / "stated" / "normalization.npz"
    np.savez_compressed(path, **sealed(arrays))
    write_json(path.with_name("provenance.json"), {"digests": {"normalization": digest_of(arrays)}})
    same = lambda loaded: np.testing.assert_equal(loaded, arrays)  # noqa: E731
    yield "statistics", Loader(path, lambda path: read_normalization(path.parent), in_archive, same)
    write_function(folder / "policy.npz", KIND, arrays, spec, config, {})
    yield "policy", Loader(folder / "policy.npz", lambda path: read_function(path, KIND)[0], in_archive, same)
    run = write_run(folder / "run", returns=(1.0, 2.0))
    write_json(run / "config.json", config)
    write_json(run / "provenance.json", {"commit": "a", "versions": {}, "demos_digest": "b", "resumed": []})
    write_json(
        run / "spec.json",
        {**spec._asdict(), "mdp": None} | {"obs_dtype": "float32", "action_low": [0.0], "action_high": [1.0]},
    )
    write_json(run / "doctor.json", {"runs": 2, "findings": []})
    write_json(run / "sweep.json", {"programs": [{"folder": "no", "static": {"alpha": 1.0}}]})
    lines = [
        dict(zip(("update", "run", "env_steps", "wall_seconds", "a/b"), row, strict=True))
        for row in np.ndindex(3, 2, 1, 1, 1)
    ]
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (run / "default").mkdir()
    (run / "default" / "data").write_bytes(b"content")
    write_manifest(run, {".a": "float32[3]"})
    for name in (
        "config.json",
        "provenance.json",
        "spec.json",
        "metrics.jsonl",
        "summary.json",
        "doctor.json",
        "sweep.json",
    ):
        yield name, Loader(run / name, READERS.get(name, lambda path: read_runs([path.parent])), in_json)
    yield "manifest.json", Loader(run / "manifest.json", lambda path: damage(path.parent), in_json)


def _config_of(path):
    config = from_flat(read_json(path))
    check(config)
    return config


READERS = {
    "config.json": _config_of,
    "provenance.json": lambda path: last_start(path.parent),
    "spec.json": lambda path: read_spec(path.parent),
    "metrics.jsonl": lambda path: read_history(path, 2),
}


def _close(loaded, demos):
    """A file that states its digest is refused or what it was; that a member is gone may go unnoticed."""
    if loaded.rewards is not None and loaded.metadata.get("digest"):
        assert_same(loaded, demos)


def outcome(loader: Loader, content: bytes) -> str:
    """ "refused", "loaded", or what else came of it."""
    begun = time.monotonic()
    try:
        loader.path.write_bytes(content)
        loaded = loader.load(loader.source or loader.path)
    except InputError as error:
        named = (loader.source or loader.path).name in str(error) or "config" in str(error)
        clear = "\n" not in str(error) and named
        kind = "refused" if clear else f"an unclear error: {error}"
    except Exception as error:
        kind = f"{type(error).__name__}: {error}"
    else:
        kind = judged(loader, loaded)
    return kind if time.monotonic() - begun < SECONDS else "too slow"


def judged(loader: Loader, loaded: Any) -> str:
    try:
        loader.same(loaded)
    except Exception as error:
        return f"an incorrect load: {error}"
    return "loaded"


def fuzz(loaders: dict[str, Loader], mutants: int, seed: int) -> tuple[Counter, list]:
    """How often which outcome came, and (name, number, outcome) of those that may not be."""
    counts, wrong = Counter(), []
    whole = {name: loader.path.read_bytes() for name, loader in loaders.items()}
    for number, name in zip(range(mutants), itertools.cycle(loaders), strict=False):
        rng = np.random.default_rng((seed, number))
        kind = outcome(loaders[name], mutant(rng, whole[name], loaders[name].knowing))
        counts[kind if kind in ("refused", "loaded") else "anything else"] += 1
        if kind not in ("refused", "loaded"):
            wrong.append((name, number, kind[:300]))
        loaders[name].path.write_bytes(whole[name])
    return counts, wrong


def peak() -> float:
    """The largest memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**10 if sys.platform == "linux" else 2**20)


@pytest.mark.filterwarnings("ignore::UserWarning:minari")
@pytest.mark.parametrize(
    ("mutants", "seed"),
    [(300, 0), pytest.param(10_000, 1, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])],
)
def test_damaged_files_are_refused_clearly_or_read_correctly(loaders, mutants, seed, capsys):
    for loader in loaders.values():
        assert outcome(loader, loader.path.read_bytes()) == "loaded"
    before = peak()
    counts, wrong = fuzz(loaders, mutants, seed)
    with capsys.disabled():
        print(f"\n{mutants} mutants of {len(loaders)} files: {dict(counts)}")
    assert wrong == []
    assert counts["refused"] > mutants // 10 and counts["loaded"] > mutants // 100
    assert peak() - before < MEGABYTES
