"""Counters of training that add up."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Self


@dataclass
class Counters:
    """Numbers, a field each, that start at zero; `UpdateCounters` and `ReadCounters` have them."""

    def add(self, other: Self) -> None:
        """Add `other` to these."""
        for counter in fields(self):
            total = getattr(self, counter.name) + getattr(other, counter.name)
            setattr(self, counter.name, total)
