"""The FuseSoC core file of the generated files, in its format CAPI2."""

from __future__ import annotations

from hdl.verilog import NAME
from hdl.vlnv import Vlnv

_CORE = """\
CAPI=2:

name: {vlnv}
description: Accelerator that trains neural networks in analog crossbars; parameters.toml says which

filesets:
  rtl:
    files: [{verilog}]
    file_type: verilogSource
  software:
    files:
      - {header}: {{is_include_file: true}}
    file_type: cSource

targets:
  default:
    filesets: [rtl, software]
    toplevel: {name}

  lint:
    description: Verilator's warnings, all of them errors
    filesets: [rtl]
    toplevel: {name}
    flow: lint
    flow_options:
      tool: verilator
      # Amaranth fixes the width of every operation, and Yosys, which writes its Verilog, leaves the
      # extensions and truncations, and the values that no case names, to the rules of Verilog.
      verilator_options: [-Wno-WIDTH, -Wno-CASEINCOMPLETE, -Wno-CMPCONST]

  synth:
    description: Synthesis with Yosys for ECP5, to a JSON netlist
    filesets: [rtl]
    toplevel: {name}
    flow: generic
    flow_options:
      tool: yosys
      arch: ecp5
      output_format: json
"""


def core_file(verilog: str, header: str) -> str:
    """The core file beside the files named `verilog` and `header`.

    Target `default` is what a core that depends on this one gets. The Verilog has no parameters:
    they were fixed when it was generated.
    """
    return _CORE.format(vlnv=Vlnv.of_package(), name=NAME, verilog=verilog, header=header)
