"""Where weights live and how they descend: exactly in float, or by pulses in a crossbar."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import numpy as np

from golden_model import scalar
from golden_model.counters import Counters
from golden_model.crossbar import Crossbar, Writes, update_rate
from golden_model.device_array import DeviceArray
from golden_model.device_presets import PRESETS
from golden_model.devices import (
    LAWS,
    ROUNDINGS,
    ConstantStep,
    DeviceError,
    ExponentialStep,
    Law,
    LinearStep,
    Population,
    Variation,
    symmetry_point,
)
from golden_model.drift import Drift
from golden_model.layer_reads import LayerReads
from golden_model.layers import WeightLayer
from golden_model.optimizers import WordFactors
from golden_model.parameters import Parameters
from golden_model.rank_sum import device_steps
from golden_model.reads import Reads
from golden_model.sbpca import Array, Factors
from golden_model.weight_cells import PairedCells, ReferencedCells, Refresh, WeightCells


@dataclass
class UpdateCounters(Counters):
    """What the updates did, added up."""

    pulses: int = 0
    """Pulses on lines."""
    clips: int = 0
    """Column duties that clipped."""
    coincidences: int = 0
    """Coincidences of a row pulse and a column pulse."""
    bounded: int = 0
    """Pulses of a device without effect, mostly because it was at its bound."""
    cell_writes: int = 0
    """Cells stepped by themselves (rank-sum), each once an update."""


class WeightArray(Protocol):
    """What training asks of the array behind a layer."""

    def descend(self, gradient: Array | Factors, rate: float, seed: int) -> UpdateCounters:
        """Change the layer's weights by about -`rate` * `gradient`; `seed` draws what is random."""
        ...

    @property
    def writes(self) -> Writes:
        """How often the devices have been written since the training began."""
        ...

    def state(self) -> dict[str, Array]:
        """The weights as named arrays, for a checkpoint."""
        ...

    def restore(self, arrays: dict[str, Array]) -> None:
        """Continue from arrays that `state` returned."""
        ...


class IdealArray:
    """Weights in floating point, changed by exactly the gradient or its factors."""

    def __init__(self, layer: WeightLayer) -> None:
        """The weights of `layer` as they are."""
        self._layer = layer

    def descend(self, gradient: Array | Factors, rate: float, seed: int) -> UpdateCounters:
        """See `WeightArray`. Weights that overflow are the caller's to notice."""
        with np.errstate(over="ignore", invalid="ignore"):
            if isinstance(gradient, Factors):
                change = (gradient.delta * (rate * gradient.weight)) @ gradient.x.T
            else:
                change = rate * gradient
            self._layer.weights -= change.astype(self._layer.weights.dtype, copy=False)
        return UpdateCounters()

    @property
    def writes(self) -> Writes:
        """See `WeightArray`: there are no devices."""
        return Writes(0, 0, 0)

    def state(self) -> dict[str, Array]:
        """See `WeightArray`."""
        return {"weights": self._layer.weights.copy()}

    def restore(self, arrays: dict[str, Array]) -> None:
        """See `WeightArray`."""
        self._layer.weights[:] = arrays["weights"]


RANK_SEQUENTIAL, RANK_SUM = "rank-sequential", "rank-sum"
UPDATES = (RANK_SEQUENTIAL, RANK_SUM)
"""How a pulsed array is updated: outer product by outer product, rows and columns driven together,
or cell by cell with the change summed outside (`golden_model.rank_sum`)."""

IDEAL = "ideal"
"""The law of devices that count their pulses exactly, as the co-simulated crossbar's do."""

CELLS = ("single", "pair", "one-sided-pair")
"""What a weight is: a device against a reference, or a pair whose devices are pulsed up and down,
or up only."""

REFERENCES = ("middle", "symmetry")
"""What a single device is compared with: the middle of the range, or its own symmetry point."""


@dataclass(frozen=True)
class Device:
    """The devices of a pulsed array.

    Raises `DeviceError` for an unknown word, an asymmetry outside -1 to 1, and a least number of
    slots that is no power of two.
    """

    states: int = 1024
    """Conductance states of a device: its range is `states` - 1 nominal steps."""
    weight_range: float = 6.0
    """Largest weight, in standard deviations of the layer's initial weights."""
    scrambled: bool = True
    """Pulses are scrambled low-discrepancy ones, otherwise stochastic ones."""
    min_slots: int = 1
    """Least slots of a phase, a power of two (SLOTS.min); the accelerator's most prevail."""
    law: str = IDEAL
    """How a pulse moves a device: `ideal`, or one of `devices.LAWS`."""
    asymmetry: float = 0.0
    """(up - down) / (up + down) of the steps in the middle of the range (not ideal)."""
    variation: Variation = field(default_factory=Variation)
    """What differs from device to device and pulse to pulse (not ideal)."""
    linear: LinearStep = field(default_factory=LinearStep)
    """Slopes of the law `linear-step`."""
    exponential: ExponentialStep = field(default_factory=ExponentialStep)
    """Constants of the law `exponential-step`."""
    rounding: str = "none"
    """Whether a train of pulses ends at one of the states, and how: see `devices.ROUNDINGS` (not
    ideal)."""
    drift: Drift = field(default_factory=Drift)
    """How conductances change between writes (not ideal)."""
    cell: str = "single"
    """What a weight is: one of `CELLS`."""
    reference: str = "middle"
    """What a single device is compared with: one of `REFERENCES` (not ideal)."""
    refresh: Refresh = field(default_factory=Refresh)
    """When pairs are reset and written anew (pairs)."""

    def __post_init__(self) -> None:
        choices = {
            "law": (IDEAL, *LAWS),
            "rounding": ROUNDINGS,
            "cell": CELLS,
            "reference": REFERENCES,
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise DeviceError(
                    f"device {name} = {getattr(self, name)!r} is unknown; "
                    f"choose from {', '.join(allowed)}"
                )
        if not (
            isinstance(self.min_slots, int)
            and self.min_slots > 0
            and self.min_slots.bit_count() == 1
        ):
            raise DeviceError(f"device min_slots = {self.min_slots!r} must be a power of two")
        if not -1 < self.asymmetry < 1:
            raise DeviceError(f"device asymmetry = {self.asymmetry} must be between -1 and 1")

    @classmethod
    def preset(cls, name: str) -> Device:
        """The device of preset `name` (`device_presets`); raises `DeviceError` if there is none."""
        if name not in PRESETS:
            raise DeviceError(
                f"unknown device preset {name!r}; choose one of: {', '.join(PRESETS)}"
            )
        return cls(**PRESETS[name].settings)

    @property
    def update_law(self) -> Law:
        """The law with its parameters. Ideal devices, where they are not single, are constant."""
        laws: dict[str, Law] = {
            **LAWS,
            IDEAL: ConstantStep(),
            "linear-step": self.linear,
            "exponential-step": self.exponential,
        }
        return laws[self.law]

    def cells(self, shape: tuple[int, ...], seed: int) -> WeightCells:
        """Cells for the weights of an array of `shape`, of devices that `seed` draws."""
        top = self.states - 1
        if self.cell == "single":
            population = self._population(shape, seed)
            if self.reference == "middle":
                return ReferencedCells(self._array(population, self.states // 2, shape, seed), top)
            point = symmetry_point(population.law, population.cells, shape)
            return ReferencedCells(self._array(population, point, shape, seed), top, point)
        one_sided = self.cell == "one-sided-pair"
        start = 0 if one_sided else self.states // 2
        # Two arrays of one seed: numbers beyond those that a layer's array may have as its seed.
        plus, minus = (
            self._array(self._population(shape, part), start, shape, part)
            for part in (seed, seed + _SECOND)
        )
        return PairedCells(plus, minus, top, self.refresh, one_sided=one_sided)

    def _population(self, shape: tuple[int, ...], seed: int) -> Population:
        ideal = self.law == IDEAL
        return Population.draw(
            self.update_law,
            Variation() if ideal else self.variation,
            0.0 if ideal else self.asymmetry,
            self.states,
            shape,
            seed,
            "none" if ideal else self.rounding,
        )

    def _array(
        self, population: Population, start: float | Array, shape: tuple[int, ...], seed: int
    ) -> DeviceArray:
        if self.law == IDEAL:
            return DeviceArray(population, Drift(), start, shape, seed)
        write = self.variation.write * (self.states - 1)
        return DeviceArray(population, self.drift, start, shape, seed, write)


_SECOND = 1 << 32
"""Added to a seed for the second device of a pair."""


class PulsedArray:
    """Weights in crossbar tiles, changed by the drivers' pulses.

    The layer computes with the weights read exactly from the crossbar after every update, or by the
    crossbar's analog reads (`golden_model.layer_reads`). The crossbar's range is a multiple of the
    standard deviation of the layer's initial weights, sqrt(2 / inputs).
    """

    def __init__(
        self,
        parameters: Parameters,
        layer: WeightLayer,
        device: Device,
        seed: int = 0,
        *,
        update: str = RANK_SEQUENTIAL,
        reads: Reads | None = None,
        read_seed: Sequence[int] = (),
    ) -> None:
        """Program the weights of `layer` into tiles; they become the nearest states.

        `seed` draws what differs from device to device, `read_seed` the noise of `reads`, which are
        ideal unless given. `update` is one of `UPDATES`. Raises `ReadError` for reads that the
        golden model cannot hold exactly.
        """
        m, n = layer.weights.shape
        self._layer = layer
        self._scrambled = device.scrambled
        self._slots_min = device.min_slots.bit_length() - 1
        self._slots_max = parameters.max_slots.bit_length() - 1
        self._update = update
        weight_range = device.weight_range * math.sqrt(2.0 / (n - 1))
        exact = device.law == IDEAL and device.cell == "single"
        cells = None if exact else partial(device.cells, seed=seed)
        self._crossbar = Crossbar(parameters, m, n, weight_range, device.states, cells)
        self._crossbar.program(layer.weights, seed)
        if reads is not None and reads.mode == "analog":
            layer.reads = self._layer_reads(reads, parameters, read_seed)
        self._read()

    def _layer_reads(self, reads: Reads, parameters: Parameters, seed: Sequence[int]) -> LayerReads:
        return LayerReads(reads, parameters, self._crossbar.largest_cell, seed)

    def descend(self, gradient: Array | Factors, rate: float, seed: int) -> UpdateCounters:
        """See `WeightArray`. Raises TypeError for a gradient that no driver can apply."""
        if self._update == RANK_SUM:
            return self._descend_cell_by_cell(gradient, rate, seed)
        if not isinstance(gradient, WordFactors):
            raise TypeError(
                "a crossbar is updated by the words of fixed-point SBPCA, not by "
                f"{type(gradient).__name__}"
            )
        steps = update_rate(rate, gradient.exponent, gradient.weighed, self._crossbar.device_step)
        counters = self._pulse(gradient, steps, seed)
        self._read()
        return counters

    def _pulse(self, gradient: WordFactors, rate: float, seed: int) -> UpdateCounters:
        """Pulse the crossbar with `rate`, RATE of the accelerator."""
        report = self._crossbar.update(
            gradient.x,
            gradient.delta,
            [scalar.multiply(scale, rate) for scale in gradient.scale.tolist()],
            slots_min=self._slots_min,
            slots_max=self._slots_max,
            scrambled=self._scrambled,
            seed=seed,
        )
        return UpdateCounters(report.pulses, report.clips, report.coincidences, report.bounded)

    def _descend_cell_by_cell(
        self, gradient: Array | Factors, rate: float, seed: int
    ) -> UpdateCounters:
        """Sum the change outside the array and step each cell, a pulse on its two lines a step."""
        steps = device_steps(
            gradient, rate / self._crossbar.device_step, self._crossbar.largest_cell + 1, seed
        )
        bounded = self._crossbar.step(steps, seed)
        self._read()
        written = int(np.abs(steps).sum(dtype=np.float64))
        return UpdateCounters(
            pulses=2 * written,
            coincidences=written,
            bounded=bounded,
            cell_writes=int(np.count_nonzero(steps)),
        )

    @property
    def writes(self) -> Writes:
        """See `WeightArray`."""
        return self._crossbar.writes

    def state(self) -> dict[str, Array]:
        """See `WeightArray`."""
        return self._crossbar.state()

    def restore(self, arrays: dict[str, Array]) -> None:
        """See `WeightArray`."""
        self._crossbar.restore(arrays)
        self._read()

    def _read(self) -> None:
        self._crossbar.read(self._layer.weights)
        if self._layer.reads is not None:
            self._layer.reads.load(*self._crossbar.signed_cells)
