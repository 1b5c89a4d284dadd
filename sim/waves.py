"""A view of recorded waveforms: the signals that tell what the machine does, for GTKWave.

Beside FILE.fst lie FILE.gtkw, a save file of GTKWave, and FILE.phases, by which it shows the
accelerator's phase by name.
"""

from __future__ import annotations

from pathlib import Path

from amaranth.utils import bits_for
from vcd.gtkw import GTKWSave, make_translation_filter

from golden_model.parameters import Parameters
from hdl.sequencer import Phase
from hdl.system import FAULTS
from sim.runner import TOP

PHASE = f"{TOP}.accelerator.status_phase[3:0]"


def view_signals(parameters: Parameters) -> dict[str, list[str]]:
    """The signals of the view by group, as waveforms name them, the phase not among them."""
    lines = {
        "slot_valid": 1,
        "tile_row": bits_for(parameters.grid_rows - 1),
        "tile_column": bits_for(parameters.grid_columns - 1),
        "rows_positive": parameters.tile_rows,
        "rows_negative": parameters.tile_rows,
        "columns_positive": parameters.tile_columns,
        "columns_negative": parameters.tile_columns,
    }
    return {
        "streams": [
            _signal(f"{stream}_{name}", 1)
            for stream in ("s_axis", "m_axis")
            for name in ("tvalid", "tready", "tlast")
        ],
        "lines": [_signal(name, width) for name, width in lines.items()],
        "twin": [_signal("idle", 1), _signal("faults", len(FAULTS))],
    }


def _signal(name: str, width: int) -> str:
    return f"{TOP}.{name}" if width == 1 else f"{TOP}.{name}[{width - 1}:0]"


def write_view(waves: Path, parameters: Parameters) -> Path:
    """Write the view of `waves`, a recorded machine of `parameters`; returns its path.

    Raises OSError if a file cannot be written.
    """
    phases = waves.with_suffix(".phases")
    names = [(phase.value, name) for name, phase in Phase.__members__.items()]
    phases.write_text(make_translation_filter(names, datafmt="hex", size=4))
    view = waves.with_suffix(".gtkw")
    with view.open("w") as file:
        save = GTKWSave(file)
        save.dumpfile(waves.name, abspath=False)
        save.trace(f"{TOP}.clk")
        save.trace(PHASE, alias="phase", datafmt="hex", translate_filter_file=phases.name)
        for group, signals in view_signals(parameters).items():
            with save.group(group):
                for signal in signals:
                    save.trace(signal)
    return view
