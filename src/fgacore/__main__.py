"""`python -m fgacore` is the command `fgacore`."""

from fgacore.cli import main

if __name__ == "__main__":
    main()
