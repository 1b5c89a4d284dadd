"""What defines a training run, validated; and what follows from it for each layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from golden_model.architectures import NETWORKS, layer_shapes
from golden_model.arrays import IDEAL, RANK_SEQUENTIAL, UPDATES, Device
from golden_model.crossbar import MAX_STATES
from golden_model.datasets import DATASETS
from golden_model.optimizers import LayerPlan
from golden_model.parameters import PRESETS, Parameters
from golden_model.read_pins import SUM_BITS
from golden_model.reads import MAX_DAC_BITS, Reads
from golden_model.twin import MAX_STATES as MAX_TWIN_STATES

OPTIMIZERS = ("mbgd", "sgd", "sbpca", "sbe", "svd", "lrt", "lrt-unbiased")
RANKED = ("sbpca", "svd", "lrt", "lrt-unbiased")
"""Optimisers with a rank of the user's."""
SCHEDULES = ("constant", "step", "cosine")
HARDWARE = ("rtl", "board")
"""Arithmetics that hardware computes, see `golden_model.machine`."""
ARITHMETICS = ("float", "fixed", *HARDWARE)
ARRAYS = ("ideal", "pulsed")

MAX_BATCH = 1_000_000
"""Images of an update at most, several times what any data set here has."""


class TrainingError(ValueError):
    """A training run cannot be done as asked, or diverged."""


@dataclass(frozen=True)
class TrainingSettings:
    """Everything that the result of a training run depends on. Immutable; validated.

    Raises `TrainingError` for a value that is not allowed.
    """

    dataset: str = "fashion-mnist"
    """Name of the data set."""
    network: str = "cnn"
    """Name of the network."""
    optimizer: str = "sbpca"
    """`mbgd`, mini-batch gradient descent; `sgd`, the same after every image; `sbpca`; `sbe`,
    streaming batch eigenupdates (SBPCA of rank 1, an image a block); `svd`, the best approximation
    of the gradient; `lrt` or `lrt-unbiased`, low-rank training."""
    rank: int = 4
    """Outer products of an update (sbpca, svd, lrt); a layer's rank is min(rank, m, n)."""
    layer_ranks: tuple[int, ...] | None = None
    """A rank for each layer with weights, in place of `rank`."""
    block: int = 8
    """Images a block (sbpca, lrt), cut for each layer to what the block buffer holds."""
    momentum: float | None = None
    """Share of the previous batch's factors in the new ones (sbpca, sbe), from 0 to below 1;
    without one they weigh as many samples as a block has, as published."""
    arithmetic: str = "fixed"
    """`float`; `fixed` for the accelerator's integers (sbpca, sbe); `rtl` and `board` for the
    same integers computed by the generated hardware, in simulation or on a board."""
    array: str = "ideal"
    """`ideal`, weights in float, or `pulsed`, weights in a crossbar."""
    update: str = RANK_SEQUENTIAL
    """How a pulsed array is updated: `rank-sequential`, an outer product of the accelerator's words
    after another (sbpca in fixed), or `rank-sum`, cell by cell with the change summed outside."""
    reads: Reads = field(default_factory=Reads)
    """How a pulsed array is read."""
    parameters: Parameters = field(default_factory=Parameters)
    """The accelerator."""
    device: Device = field(default_factory=Device)
    """The crossbar's devices and pulses."""
    epochs: int = 1
    """Passes over the training images."""
    batch: int = 64
    """Images an update."""
    learning_rate: float = 0.1
    """Step along the gradient of the mean loss, in the first epoch."""
    schedule: str = "constant"
    """How the learning rate goes on: `constant`; `step`, times `decay` after every
    `decay_epochs` epochs; `cosine`, falling to zero after the last epoch as half a cosine."""
    decay: float = 0.5
    """Factor of the learning rate (step)."""
    decay_epochs: int = 1
    """Epochs after which the learning rate changes (step)."""
    seed: int = 0
    """Determines initial weights, initial factors, the order of the images and random pulses."""
    train_limit: int | None = None
    """Train with the first so many images only."""

    def __post_init__(self) -> None:
        self._check_choice("dataset", DATASETS)
        self._check_choice("network", NETWORKS)
        self._check_choice("optimizer", OPTIMIZERS)
        self._check_choice("arithmetic", ARITHMETICS)
        self._check_choice("array", ARRAYS)
        self._check_choice("update", UPDATES)
        self._check_choice("schedule", SCHEDULES)
        for name in ("rank", "block", "epochs", "batch", "decay_epochs"):
            self._check_integer(name, getattr(self, name), 1)
        if self.batch > MAX_BATCH:
            raise TrainingError(f"batch = {self.batch} must be at most {MAX_BATCH} images")
        self._check_integer("seed", self.seed, 0)
        if self.layer_ranks is not None:
            object.__setattr__(self, "layer_ranks", tuple(self.layer_ranks))
            for rank in self.layer_ranks:
                self._check_integer("layer_ranks", rank, 1)
        if self.train_limit is not None:
            self._check_integer("train_limit", self.train_limit, 1)
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise TrainingError(
                f"learning_rate = {self.learning_rate} must be a finite number above 0"
            )
        if not (math.isfinite(self.decay) and 0 < self.decay <= 1):
            raise TrainingError(f"decay = {self.decay} must be above 0 and at most 1")
        if self.momentum is not None and not 0 <= self.momentum < 1:
            raise TrainingError(f"momentum = {self.momentum} must be at least 0 and below 1")
        if self.optimizer == "sgd" and self.batch != 1:
            raise TrainingError(
                f"optimizer = sgd updates after every image: batch = {self.batch} must be 1"
            )
        if not 2 <= self.device.states <= MAX_STATES:
            raise TrainingError(
                f"device states = {self.device.states} must be from 2 to {MAX_STATES}"
            )
        if not (math.isfinite(self.device.weight_range) and self.device.weight_range > 0):
            raise TrainingError(
                f"device weight_range = {self.device.weight_range} must be a finite number above 0"
            )
        rank_sequential = self.array == "pulsed" and self.update == RANK_SEQUENTIAL
        if rank_sequential and (self.optimizer != "sbpca" or not self.fixed):
            raise TrainingError(
                "array = pulsed goes with optimizer = sbpca and arithmetic = fixed, rtl or board: "
                "the drivers apply the accelerator's words, an array cannot take a whole gradient "
                "at once; update = rank-sum writes cell by cell, and takes every optimizer and "
                "arithmetic"
            )
        if self.array == "ideal" and self.update != RANK_SEQUENTIAL:
            raise TrainingError(f"update = {self.update} goes with array = pulsed")
        if self.array == "ideal" and self.reads.mode != "ideal":
            raise TrainingError(
                f"reads mode = {self.reads.mode} goes with array = pulsed: weights in float have "
                "no lines to drive"
            )

        if self.arithmetic in HARDWARE:
            self._check_hardware()

    def _check_hardware(self) -> None:
        """The hardware pulses the accelerator's words into a digital twin of ideal devices."""
        for name, value, allowed in (
            ("array", self.array, "pulsed"),
            ("update", self.update, RANK_SEQUENTIAL),
            ("device law", self.device.law, IDEAL),
            ("device cell", self.device.cell, "single"),
        ):
            if value != allowed:
                raise TrainingError(
                    f"{name} = {value} does not go with arithmetic = {self.arithmetic}, whose "
                    f"array is the digital twin of ideal devices: set {name} to {allowed}, or "
                    "arithmetic to fixed"
                )
        if self.reads.mode == "analog":
            self._check_hardware_reads()
        if self.device.states > MAX_TWIN_STATES:
            raise TrainingError(
                f"device states = {self.device.states} exceed the digital twin's "
                f"{MAX_TWIN_STATES} (arithmetic = {self.arithmetic}): take fewer, or "
                "arithmetic = fixed"
            )

    def _check_hardware_reads(self) -> None:
        """The accelerator's converters bound what reads may ask for; they have no noise."""
        reads, parameters = self.reads, self.parameters
        for name, value, most, limit in (
            ("dac_bits", reads.dac_bits, min(MAX_DAC_BITS, parameters.width), "the word's width"),
            ("adc_bits", reads.adc_bits, parameters.adc_bits, "the accelerator's adc_bits"),
            ("sum_bits", reads.sum_bits, SUM_BITS, "the accelerator's sums"),
            ("input_noise", reads.input_noise, 0, "converters without noise"),
            ("output_noise", reads.output_noise, 0, "converters without noise"),
        ):
            if value > most:
                raise TrainingError(
                    f"reads {name} = {value} must be at most {most} with arithmetic = "
                    f"{self.arithmetic}: {limit}"
                )

    def _check_choice(self, name: str, choices: Sequence[str]) -> None:
        if getattr(self, name) not in choices:
            raise TrainingError(
                f"{name} = {getattr(self, name)!r} is unknown; choose one of: {', '.join(choices)}"
            )

    @staticmethod
    def _check_integer(name: str, value: object, low: int) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or value < low:
            raise TrainingError(f"{name} = {value!r} must be an integer of at least {low}")

    @property
    def fixed(self) -> bool:
        """Whether the accelerator's integers are used."""
        return self.arithmetic != "float" and self.optimizer in ("sbpca", "sbe")

    def learning_rate_in(self, epoch: int) -> float:
        """Learning rate of `epoch`, counted from 1."""
        if self.schedule == "step":
            return self.learning_rate * self.decay ** ((epoch - 1) // self.decay_epochs)
        if self.schedule == "cosine":
            return self.learning_rate * (1 + math.cos(math.pi * (epoch - 1) / self.epochs)) / 2
        return self.learning_rate

    def as_dict(self) -> dict[str, Any]:
        """The settings by name, those of accelerator and devices nested."""
        values = asdict(self)
        if self.layer_ranks is not None:
            values["layer_ranks"] = list(self.layer_ranks)  # as JSON has it
        return values

    def plan(self, shape: tuple[int, int, int], classes: int) -> list[LayerPlan]:
        """Rank and block of each layer with weights, for images of `shape` (C, H, W).

        Float has the blocks of fixed, so that both are compared on equal terms. Raises
        `TrainingError` for a layer or a rank that the accelerator cannot hold, and for a rank above
        that of every layer, and `NetworkError` for images that do not fit the network.
        """
        layers = layer_shapes(self.network, shape, classes)
        highest = max(min(layer.m, layer.n) for layer in layers)
        if self.optimizer in RANKED and self.layer_ranks is None and self.rank > highest:
            raise TrainingError(
                f"rank = {self.rank} is above every layer's: a layer's is min(rank, m, n), which "
                f"is {highest} at most here; lower the rank or take a larger network"
            )
        ranks = self.layer_ranks or (self.rank,) * len(layers)
        if len(ranks) != len(layers):
            raise TrainingError(
                f"layer_ranks has {len(ranks)} ranks for {len(layers)} layers with weights "
                f"({', '.join(layer.name for layer in layers)}): give one for each"
            )
        holding = " or ".join(
            name
            for name, preset in PRESETS.items()
            if all(layer.m <= preset.max_m and layer.n <= preset.max_n for layer in layers)
        )
        plans = []
        for (name, m, n, positions), rank in zip(layers, ranks, strict=True):
            parameters = self.parameters
            if self.optimizer in ("sbpca", "sbe") and (
                m > parameters.max_m or n > parameters.max_n
            ):
                raise TrainingError(
                    f"layer {name} of {m} x {n} weights exceeds the accelerator's max_m x "
                    f"max_n = {parameters.max_m} x {parameters.max_n}: "
                    + (f"take preset {holding}, which holds every layer, " if holding else "")
                    + "raise max_m and max_n, or train a smaller network"
                )
            block = min(self.block * positions, parameters.block_limit(m, n))
            if self.optimizer == "sbe":
                rank, block = 1, min(positions, block)
            rank = min(rank, m, n)
            if self.fixed and rank > parameters.max_rank:
                raise TrainingError(
                    f"rank = {rank} of layer {name} exceeds the accelerator's max_rank = "
                    f"{parameters.max_rank}: lower the rank, raise max_rank, or train in float"
                )
            plans.append(LayerPlan(name, m, n, positions, rank, block))
        return plans


def with_width(parameters: Parameters, width: int) -> Parameters:
    """`parameters` with words of `width` bits, and no more slots than its duties can tell apart."""
    if width < 1:
        return replace(parameters, width=width)  # raises with the range that is allowed
    return replace(parameters, width=width, max_slots=min(parameters.max_slots, 1 << (width - 1)))
