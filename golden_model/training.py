"""Training: batches through network, optimiser and array; checkpoints, results and samples.

Everything random in an epoch is drawn from the seed and the numbers of epoch and step, so a resumed
run computes the same bits as one that was never interrupted (on one machine: the order in which a
BLAS library sums may differ on another).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden_model import checkpoints, network, parallel
from golden_model.arrays import IdealArray, PulsedArray, UpdateCounters, WeightArray
from golden_model.datasets import Dataset
from golden_model.energy import EnergyTable, training_energy
from golden_model.events import Events, batch_read_events, optimizer_events, read_events
from golden_model.files import why_unwritable, write_json
from golden_model.fixed import BatchRunner
from golden_model.images import Images
from golden_model.layer_reads import TESTING, TRAINING, ReadCounters
from golden_model.layers import Array, WeightLayer
from golden_model.machine import Machine, MachineArray
from golden_model.optimizer_cost import BatchCost, batch_cost
from golden_model.optimizers import (
    FixedOptimizer,
    FloatOptimizer,
    LrtOptimizer,
    Mbgd,
    Optimizer,
    Samples,
    Svd,
)
from golden_model.training_settings import HARDWARE, TrainingError, TrainingSettings

Labels = NDArray[np.int64]

UNCOUNTED = ("bounded", "cell_writes")
"""Counters of updates that a machine does not have."""

WRITES = ("writes_worst", "writes_mean")
"""Results of `Trainer.writes`."""


@dataclass(frozen=True)
class Progress:
    """How far a training run is."""

    epoch: int
    """Epoch under way, from 1."""
    images: int
    """Images trained in this epoch."""
    total: int
    """Images of an epoch."""
    loss: float
    """Mean loss of this epoch so far."""


@dataclass(frozen=True)
class LayerSample:
    """What one batch streams into the accelerator for one layer."""

    name: str
    """The layer's name."""
    activations: Array
    """Samples x n."""
    errors: Array
    """Samples x m."""
    images: int
    """Images of the batch."""
    rank: int
    """Rank of the layer's factors."""
    block: int
    """Samples a block."""


class Trainer:
    """A network with its optimiser and arrays, as `settings` have them."""

    def __init__(
        self,
        settings: TrainingSettings,
        shape: tuple[int, int, int],
        classes: int,
        machine: Machine | None = None,
    ) -> None:
        """Start for images of `shape` (C, H, W); raises `TrainingError` if a layer does not fit.

        `machine` computes batches and updates where hardware does, of `HARDWARE`, and nowhere else.
        """
        if (settings.arithmetic in HARDWARE) != (machine is not None):
            needs = "needs a" if machine is None else "takes no"
            raise TrainingError(
                f"arithmetic = {settings.arithmetic} {needs} machine: {' and '.join(HARDWARE)} are "
                "trained by `eigenbar train` and sim.rtl_training.train, the others without one"
            )
        self.settings = settings
        self.machine = machine
        """What computes in place of the golden model, if anything does."""
        self.network = network.build(settings.network, shape, classes, settings.seed)
        layers = self.network.weight_layers
        self.plans = settings.plan(shape, classes)
        self.optimizer = self._optimizer()
        for layer in layers:
            layer.sums_products = self.optimizer.takes_product
        self.arrays = [self._array(index, layer) for index, layer in enumerate(layers)]
        self.counters = UpdateCounters()
        """What updates did since whoever reads it set it anew; so the next two."""
        self.read_counters = ReadCounters()
        self.events = Events()
        self._events_of_batches: dict[int, Events] = {}  # by their images

    def _array(self, index: int, layer: WeightLayer) -> WeightArray:
        settings = self.settings
        if settings.array == "ideal":
            return IdealArray(layer)
        seed = settings.seed + index
        if self.machine is not None:
            return MachineArray(
                self.machine,
                index,
                settings.parameters,
                layer,
                settings.device,
                seed,
                reads=settings.reads,
            )
        return PulsedArray(
            settings.parameters,
            layer,
            settings.device,
            seed,
            update=settings.update,
            reads=settings.reads,
            read_seed=(settings.seed, index),
        )

    @property
    def cost(self) -> BatchCost:
        """What the optimiser takes for a whole batch, all layers together."""
        return self._batch_cost(self.settings.batch)

    def _batch_cost(self, images: int) -> BatchCost:
        settings = self.settings
        costs = [
            batch_cost(settings.optimizer, plan, images, settings.update) for plan in self.plans
        ]
        return sum(costs[1:], costs[0])

    def writes(self) -> dict[str, float]:
        """How often the devices of all layers have been written: the worst of them and the mean.

        Nothing of a machine, which does not count them.
        """
        if self.machine is not None:
            return {}
        writes = [array.writes for array in self.arrays]
        devices = sum(layer.devices for layer in writes)
        return {
            "writes_worst": max(layer.worst for layer in writes),
            "writes_mean": sum(layer.total for layer in writes) / max(devices, 1),
        }

    def _batch_events(self, images: int) -> Events:
        """What follows from the sizes alone for a batch of `images`: reads and optimiser."""
        if images not in self._events_of_batches:
            self._events_of_batches[images] = self._events_from_sizes(images)
        return self._events_of_batches[images]

    def _events_from_sizes(self, images: int) -> Events:
        settings = self.settings
        reads = [
            batch_read_events(settings.reads, settings.parameters, plan, images, first=index == 0)
            for index, plan in enumerate(self.plans)
        ]
        return sum(reads, optimizer_events(self._batch_cost(images)))

    def _optimizer(self) -> Optimizer:
        settings, plans = self.settings, self.plans
        match settings.optimizer:
            case "mbgd" | "sgd":
                return Mbgd()
            case "svd":
                return Svd(plans)
            case "lrt" | "lrt-unbiased":
                unbiased = settings.optimizer == "lrt-unbiased"
                return LrtOptimizer(plans, settings.seed, unbiased=unbiased)
        if settings.fixed:
            runs = [self._batch_runner(index) for index in range(len(plans))]
            return FixedOptimizer(
                settings.parameters, plans, settings.seed, settings.momentum, runs
            )
        return FloatOptimizer(plans, settings.seed, settings.momentum)

    def _batch_runner(self, layer: int) -> BatchRunner | None:
        """What computes the batches of `layer` in place of the golden model, if anything does."""
        return None if self.machine is None else partial(self.machine.factorise, layer)

    def step(self, images: Array, labels: Labels, seed: int = 0, epoch: int = 1) -> float:
        """Train with one batch; returns its mean loss. `seed` draws what is random in pulses.

        The learning rate is that of `epoch`.

        Raises `TrainingError` when the loss or the gradient is no longer finite.
        """
        loss = self.backpropagate(images, labels, seed, epoch)
        rate = self.settings.learning_rate_in(epoch)
        if not math.isfinite(loss):
            raise TrainingError(f"the loss became {loss}: {self._remedy()}")

        def update(index: int) -> UpdateCounters:
            layer, array = self.network.weight_layers[index], self.arrays[index]
            try:
                samples = Samples(layer.activations, layer.errors, len(labels), layer.product())
                gradient = self.optimizer.gradient(index, samples)
            except ValueError as error:
                raise TrainingError(f"layer {layer.name}: {error}; {self._remedy()}") from error
            update_seed = (seed * len(self.arrays) + index) & 0xFFFFFFFF
            return array.descend(gradient, rate, update_seed)

        layers = range(len(self.arrays))
        # A machine has one layer after another, each gradient followed by its update.
        done = map(update, layers) if self.machine else parallel.each(update, layers)
        for counters in done:
            self.counters.add(counters)
            self.events += Events(line_pulses=counters.pulses, cell_pulses=counters.coincidences)
        self.events += self._batch_events(len(labels))
        self._count_reads()
        return loss

    def backpropagate(self, images: Array, labels: Labels, seed: int = 0, epoch: int = 1) -> float:
        """Forward and backward through the network only; arguments are those of `step`."""
        self._begin_reads(TRAINING, epoch, seed)
        return self.network.backpropagate(images, labels)

    def accuracy(self, images: Array | Images, labels: Labels, epoch: int) -> float:
        """Fraction of `images` that the network tells right after `epoch`; no events counted."""
        self._begin_reads(TESTING, epoch, 0)
        result = self.network.accuracy(images, labels)
        for layer in self.network.weight_layers:
            if layer.reads is not None:
                layer.reads.counted()
        return result

    def _begin_reads(self, *step: int) -> None:
        for layer in self.network.weight_layers:
            if layer.reads is not None:
                layer.reads.begin(step)

    def _count_reads(self) -> None:
        """Add what the reads of a batch did."""
        for plan, layer in zip(self.plans, self.network.weight_layers, strict=True):
            if layer.reads is None:
                continue
            counted = layer.reads.counted()
            self.read_counters.add(counted)
            self.events += read_events(
                self.settings.reads,
                self.settings.parameters,
                plan.m,
                plan.n,
                counted.repeated_forward,
                counted.repeated_transposed,
            )

    def check_weights(self) -> None:
        """Raise `TrainingError` if weights are no longer finite, which no loss tells of the last
        step.
        """
        for layer in self.network.weight_layers:
            if not np.isfinite(layer.weights).all():
                raise TrainingError(f"layer {layer.name}: its weights overflowed; {self._remedy()}")

    def _remedy(self) -> str:
        return (
            "the training diverged; lower the learning rate "
            f"(now {self.settings.learning_rate:g}) or raise the batch (now {self.settings.batch})"
        )

    def state(self) -> dict[str, Array]:
        """Everything that training changes, as named arrays."""
        arrays = {f"optimizer/{name}": array for name, array in self.optimizer.state().items()}
        for plan, weights in zip(self.plans, self.arrays, strict=True):
            arrays |= {f"array/{plan.name}/{name}": a for name, a in weights.state().items()}
        return arrays

    def restore(self, arrays: dict[str, Array]) -> None:
        """Continue from arrays that `state` returned."""
        self.optimizer.restore(_below("optimizer/", arrays))
        for plan, weights in zip(self.plans, self.arrays, strict=True):
            weights.restore(_below(f"array/{plan.name}/", arrays))


def _below(prefix: str, arrays: dict[str, Array]) -> dict[str, Array]:
    """The arrays whose names start with `prefix`, by the rest of their names."""
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }


def batches(
    settings: TrainingSettings, dataset: Dataset, epoch: int
) -> Iterator[tuple[Array, Labels]]:
    """Images and labels of each batch of `epoch`, in that epoch's random order."""
    count = training_images(settings, dataset)
    order = np.random.default_rng([settings.seed, epoch]).permutation(count)
    for start in range(0, count, settings.batch):
        chosen = order[start : start + settings.batch]
        yield dataset.train_images[chosen], dataset.train_labels[chosen]


def training_images(settings: TrainingSettings, dataset: Dataset) -> int:
    """Images of an epoch."""
    return min(len(dataset.train_labels), settings.train_limit or len(dataset.train_labels))


def train(
    settings: TrainingSettings,
    dataset: Dataset,
    *,
    checkpoint: Path | None = None,
    resume: bool = False,
    results: Path | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
    energy: EnergyTable | None = None,
    machine: Machine | None = None,
) -> dict[str, Any]:
    """Train as `settings` say, and return the results, which JSON can hold.

    After every epoch the state goes to `checkpoint` and the results to `results`, each written
    whole or not at all. With `resume` the run continues from `checkpoint`. Energies are by table
    `energy`, the default one unless given. `machine` is what `HARDWARE` computes with.

    Raises `TrainingError` if the settings do not fit the data or the checkpoint, if a file cannot
    be written, and when the training diverges; the files of the last whole epoch then remain.
    """
    check_files(checkpoint, resume, results)
    trainer = Trainer(settings, dataset.shape, dataset.classes, machine)
    history: list[dict[str, Any]] = []
    if checkpoint is not None and resume:
        history = _resume(trainer, checkpoint)
    for epoch in range(len(history) + 1, settings.epochs + 1):
        history.append(_epoch(trainer, dataset, epoch, progress))
        if checkpoint is not None:
            description = {"settings": settings.as_dict(), "history": history}
            checkpoints.save(checkpoint, trainer.state(), description)
        if results is not None:
            write_json(results, summary(trainer, history, energy))
    result = summary(trainer, history, energy)
    if results is not None:
        write_json(results, result)
    return result


def summary(
    trainer: Trainer, history: list[dict[str, Any]], energy: EnergyTable | None = None
) -> dict[str, Any]:
    """The results after the epochs in `history`: the last one's, sums, plans and settings.

    A pulsed array's have the energy of its events, too.
    """
    sums = ("saturations", "pulses", "clips", "coincidences", "bounded", "cell_writes")
    result: dict[str, Any] = {
        "test_accuracy": history[-1]["test_accuracy"],
        "train_loss": history[-1]["train_loss"],
        "images_per_second": sum(epoch["images"] for epoch in history)
        / sum(epoch["seconds"] for epoch in history),
        **{name: sum(epoch[name] for epoch in history) for name in sums if name in history[0]},
        **{name: history[-1][name] for name in WRITES if name in history[-1]},
        **{
            table: {
                name: sum(epoch[table][name] for epoch in history) for name in history[0][table]
            }
            for table in ("reads", "events", "machine")
            if table in history[0]
        },
        "cost": asdict(trainer.cost),
        "layers": [asdict(plan) for plan in trainer.plans],
        "settings": trainer.settings.as_dict(),
        "history": history,
    }
    if "machine" in result:
        simulated = result["machine"]
        rate = simulated["cycles"] / simulated["seconds"]
        result["machine"] = simulated | {"cycles_per_second": rate}
    return result | energy_of(result, trainer.settings, energy or EnergyTable())


def energy_of(
    result: Mapping[str, Any], settings: TrainingSettings, table: EnergyTable
) -> dict[str, Any]:
    """`training_energy` of a result with `settings`; empty for weights that are in no array."""
    if settings.array != "pulsed" or "events" not in result:
        return {}
    images = [epoch["images"] for epoch in result["history"]]
    return training_energy(
        Events(**result["events"]),
        table,
        settings.parameters,
        settings.reads,
        result["cost"]["memory"],
        sum(images),
        sum(-(-count // settings.batch) for count in images),
    )


def capture(
    settings: TrainingSettings, dataset: Dataset, steps: int, count: int = 1
) -> list[list[LayerSample]]:
    """Activations and errors of the `count` batches after the first `steps`, for each layer.

    Raises `TrainingError` if an epoch has fewer batches.
    """
    if steps < 0 or count < 1:
        raise TrainingError(f"cannot capture {count} batches after {steps}: take 1 or more after 0")
    trainer = Trainer(settings, dataset.shape, dataset.classes)
    for layer in trainer.network.weight_layers:
        layer.sums_products = False
    captured: list[list[LayerSample]] = [[] for _ in trainer.plans]
    for step, (images, labels) in enumerate(batches(settings, dataset, epoch=1)):
        trainer.step(images, labels, step)
        if step < steps:
            continue
        for samples, plan, layer in zip(
            captured, trainer.plans, trainer.network.weight_layers, strict=True
        ):
            samples.append(
                LayerSample(
                    plan.name,
                    layer.activations.copy(),
                    layer.errors.copy(),
                    len(labels),
                    plan.rank,
                    plan.block,
                )
            )
        if step == steps + count - 1:
            return captured
    raise TrainingError(
        f"cannot capture {count} batches after {steps}: an epoch has {step + 1}; "
        "capture fewer or earlier, or lower the batch size"
    )


def _epoch(
    trainer: Trainer, dataset: Dataset, epoch: int, progress: Callable[[Progress], None]
) -> dict[str, Any]:
    """Train for one epoch and test; returns its line of the history."""
    settings = trainer.settings
    total = training_images(settings, dataset)
    steps_an_epoch = -(-total // settings.batch)
    images, loss = 0, 0.0
    saturations, trainer.counters = trainer.optimizer.saturations, UpdateCounters()
    trainer.read_counters, trainer.events = ReadCounters(), Events()
    start = time.perf_counter()
    for step, (batch, labels) in enumerate(batches(settings, dataset, epoch)):
        seed = settings.seed + (epoch - 1) * steps_an_epoch + step
        loss += trainer.step(batch, labels, seed, epoch) * len(labels)
        images += len(labels)
        progress(Progress(epoch, images, total, loss / images))
    seconds = time.perf_counter() - start
    trainer.check_weights()
    accuracy = trainer.accuracy(dataset.test_images, dataset.test_labels, epoch)
    line = {
        "epoch": epoch,
        "test_accuracy": accuracy,
        "train_loss": loss / images,
        "images": images,
        "seconds": seconds,
        "images_per_second": images / seconds,
        "saturations": trainer.optimizer.saturations - saturations,
        **asdict(trainer.counters),
        **trainer.writes(),
        "reads": asdict(trainer.read_counters),
        "events": asdict(trainer.events),
    }
    if trainer.machine is not None:
        line["machine"] = trainer.machine.counters()
        for name in UNCOUNTED:
            del line[name]
    return line


def check_files(checkpoint: Path | None, resume: bool | None, results: Path | None) -> None:
    """Raise `TrainingError` now rather than after an epoch for files that cannot be written."""
    for path in (checkpoint, results):
        if path is not None and (reason := why_unwritable(path)):
            raise TrainingError(reason)
    if checkpoint is not None and results is not None and checkpoint.resolve() == results.resolve():
        raise TrainingError(f"checkpoint and results are both {checkpoint}: name two files")
    if resume and checkpoint is None:
        raise TrainingError("resume needs the checkpoint to resume from")
    if checkpoint is not None and checkpoint.exists() and not resume:
        raise TrainingError(
            f"checkpoint {checkpoint} exists: resume from it, remove it, or name another"
        )


def _resume(trainer: Trainer, checkpoint: Path) -> list[dict[str, Any]]:
    """Restore `trainer` from `checkpoint`; returns the history so far.

    Raises `TrainingError` if the checkpoint is of other settings or of more epochs.
    """
    arrays, description = checkpoints.load(checkpoint)
    settings = trainer.settings
    wanted, saved = settings.as_dict(), description["settings"]
    # Without a schedule that depends on their number, epochs can be added.
    extendable = ("epochs",) if settings.schedule != "cosine" else ()
    differences = [
        f"{name} = {saved.get(name)!r} there, {wanted[name]!r} here"
        for name in wanted
        if name not in extendable and saved.get(name) != wanted[name]
    ]
    if differences:
        raise TrainingError(
            f"checkpoint {checkpoint} is of another run: {'; '.join(differences)}. "
            "Give the same settings, or another checkpoint"
        )
    history: list[dict[str, Any]] = description["history"]
    if len(history) > settings.epochs:
        raise TrainingError(
            f"checkpoint {checkpoint} is {len(history)} epochs old, past the "
            f"{settings.epochs} asked for: ask for more epochs"
        )
    trainer.restore(arrays)
    return history
