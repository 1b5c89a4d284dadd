"""The whole design of a board: a machine with the digital twin of its array, behind a UART."""

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden_model.link import LinkSpec
from golden_model.parameters import Parameters
from golden_model.twin import TwinSpec
from hdl.host_link import HostLink
from hdl.hosted_system import HostedSystem


class Board(wiring.Component):
    """`HostedSystem` at the far end of a `HostLink`: all that a host needs are two wires.

    `rx` and `tx` are the UART's pins. `fault` is high from the first wrong command or fault of the
    twin to the host's next session, such as for an LED.
    """

    def __init__(self, parameters: Parameters, twin_spec: TwinSpec, link_spec: LinkSpec) -> None:
        self._system = HostedSystem(parameters, twin_spec)
        self._link = HostLink(link_spec)
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1), "fault": Out(1)})

    def elaborate(self, platform: object) -> Module:
        """Connections only."""
        m = Module()
        m.submodules.system = system = self._system
        m.submodules.link = link = self._link
        wiring.connect(m, link.received, system.commands)
        wiring.connect(m, system.answers, link.to_send)
        m.d.comb += [
            link.rx.eq(self.rx),
            self.tx.eq(link.tx),
            system.restart.eq(link.restart),
            self.fault.eq(system.fault),
        ]
        return m
