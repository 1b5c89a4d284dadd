"""Training in hardware: images and clock cycles a second, and that the bits are those of `fixed`.

    python benchmarks/rtl_training.py --images 2000
    python benchmarks/rtl_training.py --images 64 --harness cocotb
    python benchmarks/rtl_training.py --images 2000 --dac-bits 6    # an hour

Trains the CNN on Fashion-MNIST with the default parameters, rank 4, in batches of 64: in the golden
model, then in the hardware. Reads are ideal, or all through its converters. The first run builds
the simulation, which no time counts.
"""

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from golden_model import checkpoints, datasets, training
from golden_model.files import write_json
from golden_model.reads import Reads
from golden_model.training_settings import TrainingSettings
from sim import rtl_training
from sim.rtl_training import HARNESSES, Simulation


def main() -> int:
    """Print a line an arithmetic; fail if they differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--harness", choices=HARNESSES, default=HARNESSES[0])
    parser.add_argument("--simulator", default="verilator")
    parser.add_argument(
        "--dac-bits", type=int, help="read through converters, inputs of these bits"
    )
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    reads = Reads() if options.dac_bits is None else Reads("analog", dac_bits=options.dac_bits)
    settings = TrainingSettings(train_limit=options.images, array="pulsed", reads=reads)
    data = datasets.load(settings.dataset)
    with tempfile.TemporaryDirectory() as name:
        fixed, rtl = Path(name) / "fixed", Path(name) / "rtl"
        expected = training.train(settings, data, checkpoint=fixed)
        result = rtl_training.train(
            replace(settings, arithmetic="rtl"),
            data,
            hardware=Simulation(options.harness, options.simulator),
            checkpoint=rtl,
        )
        (wanted, _), (arrays, _) = checkpoints.load(fixed), checkpoints.load(rtl)
    compared = {key: array for key, array in wanted.items() if not key.endswith("/writes")}
    equal = all(np.array_equal(arrays[key], array) for key, array in compared.items())
    values = sum(array.size for array in compared.values())
    machine = result["machine"]
    rates = {
        "fixed_images_per_second": expected["images_per_second"],
        "rtl_images_per_second": result["images_per_second"],
        **machine,
        "values_compared": values,
        "equal": equal,
    }
    print(f"fixed: {expected['images_per_second']:.1f} images/s")
    print(
        f"rtl, {options.harness}: {result['images_per_second']:.2f} images/s, "
        f"{machine['cycles']} clock cycles, {machine['cycles_per_second']:.0f} cycles/s"
    )
    print(f"{values} words, weights and cells {'are equal' if equal else 'DIFFER'}")
    if options.json is not None:
        write_json(options.json, rates)
    return not equal


if __name__ == "__main__":
    sys.exit(main())
