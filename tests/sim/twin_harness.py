"""The digital twin behind the update driver, with what the accelerator has around them."""

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from golden_model.parameters import Parameters
from golden_model.twin import TwinSpec
from hdl.datapath import FETCH_LATENCY
from hdl.reset_less import registered
from hdl.shapes import SCALAR, word_row
from hdl.twin import CrossbarTwin
from hdl.twin_lane import Command
from hdl.update import UpdateDriver
from hdl.verilog import to_verilog
from sim.runner import Build, build

LINES = (
    "rows_positive",
    "rows_negative",
    "columns_positive",
    "columns_negative",
    "slot_valid",
    "slot_last",
    "tile_row",
    "tile_column",
)
"""What the driver and the twin share."""

SETTINGS = ("m", "n", "k", "slots_min", "slots_max", "scrambled", "seed")


class TwinHarness(wiring.Component):
    """One rank's factors in a memory, its kappa in a register, driver and twin, and flat ports.

    `write` stores `write_data` in row `write_row` of X, or of Delta if `write_delta`. The driver
    has `start` and `done`, the twin `draw` and `idle`. `read` asks for cell `cell`, whose
    conductance is there with `read_valid`.
    """

    def __init__(self, parameters: Parameters, spec: TwinSpec) -> None:
        self._parameters = p = parameters
        self._driver = UpdateDriver(p)
        self._twin = CrossbarTwin(spec)
        request = self._twin.request.payload
        super().__init__(
            {
                **{name: self._driver.signature.members[name] for name in SETTINGS},
                "start": In(1),
                "done": Out(1),
                "kappa": In(SCALAR.size),
                "write": In(1),
                "write_delta": In(1),
                "write_row": In(self._row_bits),
                "write_data": In(word_row(p).size),
                "draw": In(1),
                "idle": Out(1),
                "faults": Out(3),
                "read": In(1),
                "cell": In(len(request.cell)),
                "read_valid": Out(1),
                "conductance": Out(spec.conductance_bits),
            }
        )

    @property
    def _row_bits(self) -> int:
        return ceil_log2(self._parameters.rows(self._parameters.max_dimension))

    def elaborate(self, platform: object) -> Module:
        """Two memories, which answer a fetch as late as the datapath does, and connections."""
        m = Module()
        m.submodules.driver = driver = self._driver
        m.submodules.twin = twin = self._twin
        answers = []
        for side in range(2):
            memory = Memory(shape=word_row(self._parameters), depth=1 << self._row_bits, init=[])
            m.submodules[f"factors_{side}"] = memory
            read, write = memory.read_port(), memory.write_port()
            m.d.comb += [
                write.en.eq(self.write & (self.write_delta == side)),
                write.addr.eq(self.write_row),
                write.data.as_value().eq(self.write_data),
                read.addr.eq(driver.fetch_row),
            ]
            answers.append(read.data.as_value())
        was_delta = Signal()
        m.d.sync += was_delta.eq(driver.fetch_delta)
        answer = registered(m, Mux(was_delta, *reversed(answers)), "answer", FETCH_LATENCY - 1)
        for name in SETTINGS:
            m.d.comb += getattr(driver, name).eq(getattr(self, name))
        for name in LINES:
            m.d.comb += getattr(twin, name).eq(getattr(driver, name))
        m.d.comb += [
            driver.fetch_data.as_value().eq(answer),
            driver.start.eq(self.start),
            self.done.eq(driver.done),
            driver.kappa.as_value().eq(self.kappa),
            driver.ready.eq(twin.ready),
            twin.seed.eq(self.seed),
            twin.draw.eq(self.draw),
            self.idle.eq(twin.idle),
            self.faults[0].eq(twin.overflow),
            self.faults[1].eq(twin.line_fault),
            self.faults[2].eq(twin.tile_fault),
            twin.request.valid.eq(self.read),
            twin.request.payload.command.eq(Command.READ),
            twin.request.payload.cell.eq(self.cell),
            twin.response.ready.eq(1),
            self.read_valid.eq(twin.response.valid),
            self.conductance.eq(twin.response.payload.conductance),
        ]
        return m


def build_harness(parameters: Parameters, spec: TwinSpec) -> Build:
    """The harness built for Verilator."""
    harness = TwinHarness(parameters, spec)
    ports = ["clk", "rst", *harness.signature.members]
    return build(to_verilog(harness), ports, "verilator")
