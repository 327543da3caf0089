"""What a pickle would build, found by reading its opcodes, before anything is built.

A pickle that names nothing forbidden can still hang, crash or flood a computer: by keys whose hash takes for
ever, by containers inside containers, by references that let a small file stand for a large structure.
"""

import pickle
import pickletools
from collections.abc import Callable, Sequence
from typing import Any

from iqlearn_jax.data.checks import Source, problem

AMPLIFICATION = 64  # bytes in memory for each byte of the file; states that two fields share need 2
ALWAYS = 2**20  # bytes that any file may need
DEEPEST = 32  # containers inside each other; an image as nested lists in the authors' layout has 7
ENTRY = 8  # bytes of a reference
LARGEST_KEY = 2**64  # hashing longer integers takes time for each use
DISTRUST = "do not trust this file"


class Thing:
    """What stands on the stack in place of an object.

    Attributes:
      depth: containers inside each other, 0 for none.
      weight: bytes with everything that it refers to, as often as it does.
      is_key: whether it may be the key of a dictionary: text or a number.
      used: whether something else holds it; then it may not grow any more, or that would have weighed less.
    """

    __slots__ = ("depth", "is_key", "used", "weight")

    def __init__(self, weight: int = ENTRY, is_key: bool = False, depth: int = 0):
        self.weight, self.is_key, self.depth, self.used = weight, is_key, depth, False


NUMBER, NOTHING, MARK = Thing(is_key=True), Thing(), Thing()


class Plan:
    """The stack and the memo of an unpickler, with a `Thing` in place of each object."""

    def __init__(self, size: int, path: Source):
        """`size` of the file in bytes."""
        self.most, self.path = AMPLIFICATION * size + ALWAYS, path
        self.stack: list[Thing] = []
        self.memo: dict[Any, Thing] = {}
        self.work = 0

    def refuse(self, expected: str, found: str) -> None:
        """Raises the one-line error."""
        raise problem(self.path, "pickle", expected, found, DISTRUST)

    def pop(self) -> Thing:
        """The newest thing above the last mark."""
        thing = self.stack.pop()
        if thing is MARK:
            raise pickle.UnpicklingError("nothing above the mark")
        return thing

    def pop_to_mark(self) -> list[Thing]:
        """Everything above the last mark, which goes as well."""
        place = len(self.stack) - 1 - self.stack[::-1].index(MARK)
        things = self.stack[place + 1 :]
        del self.stack[place:]
        return things

    def push_holding(self, things: Sequence[Thing], calls: bool = False) -> None:
        """Pushes a container of the things, or what a call with them makes."""
        whole = Thing()
        self.stack.append(whole)
        self.hold(whole, things)
        if calls:
            self.spend(whole.weight)

    def hold(self, holder: Thing, things: Sequence[Thing]) -> None:
        """Adds things to one that holds them."""
        for thing in things:
            thing.used = thing is not NUMBER and thing is not NOTHING
        if holder.used:  # by itself, too
            self.refuse("containers that are whole before others hold them", "one that grows afterwards")
        for thing in things:
            holder.weight += thing.weight + ENTRY
            holder.depth = max(holder.depth, thing.depth + 1)
        if holder.depth > DEEPEST:
            self.refuse(f"at most {DEEPEST} containers inside each other", "more")
        self.require_room(holder.weight)

    def hold_pairs(self, holder: Thing, things: Sequence[Thing]) -> None:
        """Adds keys and values in turn."""
        if not all(thing.is_key for thing in things[::2]):
            self.refuse("keys that are text or numbers", "another key")
        self.hold(holder, things)

    def spend(self, weight: int) -> None:
        """Counts what calls copy; a file may ask for the same copy over and over."""
        self.work += weight
        self.require_room(self.work)

    def require_room(self, weight: int) -> None:
        """Refuses what would take more memory than the file accounts for."""
        if weight > self.most:
            self.refuse(f"at most {self.most} bytes of data", f"more than {AMPLIFICATION} times the file")


def check_plan(data: bytes, path: Source) -> None:
    """Refuses a pickle that is no plain data, or more than its size accounts for.

    Args:
      data: the pickle.
      path: file name for messages.
    Raises:
      InputError: a key that is no text or number, containers nested too deeply, too much data, a memo larger
        than the file could need, or opcodes of other things than data.
      Exception: damaged data raises whatever pickletools raises; the caller wraps it.
    """
    plan = Plan(len(data), path)
    for opcode, argument, _ in pickletools.genops(data):
        step = STEPS.get(opcode.name)
        if step is None:
            plan.refuse("only arrays, numbers, strings, lists, tuples and dicts", f"opcode {opcode.name}")
        else:
            step(plan, argument)


def _text(plan: Plan, argument: Any) -> None:
    plan.stack.append(Thing(ENTRY + len(argument), is_key=isinstance(argument, str)))


def _python_2_text(plan: Plan, argument: Any) -> None:
    plan.stack.append(Thing(ENTRY + len(argument), is_key=True))


def _integer(plan: Plan, argument: Any) -> None:
    small = abs(argument) < LARGEST_KEY
    plan.stack.append(NUMBER if small else Thing(ENTRY + argument.bit_length() // 8))


def _put(plan: Plan, argument: Any) -> None:
    # the C unpickler allocates its memo up to the largest index, so one short opcode could ask for gigabytes
    index = len(plan.memo) if argument is None else int(argument)
    if index > plan.most // AMPLIFICATION:
        plan.refuse(f"memo indices below {plan.most // AMPLIFICATION}", str(index))
    plan.memo[index] = plan.stack[-1]


def _get(plan: Plan, argument: Any) -> None:
    plan.stack.append(plan.memo[int(argument)])


def _tuple_of(count: int) -> Callable[[Plan, Any], None]:
    def step(plan: Plan, argument: Any) -> None:
        plan.push_holding([plan.pop() for _ in range(count)])

    return step


def _call_of(count: int) -> Callable[[Plan, Any], None]:
    def step(plan: Plan, argument: Any) -> None:
        plan.push_holding([plan.pop() for _ in range(count)], calls=True)

    return step


def _append(plan: Plan, argument: Any) -> None:
    thing = plan.pop()
    plan.hold(plan.stack[-1], [thing])


def _appends(plan: Plan, argument: Any) -> None:
    things = plan.pop_to_mark()
    plan.hold(plan.stack[-1], things)


def _set_item(plan: Plan, argument: Any) -> None:
    value, key = plan.pop(), plan.pop()
    plan.hold_pairs(plan.stack[-1], [key, value])


def _set_items(plan: Plan, argument: Any) -> None:
    things = plan.pop_to_mark()
    plan.hold_pairs(plan.stack[-1], things)


def _dict(plan: Plan, argument: Any) -> None:
    things = plan.pop_to_mark()
    plan.stack.append(Thing())
    plan.hold_pairs(plan.stack[-1], things)


def _build(plan: Plan, argument: Any) -> None:
    state = plan.pop()
    plan.hold(plan.stack[-1], [state])
    plan.spend(state.weight)


STEPS: dict[str, Callable[[Plan, Any], Any]] = {
    **dict.fromkeys(("PROTO", "FRAME"), lambda plan, argument: None),
    "STOP": lambda plan, argument: plan.pop(),
    **dict.fromkeys(("NEWTRUE", "NEWFALSE", "FLOAT", "BINFLOAT"), lambda plan, _: plan.stack.append(NUMBER)),
    "NONE": lambda plan, argument: plan.stack.append(NOTHING),
    **dict.fromkeys(("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"), _integer),
    **dict.fromkeys(("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"), _text),
    **dict.fromkeys(("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"), _text),
    **dict.fromkeys(("STRING", "BINSTRING", "SHORT_BINSTRING"), _python_2_text),
    **dict.fromkeys(
        ("EMPTY_LIST", "EMPTY_TUPLE", "EMPTY_DICT"), lambda plan, argument: plan.stack.append(Thing())
    ),
    "MARK": lambda plan, argument: plan.stack.append(MARK),
    "POP": lambda plan, argument: plan.stack.pop(),
    "POP_MARK": lambda plan, argument: plan.pop_to_mark(),
    "DUP": lambda plan, argument: plan.stack.append(plan.stack[-1]),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _get),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), _put),
    **dict.fromkeys(("TUPLE", "LIST"), lambda plan, argument: plan.push_holding(plan.pop_to_mark())),
    **{f"TUPLE{count}": _tuple_of(count) for count in (1, 2, 3)},
    "DICT": _dict,
    "APPEND": _append,
    "APPENDS": _appends,
    "SETITEM": _set_item,
    "SETITEMS": _set_items,
    "GLOBAL": lambda plan, argument: plan.stack.append(Thing()),
    "STACK_GLOBAL": _call_of(2),
    "REDUCE": _call_of(2),
    "NEWOBJ": _call_of(2),
    **dict.fromkeys(
        ("INST", "OBJ"), lambda plan, argument: plan.push_holding(plan.pop_to_mark(), calls=True)
    ),
    "BUILD": _build,
}
