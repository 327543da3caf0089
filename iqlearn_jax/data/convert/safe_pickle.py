"""An unpickler that can build nothing but data.

A pickle is a program. Whatever it names is looked up in `_GLOBALS` and nowhere else; what stands there
are our own few functions, never NumPy's, since NumPy's own `__setstate__` trusts its input.
"""

import io
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np

from iqlearn_jax.data.checks import Source, problem
from iqlearn_jax.data.convert.pickle_plan import check_plan
from iqlearn_jax.disk import open_file, reason
from iqlearn_jax.errors import InputError

LONGEST_CODE = 16  # "<f8", "float64", "U100"; a long list of fields takes NumPy a while
_PLAIN_DTYPES = frozenset("biufSU")  # nothing that holds pointers


class _Slot:
    """What a pickle gets in place of a class or function: callable with checked arguments, nothing else."""

    __slots__ = ("_build",)
    _build: Callable[..., Any]

    def __init__(self, build: Callable[..., Any]):
        self._build = build

    def __call__(self, *args: Any) -> Any:
        return self._build(*args)

    def __setstate__(self, state: Any) -> None:
        # the BUILD opcode prefers this to writing attributes, so a pickle cannot alter the function
        raise pickle.UnpicklingError("state for something that has none")


class _Dtype:
    """A plain dtype under construction; NumPy's own would believe any flags that the state claims."""

    __slots__ = ("value",)

    def __init__(self, code: Any, *_: Any):
        if (
            not isinstance(code, str)
            or len(code) > LONGEST_CODE
            or (code != "O8" and np.dtype(code).kind not in _PLAIN_DTYPES)
        ):
            raise pickle.UnpicklingError(f"dtype {code!r:.60}")
        self.value = None if code == "O8" else np.dtype(code)

    def __setstate__(self, state: tuple) -> None:
        order, fields = state[1], state[2:5]
        if order not in ("<", ">", "|", "=") or any(part is not None for part in fields):
            raise pickle.UnpicklingError("a structured dtype")
        if self.value is not None and order in "<>":
            self.value = self.value.newbyteorder(order)


class PickledArray:
    """An array under construction: `value` is an ndarray, or a list (or the one entry) of object dtype."""

    __slots__ = ("value",)

    def __init__(self, *_: Any):
        self.value: Any = None

    def __setstate__(self, state: tuple) -> None:
        _, shape, dtype, fortran, data = state
        if dtype.value is not None:
            self.value = _from_bytes(data, dtype, shape, "F" if fortran else "C")
        elif isinstance(data, list) and shape == (len(data),):
            self.value = data
        elif isinstance(data, list) and shape == () and len(data) == 1:
            self.value = plain(data[0])  # numpy.save of a dict
        else:
            raise pickle.UnpicklingError("an object array of more than one axis")


def _from_bytes(data: Any, dtype: _Dtype, shape: Any, order: str, *_: Any) -> np.ndarray:
    raw = data.encode("latin1") if isinstance(data, str) else data  # str: written by Python 2
    if not isinstance(raw, bytes | bytearray):
        raise pickle.UnpicklingError("an array without bytes")
    return np.frombuffer(raw, dtype.value).reshape(shape, order="F" if order == "F" else "C")


def _from_buffer(data: Any, dtype: _Dtype, shape: Any, order: str, axes: Any = None) -> PickledArray:
    array = PickledArray()  # not an ndarray, to whose own `__setstate__` a BUILD would lead
    if order == "K" and axes is not None:
        array.value = _from_bytes(data, dtype, shape, "C").transpose(axes)
    else:
        array.value = _from_bytes(data, dtype, shape, order)
    return array


def _scalar(dtype: _Dtype, data: Any = b"") -> Any:
    return _from_bytes(data, dtype, (1,), "C")[0]


def _encode(text: str, encoding: str = "") -> bytes:
    if encoding not in ("latin1", "latin-1", "iso-8859-1"):
        raise pickle.UnpicklingError(f"encoding {encoding!r}")
    return text.encode("latin1")


def _empty_dict(*_: Any) -> dict:
    return {}  # the pickle fills it in with its next opcodes


def _forbidden(*_: Any) -> None:
    raise pickle.UnpicklingError("a call of something that may only be named")


_NUMPY_INTERNALS: dict[str, Callable[..., Any]] = {
    "multiarray._reconstruct": PickledArray,
    "multiarray.scalar": _scalar,
    "numeric._frombuffer": _from_buffer,
}
_GLOBALS: dict[str, Callable[..., Any]] = {
    "numpy.dtype": _Dtype,
    "numpy.ndarray": _forbidden,  # only named, as an argument of _reconstruct
    "builtins.list": _forbidden,  # only named, as the factory of the authors' defaultdict
    "__builtin__.list": _forbidden,  # the same below protocol 3
    "collections.OrderedDict": _empty_dict,
    "collections.defaultdict": _empty_dict,
    "_codecs.encode": _encode,  # how protocol 2 spells bytes
    **{
        f"{core}.{name}": build
        for core in ("numpy.core", "numpy._core")
        for name, build in _NUMPY_INTERNALS.items()
    },
}


class _DataUnpickler(pickle.Unpickler):
    """Unpickler whose every name resolves to one of `_GLOBALS`."""

    def find_class(self, module: str, name: str) -> Any:
        full = f"{module}.{name}"
        if full not in _GLOBALS:
            raise InputError(full)
        return _Slot(_GLOBALS[full])


def plain(value: Any) -> Any:
    """The ndarray (or list, for an object array) inside a PickledArray; anything else as it is."""
    return value.value if isinstance(value, PickledArray) else value


def read_bytes(path: Source) -> bytes:
    """The whole file; InputError where it cannot be read."""
    try:
        with open_file(path) as file:
            return file.read()
    except OSError as error:
        raise problem(path, "file", "a readable pickle", reason(error), "check the path") from error


def unpickle(data: bytes, path: Source) -> Any:
    """Builds what the pickle holds out of containers, numbers, strings, bytes and PickledArray.

    Args:
      data: the pickle, of any protocol (from Python 2: protocol 2).
      path: file name for messages.
    Raises:
      InputError: a name outside the list, or what `pickle_plan.check_plan` refuses.
      Exception: damaged data raises whatever pickle or NumPy raise; the caller wraps it.
    """
    check_plan(data, path)
    try:
        # latin1 keeps the bytes of arrays that Python 2 pickled
        return _DataUnpickler(io.BytesIO(data), encoding="latin1").load()
    except InputError as error:
        expected = "only arrays, numbers, strings, lists, tuples and dicts"
        remedy = "it was not looked up and nothing was run; if you trust the file, export its arrays as npz"
        raise problem(path, "pickle", expected, f"the name {str(error)[:100]!r}", remedy) from None
