"""Co-simulation: the generated Verilog against the golden model, on random or training data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from golden_model import scalar, training
from golden_model.cost import IDEAL_BLOCK_CYCLES
from golden_model.crossbar import update_rate
from golden_model.datasets import Dataset
from golden_model.files import write_json
from golden_model.fixed import FixedState, Units, fill_words, initial_fixed_state
from golden_model.formats import Words
from golden_model.half_select import SCHEMES
from golden_model.parameters import Parameters
from golden_model.sbpca import blocks
from golden_model.training import LayerSample
from golden_model.training_settings import TrainingSettings
from hdl.accelerator import Accelerator
from hdl.verilog import Design, to_verilog
from sim.job import Answer, Batch, Job, Update
from sim.runner import Build, build, run
from sim.tools import environment
from sim.trace import Trace

DATA = ("gaussian", "minimum", "maximum", "zeros", "rank-deficient", "one-sample")
"""Kinds of random data; `mixed` takes them in turn."""

BENCH = "sim.bench"


class CosimError(ValueError):
    """A co-simulation cannot be done as asked."""


def check_shape(parameters: Parameters, m: int, n: int, k: int, block: int) -> None:
    """Raise `CosimError` unless the accelerator of `parameters` can run the shape."""
    for name, value, high in (
        ("m", m, parameters.max_m),
        ("n", n, parameters.max_n),
        ("k", k, min(parameters.max_rank, max(m, 1), max(n, 1))),
    ):
        if not 1 <= value <= high:
            raise CosimError(f"{name} = {value} must be from 1 to {high} on these parameters")
    limit = parameters.block_limit(m, n)
    if not 1 <= block <= limit:
        raise CosimError(f"b = {block} must be from 1 to {limit}, which the block buffer holds")


def random_words(
    parameters: Parameters, kind: str, samples: int, size: int, random: np.random.Generator
) -> Words:
    """Activations or errors of a `kind` of `DATA`, samples x size."""
    word = parameters.word
    match kind:
        case "minimum":
            return np.full((samples, size), float(word.minimum))
        case "maximum":
            return np.full((samples, size), float(word.maximum))
        case "zeros":
            return np.zeros((samples, size))
        case "rank-deficient":
            values = np.outer(random.standard_normal(samples), random.standard_normal(size))
        case _:
            values = random.standard_normal((samples, size))
    return word.quantise(values)[0]


def random_batches(
    parameters: Parameters,
    shape: tuple[int, int, int, int],
    block_count: int,
    batch_count: int,
    kind: str,
    seed: int,
    *,
    update: bool,
) -> list[Batch]:
    """Batches of random data of shape m, n, k, b; each but the first goes on from the one before.

    The last of several blocks is short by one sample. Raises `CosimError` for a shape that does
    not fit, or an unknown kind.
    """
    m, n, k, block = shape
    check_shape(parameters, m, n, k, block)
    if block_count < 1 or batch_count < 1:
        raise CosimError("there must be at least one block and one batch")
    if kind not in (*DATA, "mixed"):
        raise CosimError(f"unknown data {kind!r}; choose one of: {', '.join((*DATA, 'mixed'))}")
    random = np.random.default_rng(seed)
    result = []
    for index in range(batch_count):
        chosen = DATA[index % len(DATA)] if kind == "mixed" else kind
        sizes = [1] if chosen == "one-sample" else [block] * block_count
        if len(sizes) > 1 and block > 1:
            sizes[-1] -= 1
        # Factors of zero history, and now and then of much, loaded; otherwise carried on chip.
        state = None
        if index % 4 == 0:
            weight = 0.0 if index % 8 == 0 else 2.0 ** random.integers(0, 2 * parameters.width)
            state = FixedState(
                fill_words(parameters, random.standard_normal((n, k))),
                fill_words(parameters, random.standard_normal((m, k))),
                np.full(k, weight),
            )
        result.append(
            Batch(
                f"{chosen} {index}",
                m,
                n,
                k,
                [
                    (
                        random_words(parameters, chosen, samples, n, random),
                        # Zero errors: an all-zero block has no zero activations besides.
                        random_words(parameters, chosen, samples, m, random),
                    )
                    for samples in sizes
                ],
                state,
                scalar.round_scalar(1 / (1 + block_count)),
                _random_update(parameters, m, n, index, seed) if update else None,
            )
        )
    return result


def _random_update(parameters: Parameters, m: int, n: int, index: int, seed: int) -> Update:
    most = parameters.max_slots.bit_length() - 1
    row, column = np.random.default_rng([seed, index]).integers(
        0,
        (
            parameters.grid_rows - -(-n // parameters.tile_rows),
            parameters.grid_columns - -(-m // parameters.tile_columns),
        ),
        endpoint=True,
    )
    return Update(
        # From about one step for the largest products of a gradient that fills its words, to so
        # many that duties clip.
        rate=scalar.round_scalar(2.0 ** (8 - 3 * parameters.width + 4 * (index % 4))),
        slots_min=min(2, most),
        slots_max=min(5, most),
        scrambled=index % 2 == 0,
        seed=seed + index + 1,
        levels=SCHEMES[(index + 1) % len(SCHEMES)],
        slot_length=1 + 2 * (index % 3 == 1),
        dead=2 * (index % 3),
        origin=(int(row), int(column)),
    )


def training_batches(
    settings: TrainingSettings, dataset: Dataset, steps: int, count: int = 1, *, update: bool
) -> list[Batch]:
    """The runs for the `count` batches after the first `steps` of a training run, layer by layer.

    Raises `TrainingError` if an epoch has fewer batches, `CosimError` for a layer that does not
    fit.
    """
    return [
        batch
        for samples in training.capture(settings, dataset, steps, count)
        for batch in layer_batches(
            settings.parameters, samples, settings.seed, settings.learning_rate, update=update
        )
    ]


def layer_batches(
    parameters: Parameters,
    samples: Sequence[LayerSample],
    seed: int,
    learning_rate: float,
    *,
    update: bool,
) -> list[Batch]:
    """The runs for successive batches of a layer in training, the first from a cold state.

    The rank is cut to the accelerator's max_rank, and blocks to its buffer. Raises `CosimError` for
    a layer that does not fit.
    """
    m, n = samples[0].errors.shape[-1], samples[0].activations.shape[-1]
    k = min(samples[0].rank, parameters.max_rank, m, n)
    block_size = min(samples[0].block, parameters.block_limit(m, n), len(samples[0].errors))
    check_shape(parameters, m, n, k, block_size)
    state: FixedState | None = initial_fixed_state(parameters, m, n, k, seed)
    units = Units()
    runs = []
    for number, sample in enumerate(samples):
        a, a_exponent = parameters.word.quantise(sample.activations)
        d, d_exponent = parameters.word.quantise(sample.errors)
        block = min(block_size, len(d))
        exponent = a_exponent + d_exponent
        carry = units.carry(block, exponent)
        units = Units(float(block + len(d)), exponent)
        pulses = _layer_update(parameters, sample, units, learning_rate, seed + number + 1)
        parts = [(a[part], d[part]) for part in blocks(len(d), block)]
        name = f"{sample.name} {number}" if len(samples) > 1 else sample.name
        runs.append(Batch(name, m, n, k, parts, state, carry, pulses if update else None))
        state = None
    return runs


def _layer_update(
    parameters: Parameters, sample: LayerSample, units: Units, learning_rate: float, seed: int
) -> Update:
    """The update of a layer whose weights, from -1 to 1, are in devices of 256 states.

    At least 16 slots a phase, because with one or two the cells of a tile step together.
    """
    states = 256
    samples_an_image = len(sample.errors) // sample.images
    rate = update_rate(
        learning_rate, units.exponent, units.weighed / samples_an_image, 2 / (states - 1)
    )
    most = parameters.max_slots.bit_length() - 1
    return Update(rate, min(4, most), min(6, most), True, seed, states=states)


def build_accelerator(parameters: Parameters, simulator: str, folder: Path | None = None) -> Build:
    """The accelerator of `parameters`, built for `simulator` or found built."""
    design = Design.of(parameters)
    signals = [*(port.name for port in design.ports), "status_phase"]
    return build(design.verilog, signals, simulator, folder)


def build_traced(parameters: Parameters, simulator: str, folder: Path | None = None) -> Build:
    """The same with trace ports."""
    accelerator = Accelerator(parameters, trace=True)
    return build(
        to_verilog(accelerator), ["clk", "rst", *accelerator.signature.members], simulator, folder
    )


def cosimulate(
    parameters: Parameters,
    batches: list[Batch],
    simulator: str,
    *,
    stall: float = 0.0,
    seed: int = 0,
    folder: Path | None = None,
    results: Path | None = None,
    trace: Path | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Run `batches` on the RTL and compare; the results, which JSON can hold.

    The traces of both sides go to folder `trace`, made if need be, and their first difference to
    the results. They also go to `results` as they come, some batches at a time.

    Raises `SimulatorError` if the simulator is missing or the bench fails; the results so far then
    remain. `CosimError` if the folder of traces cannot be written.
    """
    environment(simulator)  # before the time that generation takes
    if trace is not None:
        try:
            trace.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CosimError(f"cannot write traces to {trace}: {error.strerror}") from error
    progress(f"building the accelerator for {simulator}")
    traced = trace is not None
    built = (build_traced if traced else build_accelerator)(parameters, simulator, folder)
    answers: list[Answer] = []
    lines = Trace()
    for part in _runs(batches):
        done = sum(len(answer.batches) for answer in answers)
        progress(f"simulating {part[0].name}, {done} of {len(batches)} batches done")
        job = Job(parameters, part, stall, seed, trace=traced)
        answers.append(run(built, BENCH, job, "batches"))
        summary = {
            "simulator": simulator,
            "parameters": parameters.as_dict(),
            "stall": stall,
            "seed": seed,
            **_summary(answers),
        }
        if trace is not None:
            lines.add(answers[-1].trace)
            lines.write(trace)
            summary["first_difference"] = lines.first_difference()
        if results is not None:
            write_json(results, summary)
    return summary


def _summary(runs: Sequence[Answer]) -> dict[str, Any]:
    """The answers added up, and each batch's own."""
    answers = [answer for run in runs for answer in run.batches]
    cycles = sum(run.simulated_cycles for run in runs)
    seconds = sum(run.seconds for run in runs)
    return {
        "values_compared": sum(answer.values_compared for answer in answers),
        "mismatches": sum(answer.mismatches for answer in answers),
        "cycles": sum(answer.cycles for answer in answers),
        "ideal_cycles": sum(answer.ideal_cycles for answer in answers),
        "ideal_formula": IDEAL_BLOCK_CYCLES,
        "simulated_cycles": cycles,
        "cycles_per_second": cycles / seconds if seconds else 0.0,
        "saturations": sum(answer.saturations for answer in answers),
        "multiply_cycles": sum(answer.multiply_cycles for answer in answers),
        "update_cycles": sum(answer.update_cycles for answer in answers),
        "slots": sum(answer.slots for answer in answers),
        "pulses": sum(answer.pulses for answer in answers),
        "clips": sum(answer.clips for answer in answers),
        "batches": [asdict(answer) for answer in answers],
    }


def _runs(batches: list[Batch], length: int = 16) -> Iterator[list[Batch]]:
    """Batches in groups of about `length`, each beginning with one that loads its state."""
    group: list[Batch] = []
    for batch in batches:
        if len(group) >= length and batch.state is not None:
            yield group
            group = []
        group.append(batch)
    if group:
        yield group
