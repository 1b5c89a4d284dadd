"""An IP-XACT component (IEEE Std 1685-2014) of a generated accelerator.

It has the ports, the AXI interfaces by the names of Arm's bus definitions, the register map, the
parameters that the hardware was generated with, and its files. The reset is active high, which the
definitions of AXI have no port for, so it is a port beside the interfaces.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from golden_model.parameters import Parameters
from hdl.axi import DATA_BITS
from hdl.registers import Field, Kind, Register, RegisterMap
from hdl.verilog import NAME, Design, Port
from hdl.vlnv import Vlnv

NAMESPACE = "http://www.accellera.org/XMLSchema/IPXACT/1685-2014"
_PREFIX = "ipxact"
_INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
_MEMORY_MAP = "registers"
_FILES = "rtl"
_SOFTWARE = "software"
_IMPLEMENTATION = "verilog"


@dataclass(frozen=True)
class _Interface:
    """A bus interface of the accelerator."""

    prefix: str
    """What its ports' names begin with, and its name."""
    bus: Vlnv
    """Arm's bus definition; its abstraction is called so with _rtl."""
    master: bool


_INTERFACES = (
    _Interface("s_axil", Vlnv("amba.com", "AMBA4", "AXI4-Lite", "r0p0_0"), master=False),
    _Interface("s_axis", Vlnv("amba.com", "AMBA4", "AXI4Stream", "r0p0_1"), master=False),
    _Interface("m_axis", Vlnv("amba.com", "AMBA4", "AXI4Stream", "r0p0_1"), master=True),
)

_ACCESS = {Kind.CONSTANT: "read-only", Kind.STATUS: "read-only", Kind.PULSE: "write-only"}
"""Software's access to fields; read-write to all others."""

_VOLATILE = (Kind.STATUS, Kind.STATE, Kind.STICKY)
"""Fields that hardware changes."""


def component(design: Design, registers: RegisterMap, verilog: str, header: str) -> str:
    """The component of `design`, with `registers`, beside its files `verilog` and `header`."""
    vlnv = Vlnv.of_package()
    root = _element(
        "component",
        _element("vendor", vlnv.vendor),
        _element("library", vlnv.library),
        _element("name", vlnv.name),
        _element("version", vlnv.version),
        _element("busInterfaces", *(_bus_interface(item, design.ports) for item in _INTERFACES)),
        _element("memoryMaps", _memory_map(registers)),
        _model(design.ports),
        _element(
            "fileSets",
            _file_set(_FILES, verilog, "verilogSource"),
            _file_set(_SOFTWARE, header, "cSource", _element("isIncludeFile", "true")),
        ),
        _element("description", "Accelerator that trains neural networks in analog crossbars."),
        _element("parameters", *_parameters(design.parameters)),
    )
    root.set(f"xmlns:{_PREFIX}", NAMESPACE)
    root.set("xmlns:xsi", _INSTANCE)
    root.set("xsi:schemaLocation", f"{NAMESPACE} {NAMESPACE}/index.xsd")
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _element(tag: str, /, *content: Element | str, **attributes: str) -> Element:
    """An element of IP-XACT: a text, or elements within it."""
    element = Element(f"{_PREFIX}:{tag}", attributes)
    for item in content:
        if isinstance(item, str):
            element.text = item
        else:
            element.append(item)
    return element


def _described(name: str, description: str) -> list[Element]:
    """Name and, if there is one, description, with which named things begin."""
    elements = [_element("name", name)]
    if description:
        elements.append(_element("description", description))
    return elements


def _library_reference(element: str, vlnv: Vlnv, suffix: str = "") -> Element:
    return _element(
        element,
        vendor=vlnv.vendor,
        library=vlnv.library,
        name=vlnv.name + suffix,
        version=vlnv.version,
    )


def _bus_interface(interface: _Interface, ports: Iterable[Port]) -> Element:
    own = [port for port in ports if port.name.startswith(interface.prefix + "_")]
    maps = {port.name.removeprefix(interface.prefix + "_").upper(): port.name for port in own}
    if interface.master:
        mode = _element("master")
    elif "AWADDR" in maps:
        mode = _element("slave", _element("memoryMapRef", memoryMapRef=_MEMORY_MAP))
    else:
        mode = _element("slave")
    return _element(
        "busInterface",
        *_described(interface.prefix, own[0].meaning),
        _library_reference("busType", interface.bus),
        _element(
            "abstractionTypes",
            _element(
                "abstractionType",
                _library_reference("abstractionRef", interface.bus, "_rtl"),
                _element(
                    "portMaps",
                    *(_port_map(*names) for names in {"ACLK": "clk", **maps}.items()),
                ),
            ),
        ),
        mode,
    )


def _port_map(logical: str, physical: str) -> Element:
    return _element(
        "portMap",
        _element("logicalPort", _element("name", logical)),
        _element("physicalPort", _element("name", physical)),
    )


def _memory_map(registers: RegisterMap) -> Element:
    return _element(
        "memoryMap",
        _element("name", _MEMORY_MAP),
        _element(
            "addressBlock",
            _element("name", NAME),
            _element("baseAddress", "0"),
            _element("range", str(1 << registers.address_bits)),
            _element("width", str(DATA_BITS)),
            _element("usage", "register"),
            *(_register(register) for register in registers.registers),
        ),
        _element("addressUnitBits", "8"),
    )


def _register(register: Register) -> Element:
    dimension = [_element("dim", str(register.count))] if register.count else []
    return _element(
        "register",
        *_described(register.name, register.meaning),
        *dimension,
        _element("addressOffset", f"'h{register.address:x}"),
        _element("size", str(DATA_BITS)),
        *(_field(field) for field in register.fields),
    )


def _field(field: Field) -> Element:
    elements = [
        *_described(field.name, field.description),
        _element("bitOffset", str(field.low)),
        _element("resets", _element("reset", _element("value", f"'h{field.reset:x}"))),
        _element("bitWidth", str(field.width)),
    ]
    if field.kind in _VOLATILE:
        elements.append(_element("volatile", "true"))
    elements.append(_element("access", _ACCESS.get(field.kind, "read-write")))
    if field.kind is Kind.STICKY:
        elements.append(_element("modifiedWriteValue", "oneToClear"))
    return _element("field", *elements)


def _model(ports: Iterable[Port]) -> Element:
    return _element(
        "model",
        _element(
            "views",
            _element(
                "view",
                _element("name", _IMPLEMENTATION),
                _element("envIdentifier", "Verilog::"),
                _element("componentInstantiationRef", _IMPLEMENTATION),
            ),
        ),
        _element(
            "instantiations",
            _element(
                "componentInstantiation",
                _element("name", _IMPLEMENTATION),
                _element("language", "Verilog"),
                _element("moduleName", NAME),
                _element("fileSetRef", _element("localName", _FILES)),
            ),
        ),
        _element("ports", *(_port(port) for port in ports)),
    )


def _port(port: Port) -> Element:
    wire = [_element("direction", "in" if port.direction == "input" else "out")]
    if port.width > 1:
        vector = _element("left", str(port.width - 1)), _element("right", "0")
        wire.append(_element("vectors", _element("vector", *vector)))
    return _element("port", *_described(port.name, port.meaning), _element("wire", *wire))


def _file_set(name: str, file: str, file_type: str, *more: Element) -> Element:
    return _element(
        "fileSet",
        _element("name", name),
        _element("file", _element("name", file), _element("fileType", file_type), *more),
    )


def _parameters(parameters: Parameters) -> Iterable[Element]:
    """What the hardware was generated with: facts about it, nothing to set."""
    for field in fields(parameters):
        yield _element(
            "parameter",
            *_described(field.name, field.metadata["doc"]),
            _element("value", str(getattr(parameters, field.name))),
            parameterId=field.name,
            type="int",
        )
