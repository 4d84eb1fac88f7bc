from fgacore.runtime.state import State

class Resolver:
    def __init__(self, state: State) -> None: ...
