"""Pickles of CIFAR's batches, read without running anything in them.

A pickle is a program for a small stack machine, and `pickle.load` lets it import and call whatever
it names. The machine here knows only the instructions that a batch needs, and no way to import or
call: the names by which a pickle asks for NumPy's array are recognised, and the array is made here
from the bytes. What a pickle can make is thus dictionaries, lists, tuples, strings, bytes,
integers, None, booleans and arrays of bytes, of no more memory than a small multiple of its length.

`pickletools.genops` of the standard library splits the instructions; Python's pickletools.py
documents each of them.
"""

from __future__ import annotations

import math
import pickletools
from enum import Enum
from typing import Any

import numpy as np

PROTOCOLS = (2, 3, 4)
"""Versions of the format: CIFAR-10 is published in 2, as Python 2 writes it."""


class BatchPickleError(ValueError):
    """A pickle is damaged, or needs what no batch does."""


class _Known(Enum):
    """What a pickle may ask for by name."""

    RECONSTRUCT = "an empty array, to be built"
    NDARRAY = "the type of an array"
    DTYPE = "the type of an array's numbers"
    ENCODE = "bytes from the characters of the same numbers"


_NAMES = {
    ("numpy.core.multiarray", "_reconstruct"): _Known.RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _Known.RECONSTRUCT,  # from NumPy 2 on
    ("numpy", "ndarray"): _Known.NDARRAY,
    ("numpy", "dtype"): _Known.DTYPE,
    ("_codecs", "encode"): _Known.ENCODE,  # how Python 3 writes bytes in protocol 2
}


class _Byte:
    """The type of numbers uint8."""


class _Array:
    """An array of bytes, whose numbers come later than itself."""

    numbers: np.ndarray | None = None


def read_batch(data: bytes) -> dict[str, Any]:
    """The dictionary in pickle `data`; its keys are text, whichever Python wrote it.

    Raises `BatchPickleError` for a pickle that is damaged, of another protocol, no dictionary, or
    that asks for anything else than a batch has.
    """
    try:
        batch = _Machine().run(data)
    except BatchPickleError:
        raise
    # Of genops, what is cut short or unknown; of the machine, a stack or memory that lacks values.
    except (ValueError, IndexError, KeyError, TypeError) as error:
        raise BatchPickleError(f"damaged ({type(error).__name__}: {_shown(error)})") from error
    if type(batch) is not dict:
        raise BatchPickleError("not a dictionary")
    texts = {
        key if isinstance(key, str) else key.decode("latin-1"): value
        for key, value in batch.items()
    }
    return {
        key: value.numbers if isinstance(value, _Array) else value for key, value in texts.items()
    }


class _Machine:
    """The stack machine: values, the stacks below the marks, and values kept by number."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._below: list[list[Any]] = []
        self._memo: dict[int, Any] = {}

    def run(self, data: bytes) -> Any:
        """What the instructions of `data` leave."""
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name == "STOP":
                return self._stack.pop()
            self._do(opcode.name, argument)
        raise BatchPickleError("without an end")

    def _do(self, name: str, argument: Any) -> None:
        """Carry out one instruction."""
        stack = self._stack
        match name:
            case "PROTO":
                if argument not in PROTOCOLS:
                    raise BatchPickleError(
                        f"of protocol {argument}, not of {', '.join(map(str, PROTOCOLS))}"
                    )
            case "FRAME":
                pass
            case "MARK":
                self._below.append(stack)
                self._stack = []
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[name])
            case "BININT" | "BININT1" | "BININT2" | "LONG1":
                stack.append(argument)
            # Strings of Python 2, which may be bytes: each becomes the character of its number.
            case "BINSTRING" | "SHORT_BINSTRING":
                stack.append(argument)
            case "BINUNICODE" | "SHORT_BINUNICODE" | "BINBYTES" | "SHORT_BINBYTES":
                stack.append(argument)
            case "EMPTY_LIST" | "EMPTY_DICT" | "EMPTY_TUPLE":
                stack.append({"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_TUPLE": tuple}[name]())
            case "TUPLE":
                self._push_tuple(self._to_mark())
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                count = int(name[-1])
                values = [stack.pop() for _ in range(count)]
                self._push_tuple(values[::-1])
            case "APPEND":
                self._append([stack.pop()])
            case "APPENDS":
                self._append(self._to_mark())
            case "SETITEM":
                value = stack.pop()
                self._set([stack.pop(), value])
            case "SETITEMS":
                self._set(self._to_mark())
            case "BINPUT" | "LONG_BINPUT":
                self._memo[argument] = stack[-1]
            case "MEMOIZE":
                self._memo[len(self._memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(self._memo[argument])
            case "GLOBAL":
                stack.append(_known(*argument.split(" ", 1)))
            case "STACK_GLOBAL":
                attribute = stack.pop()
                stack.append(_known(stack.pop(), attribute))
            case "REDUCE":
                arguments = stack.pop()
                stack.append(_made(stack.pop(), arguments))
            case "BUILD":
                state = stack.pop()
                _build(stack[-1], state)
            case _:
                raise BatchPickleError(f"with the instruction {name}, which no batch needs")

    def _to_mark(self) -> list[Any]:
        """The values above the last mark, taken off with it."""
        values = self._stack
        self._stack = self._below.pop()
        return values

    def _push_tuple(self, values: list[Any]) -> None:
        self._stack.append(tuple(values))

    def _append(self, values: list[Any]) -> None:
        if type(self._stack[-1]) is not list:
            raise BatchPickleError("appending to something other than a list")
        self._stack[-1].extend(values)

    def _set(self, pairs: list[Any]) -> None:
        target, keys = self._stack[-1], pairs[::2]
        if type(target) is not dict or not all(isinstance(key, str | bytes) for key in keys):
            raise BatchPickleError("with a key that is no text, or outside a dictionary")
        target.update(zip(keys, pairs[1::2], strict=True))


def _known(module: Any, attribute: Any) -> _Known:
    """What the pickle means by these names, or the refusal."""
    # Text only: the interpreter crashes where it hashes tuples that are nested deep enough.
    names = isinstance(module, str) and isinstance(attribute, str)
    if not names or (module, attribute) not in _NAMES:
        raise BatchPickleError(
            f"asking for {_shown(module)}.{_shown(attribute)}, which no batch needs: it may be an "
            "attack; nothing of it was run"
        )
    return _NAMES[module, attribute]


def _made(known: Any, arguments: Any) -> Any:
    """What calling `known` stands for."""
    match known, arguments:
        case _Known.RECONSTRUCT, (_Known.NDARRAY, *_):
            return _Array()
        case _Known.DTYPE, ("u1", *_):
            return _Byte()
        case _Known.DTYPE, (str(other), *_):
            raise BatchPickleError(f"with an array of {_shown(other)} where bytes are expected")
        case _Known.ENCODE, (str(text), "latin1"):
            return text.encode("latin-1")
    raise BatchPickleError("calling what no batch calls")


def _build(target: Any, state: Any) -> None:
    """Give `target` its state."""
    match target, state:
        case _Byte(), tuple():
            return  # says the order of bytes, of which there is one
        case _Array(), (int(), tuple(shape), _Byte(), False | 0, str() | bytes() as raw):
            numbers = raw.encode("latin-1") if isinstance(raw, str) else raw
            if not all(type(size) is int and size >= 0 for size in shape):
                raise BatchPickleError("with an array of impossible shape")
            if math.prod(shape) != len(numbers):
                raise BatchPickleError(
                    f"with an array of {len(numbers)} bytes that should be {math.prod(shape)}"
                )
            target.numbers = np.frombuffer(numbers, np.uint8).reshape(shape)
            return
    raise BatchPickleError("building what no batch has")


def _shown(text: Any) -> str:
    """`text` of a stranger, fit for a terminal."""
    return ascii(str(text)[:60])[1:-1] if isinstance(text, str | Exception) else "something"
