"""The name by which package managers and IP catalogues know a generated accelerator."""

from __future__ import annotations

from dataclasses import dataclass

from hdl.registers import package_version
from hdl.verilog import NAME


@dataclass(frozen=True)
class Vlnv:
    """Vendor, library, name and version, as FuseSoC and IP-XACT have it."""

    vendor: str
    library: str
    name: str
    version: str

    @staticmethod
    def of_package() -> Vlnv:
        """The name of what the installed package generates."""
        return Vlnv("eigenbar", "hardware", NAME, ".".join(map(str, package_version())))

    def __str__(self) -> str:
        return f"{self.vendor}:{self.library}:{self.name}:{self.version}"
