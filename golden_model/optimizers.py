"""Optimisers: how the samples of a batch become the gradient by which a layer's weights descend.

`Mbgd` (mini-batch gradient descent) computes the gradient itself, `Svd` cuts it to its best
approximation of rank k. The others never hold it: `FloatOptimizer` and `FixedOptimizer` have SBPCA
stream it into k outer products, in floating point and in the accelerator's integers, and
`LrtOptimizer` has low-rank training do so. All give the gradient of the mean loss over the batch's
images. docs/algorithm.md compares them; `golden_model.optimizer_cost` counts what they take.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from golden_model.fixed import BatchRunner, FixedSbpca
from golden_model.formats import Words
from golden_model.layers import outer_products
from golden_model.low_rank import Lrt, truncated_svd
from golden_model.parameters import Parameters
from golden_model.sbpca import Array, Factors, FloatSbpca


@dataclass(frozen=True)
class LayerPlan:
    """How the accelerator treats one layer."""

    name: str
    """The layer's name."""
    m: int
    """Outputs: columns of the crossbar."""
    n: int
    """Inputs, the constant of the bias among them: rows of the crossbar."""
    positions: int
    """Samples an image."""
    rank: int
    """Outer products of an update."""
    block: int
    """Samples a block."""


@dataclass(frozen=True)
class Samples:
    """What a batch leaves of a layer with weights, for the optimiser."""

    activations: Array
    """A, samples x n: a whole number of samples an image."""
    errors: Array
    """D, samples x m."""
    images: int
    """Images of the batch."""
    product: Array | None = None
    """D^T A, m x n, if the layer summed it: then it is taken, and `errors` are not looked at."""

    @property
    def an_image(self) -> int:
        """Samples an image."""
        return len(self.activations) // self.images

    def gradient(self) -> Array:
        """D^T A / images, the gradient of the mean loss."""
        if self.product is not None:
            return self.product / self.images
        gradient = outer_products(self.activations, self.errors)
        gradient /= self.images
        return gradient


@dataclass
class WordFactors(Factors):
    """Factors from the accelerator.

    The gradient is 2**exponent / weighed * sum_c scale_c delta_c x_c^T, so
    weight_c = 2**exponent / weighed * scale_c.
    """

    delta: Words
    """Error factors, m x k words."""
    x: Words
    """Activation factors, n x k words."""
    scale: NDArray[np.float64]
    """tau of each rank, k scalars."""
    exponent: int
    """Exponents of the activation and the error words, added up."""
    weighed: float
    """Samples that the factors stand for, over samples an image."""


class Optimizer(Protocol):
    """What training asks of an optimiser."""

    takes_product: bool
    """Whether D^T A is all that it takes of the samples."""

    @property
    def saturations(self) -> int:
        """Words saturated so far in the accelerator's arithmetic."""
        ...

    def gradient(self, layer: int, samples: Samples) -> Array | Factors:
        """Gradient of the mean loss over the images, an m x n matrix or its factors.

        `samples` are those that a batch left of weight layer `layer`.
        """
        ...

    def state(self) -> dict[str, Array]:
        """What is carried from batch to batch, as named arrays for a checkpoint."""
        ...

    def restore(self, arrays: dict[str, Array]) -> None:
        """Continue from arrays that `state` returned."""
        ...


class _Memoryless:
    """What the optimisers that carry nothing from batch to batch share: the gradient is enough."""

    saturations = 0
    takes_product = True

    def state(self) -> dict[str, Array]:
        """See `Optimizer`."""
        return {}

    def restore(self, arrays: dict[str, Array]) -> None:
        """See `Optimizer`."""


class Mbgd(_Memoryless):
    """Mini-batch gradient descent: the gradient itself, D^T A / images."""

    def gradient(self, layer: int, samples: Samples) -> Array:
        """See `Optimizer`."""
        return samples.gradient()


class Svd(_Memoryless):
    """The batch gradient cut to the layer's rank: the best that any method of that rank can do."""

    def __init__(self, plans: Sequence[LayerPlan]) -> None:
        """For layers of `plans`, in the order of the network's weight layers."""
        self._plans = plans

    def gradient(self, layer: int, samples: Samples) -> Factors:
        """See `Optimizer`. Raises ValueError for samples that are not finite."""
        gradient = samples.gradient()
        if not np.isfinite(gradient).all():
            raise ValueError("the gradient must be finite")
        return truncated_svd(gradient, self._plans[layer].rank)


class _Factoriser(Protocol):
    """What `FloatSbpca`, `FixedSbpca` and `Lrt` share."""

    def state(self) -> dict[str, Any]: ...

    def restore(self, arrays: dict[str, Any]) -> None: ...


class _Streaming:
    """What the streaming optimisers share: a factoriser a layer, each with its own seed."""

    takes_product = False

    def __init__(self, plans: Sequence[LayerPlan], layers: Sequence[_Factoriser]) -> None:
        self._plans = plans
        self._layers = layers

    def state(self) -> dict[str, Array]:
        """See `Optimizer`: each array of a layer's state, named "LAYER/ARRAY"."""
        return {
            f"{plan.name}/{name}": array
            for plan, layer in zip(self._plans, self._layers, strict=True)
            for name, array in layer.state().items()
        }

    def restore(self, arrays: dict[str, Array]) -> None:
        """See `Optimizer`."""
        for plan, layer in zip(self._plans, self._layers, strict=True):
            names = layer.state()
            layer.restore({name: arrays[f"{plan.name}/{name}"] for name in names})


class _FloatStreaming(_Streaming):
    """Streaming optimisers in floating point, in the precision of the samples."""

    saturations = 0

    def __init__(
        self, plans: Sequence[LayerPlan], factorisers: Sequence[FloatSbpca] | Sequence[Lrt]
    ) -> None:
        self._factorisers = factorisers
        super().__init__(plans, factorisers)

    def gradient(self, layer: int, samples: Samples) -> Factors:
        """See `Optimizer`."""
        factors = self._factorisers[layer].factorise(
            samples.activations, samples.errors, self._plans[layer].block
        )
        return Factors(factors.delta, factors.weight * samples.an_image, factors.x)


class FloatOptimizer(_FloatStreaming):
    """SBPCA in floating point."""

    def __init__(
        self, plans: Sequence[LayerPlan], seed: int, momentum: float | None = None
    ) -> None:
        """One factoriser for each of `plans`, in the order of the network's weight layers.

        `momentum` is that of `sbpca.history_samples`.
        """
        super().__init__(
            plans,
            [
                FloatSbpca(plan.m, plan.n, plan.rank, seed + index, momentum)
                for index, plan in enumerate(plans)
            ],
        )


class LrtOptimizer(_FloatStreaming):
    """Low-rank training (`low_rank.Lrt`), biased or unbiased."""

    def __init__(self, plans: Sequence[LayerPlan], seed: int, *, unbiased: bool) -> None:
        """One factoriser for each of `plans`, in the order of the network's weight layers."""
        super().__init__(
            plans,
            [
                Lrt(plan.m, plan.n, plan.rank, unbiased=unbiased, seed=seed + index)
                for index, plan in enumerate(plans)
            ],
        )


class FixedOptimizer(_Streaming):
    """SBPCA in the accelerator's integers: samples quantised as they enter, the rest to the bit."""

    def __init__(
        self,
        parameters: Parameters,
        plans: Sequence[LayerPlan],
        seed: int,
        momentum: float | None = None,
        runs: Sequence[BatchRunner | None] = (),
    ) -> None:
        """One factoriser for each of `plans`, in the order of the network's weight layers.

        `momentum` is that of `sbpca.history_samples`, `runs` what computes each layer's batches
        in place of the golden model.
        Raises ValueError for a layer that `parameters` cannot hold.
        """
        self._factorisers = [
            FixedSbpca(parameters, plan.m, plan.n, plan.rank, seed + index, momentum, run)
            for index, (plan, run) in enumerate(
                zip(plans, runs or [None] * len(plans), strict=True)
            )
        ]
        super().__init__(plans, self._factorisers)

    @property
    def saturations(self) -> int:
        """See `Optimizer`."""
        return sum(layer.saturations for layer in self._factorisers)

    def gradient(self, layer: int, samples: Samples) -> WordFactors:
        """See `Optimizer`. Raises ValueError for samples that are not finite."""
        factoriser = self._factorisers[layer]
        factors = factoriser.factorise(
            samples.activations, samples.errors, self._plans[layer].block
        )
        return WordFactors(
            factoriser.words.delta,
            factors.weight * samples.an_image,
            factoriser.words.x,
            factoriser.scale,
            factoriser.units.exponent,
            factoriser.units.weighed / samples.an_image,
        )
