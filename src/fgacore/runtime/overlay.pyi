from fgacore.kernel.tables import Version

class Overlay:
    @property
    def version(self) -> Version: ...
