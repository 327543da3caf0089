"""Configurations that come with the library, a user's own files, and modules that register more."""

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from ml_collections import ConfigDict

import iqlearn_jax
from iqlearn_jax.errors import InputError, unknown

_PACKAGE = Path(iqlearn_jax.__file__).parent


# in an installed package the repository's configs/ lies inside it, in a checkout beside it
SHIPPED = _PACKAGE / "configs" if (_PACKAGE / "configs").is_dir() else _PACKAGE.parent / "configs"


def load_config(source: str) -> ConfigDict:
    """One of the configurations that come with the library, or of a file of the user's own.

    Args:
      source: "cartpole:offline", or "FILE.py:NAME" for a file whose dictionary CONFIGS holds functions that
        return configurations.
    Raises:
      InputError: no such file or name, a file without CONFIGS, or one that fails.
    """
    place, _, name = source.partition(":")
    path = _config_file(source, place)
    if place in shipped_configs():  # what fails there is not the user's to mend
        return _made(source, path, name)
    with users_code(f"--config={source}", path):
        return _made(source, path, name)


def _made(source: str, path: Path, name: str) -> ConfigDict:
    place, known = source.partition(":")[0], getattr(load_module(path), "CONFIGS", None)
    if known is None:
        raise InputError(
            f"--config={source}: {place} has no dictionary CONFIGS of functions that return a config"
        )
    if name not in known:
        raise unknown(f"config in {place}", name, known)
    return known[name]()


def shipped_configs() -> dict[str, Path]:
    """Files of the configurations that come with the library, by name."""
    return {path.stem: path for path in sorted(SHIPPED.glob("*.py")) if path.stem != "__init__"}


def _config_file(source: str, place: str) -> Path:
    if place.endswith(".py"):
        if not Path(place).is_file():
            raise InputError(
                f"--config={source}: no file '{place}'; those that come with the library are named without "
                f".py: {', '.join(shipped_configs())}"
            )
        return Path(place)
    if place not in shipped_configs():
        raise unknown("config", place, shipped_configs())
    return shipped_configs()[place]


@contextmanager
def users_code(option: str, path: Path) -> Iterator[None]:
    """What a user's own file raises, as one line with the place to mend it.

    Args:
      path: the file, whose last line in the traceback is named; another's where there is none.
    Raises:
      InputError: names the option, the file and the line.
    """
    try:
        yield
    except (InputError, OSError):  # which name what they are about
        raise
    except (Exception, SystemExit) as error:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename[0] != "<"]
        last = ([frame for frame in frames if frame.filename == str(path.absolute())] or frames)[-1]
        place = f"{last.filename}:{last.lineno}"
        if isinstance(error, SyntaxError) and error.filename:
            place = f"{error.filename}:{error.lineno}"
        words = " ".join(str(error).split())
        raise InputError(f"{option} failed at {place}: {type(error).__name__}: {words}; mend it") from error


def load_module(path: Path, name: str | None = None) -> ModuleType:
    """Runs a Python file as a module."""
    spec = importlib.util.spec_from_file_location(name or f"iqlearn_config_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    if name is not None:
        sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name or "", None)  # as Python's own import does: half a module is none
        raise
    return module


def import_modules(names: Iterable[str]) -> tuple[str, ...]:
    """Imports the modules that register a user's environments and methods.

    Args:
      names: modules, or Python files; a module in the working folder will do.
    Returns:
      the names under which they are imported again from anywhere: files by their absolute path.
    Raises:
      InputError: no such module or file, or one that fails.
    """
    return tuple(_import(name) for name in names)


def is_imported(name: str) -> bool:
    """Whether what `import_modules` calls so has run in this process."""
    if not name.endswith(".py"):
        return name in sys.modules
    return getattr(sys.modules.get(Path(name).stem), "__file__", None) == str(Path(name).absolute())


def _import(name: str) -> str:
    path = Path(name if name.endswith(".py") else f"{name}.py").absolute()
    with users_code(f"--import={name}", path):
        if not path.is_file():
            return _import_module(name)
        if not is_imported(str(path)):
            load_module(path, path.stem)
    return str(path)


def _import_module(name: str) -> str:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise InputError(
            f"--import={name}: {error}; expected a Python file, or a module on Python's path"
        ) from error
    return name
