"""The accelerator in Amaranth: datapath, drivers, registers, and Verilog generation."""
