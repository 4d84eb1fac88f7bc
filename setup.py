"""The compiled modules and their flags; everything else about the package stands in pyproject.toml.

Every `src/fgacore/**/*.pyx` is a module named by its path. A build is of one profile, each in its own folder under `build/`:

    release   the default, and the only profile that may be copied beside the sources (`build_ext --inplace`, `pip install -e`)
    debug     FGACORE_DEBUG=1: bounds checks, assertions of Cython, of C and of ours (the macro FGACORE_DEBUG), symbols kept
    address   FGACORE_SANITIZE=address: a debug build under AddressSanitizer

The baseline of x86-64 is v2 (2009: popcnt, SSE4.2), which numpy's own wheels need too; a kernel without popcnt is two to five times slower.
"""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

SETUP = Path(__file__).resolve()
os.chdir(SETUP.parent)  # every path below is relative to the repository

SANITIZE = os.environ.get("FGACORE_SANITIZE", "")
if SANITIZE not in ("", "address"):
    sys.exit(f"FGACORE_SANITIZE: `{SANITIZE}` is not known; the one sanitizer is `address`")
DEBUG = bool(SANITIZE) or os.environ.get("FGACORE_DEBUG", "") not in ("", "0")
PROFILE = SANITIZE or ("debug" if DEBUG else "release")
BUILD = Path("build") / PROFILE
JOBS = min(2, os.cpu_count() or 1)

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": DEBUG,
    "wraparound": DEBUG,
    "initializedcheck": DEBUG,
    "cdivision": True,
    "embedsignature": False,  # signatures are in the .pyi
    "auto_pickle": False,  # no class of the core can be pickled
    "autotestdict": False,  # no module attribute that only a doctest runner reads
    "freethreading_compatible": False,  # until it is tested there
}


# A wheel runs on other machines than the one that built it: no flag asks for this one's own.
BASELINE = ["-msse4.2", "-mpopcnt"] if platform.machine().lower() in ("x86_64", "amd64") else []


def flags() -> tuple[list[str], list[str], list[tuple[str, str]]]:
    """Compiler flags, linker flags and macros of this profile."""
    if not DEBUG:
        link = ["-Wl,-s"] if sys.platform.startswith("linux") else []  # strip; the linker of macOS has no such flag
        return ["-O3", "-fvisibility=hidden", *BASELINE], link, [("CYTHON_WITHOUT_ASSERTIONS", "1")]
    compile_args = [*BASELINE, "-O1", "-g", "-UNDEBUG", "-fvisibility=hidden", "-fno-omit-frame-pointer"]
    sanitize_args = [f"-fsanitize={SANITIZE}"] if SANITIZE else []
    return compile_args + sanitize_args, sanitize_args, [("FGACORE_DEBUG", "1")]


def extensions() -> list[Extension]:
    """One extension for each .pyx. A header of the kernel, and this file, are dependencies of all; .pxd files Cython tracks itself."""
    compile_args, link_args, macros = flags()
    headers = sorted(str(path) for path in Path("src/fgacore").rglob("*.h"))
    return [
        Extension(
            ".".join(source.relative_to("src").with_suffix("").parts),
            sources=[str(source)],
            include_dirs=["src/fgacore/kernel"],
            depends=[*headers, SETUP.name],
            extra_compile_args=compile_args,
            extra_link_args=link_args,
            define_macros=macros,
        )
        for source in sorted(Path("src/fgacore").rglob("*.pyx"))
    ]


class BuildExt(build_ext):
    """Cython first, for all modules at once, into the folder of the profile; then the C compiler, two at a time."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.parallel = self.parallel or JOBS
        if self.editable_mode:  # an editable install shares the folder of `build_ext --inplace`, so that neither repeats the other's work
            self.build_lib, self.build_temp = str(BUILD / "lib"), str(BUILD / "temp")

    def build_extensions(self) -> None:
        written = [BUILD / "c" / source.with_suffix(".c") for source in Path("src/fgacore").rglob("*.pyx")]
        stale = any(path.exists() and path.stat().st_mtime < SETUP.stat().st_mtime for path in written)  # other directives, other C
        compiled = cythonize(
            list(self.extensions),
            compiler_directives=DIRECTIVES,
            include_path=["src"],
            build_dir=str(BUILD / "c"),
            nthreads=JOBS if len(self.extensions) > 1 else 0,
            force=stale or bool(self.force),
        )
        sources = {extension.name: extension.sources for extension in compiled}
        for extension in self.extensions:
            extension.sources = sources[extension.name]
        super().build_extensions()

    def copy_extensions_to_source(self) -> None:
        if PROFILE != "release":
            sys.exit(f"a {PROFILE} build is never put beside the sources: use `make debug` or `make asan`")
        super().copy_extensions_to_source()


if __name__ == "__main__":  # Cython's worker processes may import this file
    setup(
        ext_modules=extensions(),
        cmdclass={"build_ext": BuildExt},
        options={"build": {"build_base": str(BUILD), "build_lib": str(BUILD / "lib"), "build_temp": str(BUILD / "temp")}},
    )
