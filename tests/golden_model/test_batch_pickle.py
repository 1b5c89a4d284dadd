"""Pickles: what a batch holds is read, everything else is refused, and nothing is ever run."""

import builtins
import contextlib
import os
import pickle
import struct
import subprocess
import tracemalloc

import numpy as np
import pytest

from golden_model.batch_pickle import BatchPickleError, read_batch
from tests.golden_model.set_files import colour_batches, python2_batch, python3_batch


@pytest.mark.parametrize(
    "pickled", [python2_batch, python3_batch(2), python3_batch(3), python3_batch(4)]
)
def test_a_batch_of_either_python_is_read(pickled):
    pixels, labels = colour_batches(images=300)[0]
    batch = read_batch(pickled(pixels, labels))
    assert set(batch) == {"batch_label", "labels", "data", "filenames"}
    assert batch["labels"] == labels.tolist()
    assert np.array_equal(batch["data"], pixels)
    assert batch["data"].dtype == np.uint8
    assert len(batch["filenames"]) == 300


def test_the_pickle_of_the_tests_is_what_python_reads_too():
    pixels, labels = colour_batches()[0]
    batch = pickle.loads(python2_batch(pixels, labels), encoding="latin1")
    assert np.array_equal(batch["data"], pixels)
    assert batch["labels"] == labels.tolist()


class Call:
    """Pickles as a call."""

    def __init__(self, function, *arguments):
        self._call = (function, arguments)

    def __reduce__(self):
        return self._call


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize(
    ("function", "arguments", "asked"),
    [
        (os.system, ("touch {}",), r"asking for (posix|nt)\.system"),
        (builtins.eval, ("open('{}', 'w')",), r"asking for (builtins|__builtin__)\.eval"),
        (subprocess.Popen, (["touch", "{}"],), r"asking for (subprocess|commands)\.Popen"),
        (np.savetxt, ("{}", [1]), r"asking for numpy\.savetxt"),
        (np.memmap, ("{}", "u1", "w+", 0, 1), r"asking for numpy\S*\.memmap"),
        (bytearray, (1 << 40,), r"asking for (builtins|__builtin__)\.bytearray"),
    ],
)
def test_an_attack_is_refused_and_nothing_is_run(tmp_path, protocol, function, arguments, asked):
    witness = tmp_path / "witness"

    def filled(value):
        return value.format(witness) if isinstance(value, str) else value

    arguments = [
        [filled(v) for v in value] if isinstance(value, list) else filled(value)
        for value in arguments
    ]
    data = pickle.dumps({"data": Call(function, *arguments)}, protocol)
    with pytest.raises(BatchPickleError, match=f"{asked}, which no batch needs.*nothing of it was"):
        read_batch(data)
    assert not witness.exists()


def test_the_attack_would_have_worked_on_pickle(tmp_path):
    """So that the test above tests something."""
    witness = tmp_path / "witness"
    pickle.loads(pickle.dumps(Call(builtins.eval, f"open({str(witness)!r}, 'w').close()"), 2))
    assert witness.exists()


RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n"
EMPTY_ARRAY = RECONSTRUCT + b"cnumpy\nndarray\nK\x00\x85U\x01b\x87R"
BYTE = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "damaged .*pickle exhausted"),
        (b"not a pickle", "damaged"),
        (b"\x80\x02}U\x04", "damaged .*expected"),
        (b"\x80\x02}", "damaged .*pickle exhausted"),
        (b"\x80\x02.", "damaged .*IndexError"),
        (b"\x80\x02e.", "damaged .*IndexError"),
        (b"\x80\x02h\x07.", "damaged .*KeyError"),
        (b"\x80\x02K\x01.", "not a dictionary"),
        (b"\x80\x05}.", "of protocol 5, not of 2, 3, 4"),
        (b"\x80\x02Ptaunt\n.", "instruction PERSID"),
        (b"\x80\x02(ios\nsystem\n.", "instruction INST"),
        (b"\x80\x02(cos\nsystem\no.", "asking for os.system"),
        (b"\x80\x02cos\n\x1b[2J\n.", r"asking for os.\\x1b"),
        (b"\x80\x02\x82\x01.", "instruction EXT1"),
        (b"\x80\x02" + RECONSTRUCT + b")\x81.", "instruction NEWOBJ"),
        (b"\x80\x02}K\x01K\x02s.", "a key that is no text"),
        (b"\x80\x02)K\x01K\x02s.", "outside a dictionary"),
        (b"\x80\x02}(U\x01au.", "damaged"),
        (b"\x80\x02)K\x01a.", "something other than a list"),
        # State for a name, with which pickle would change what the name stands for.
        (b"\x80\x02" + RECONSTRUCT + b"}U\x0c__defaults__)sb.", "building what no batch has"),
        (b"\x80\x02" + RECONSTRUCT + b"cnumpy\ndtype\nK\x00\x85U\x01b\x87R.", "calling what no"),
        (b"\x80\x02cnumpy\ndtype\nU\x01OK\x00K\x01\x87R.", "an array of O where bytes"),
        (b"\x80\x02c_codecs\nencode\nU\x01aU\x03hex\x86R.", "calling what no batch calls"),
        (
            b"\x80\x02" + EMPTY_ARRAY + b"(K\x01K\x04\x85" + BYTE + b"\x89U\x03abctb.",
            "an array of 3 bytes that should be 4",
        ),
        (
            b"\x80\x02" + EMPTY_ARRAY + b"(K\x01J\xff\xff\xff\xffJ\xfd\xff\xff\xff\x86" + BYTE
            + b"\x89U\x03abctb.",
            "an array of impossible shape",
        ),
    ],
)  # fmt: skip
def test_what_is_no_batch_is_refused_with_its_reason(data, message):
    with pytest.raises(BatchPickleError, match=message):
        read_batch(data)


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x02}r" + struct.pack("<I", 0xFFFFFFFF) + b".",  # kept under a huge number
        b"\x80\x02}T" + struct.pack("<i", 0x7FFFFFFF) + b"abc.",  # a string of 2 GB, it says
        b"\x80\x04}\x8e" + struct.pack("<Q", 1 << 62) + b"abc.",
        b"\x80\x02" + b"(" * 10_000 + b"t" * 10_000 + b".",  # nested
        b"\x80\x02](" + b"h\x00" * 1000 + b"e.",
    ],
)
def test_a_bomb_takes_no_more_memory_than_its_length_asks_for(data):
    tracemalloc.start()
    try:
        with contextlib.suppress(BatchPickleError):
            assert read_batch(data) == {}
        assert tracemalloc.get_traced_memory()[1] < 100_000 + 200 * len(data)
    finally:
        tracemalloc.stop()


def test_values_nested_deep_do_not_end_the_process():
    """Hashing them would."""
    nested = b"\x80\x04" + b"(" * 300_000 + b"t" * 300_000
    with pytest.raises(BatchPickleError, match=r"asking for something\.a"):
        read_batch(nested + b"\x8c\x01a\x93.")


def test_a_key_is_text_not_a_tuple():
    with pytest.raises(BatchPickleError, match="a key that is no text"):
        read_batch(b"\x80\x04})K\x01s.")
