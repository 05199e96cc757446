"""Keep two copies of LLVM out of one process.

Importing torchvision makes torch import triton, if it is installed, and triton brings its own LLVM. Mesa,
which draws the canvas on most Linux machines, has loaded another one by then; triton's symbols are
resolved in it and the process dies in a segmentation fault. napari opens its window before it imports a
plugin, so this would hit everyone there. Nothing here needs triton (it compiles GPU kernels for
`torch.compile`).
"""

from __future__ import annotations

import sys
from pathlib import Path


def keep_triton_out() -> bool:
    """Make triton look as if it were not installed, where importing it would end the process; True if so."""
    if "triton" in sys.modules or not _has_mesa_loaded_llvm():
        return False
    sys.modules["triton"] = None  # type: ignore[assignment]  # what `import` takes for "not there"
    return True


def _has_mesa_loaded_llvm() -> bool:
    if not sys.platform.startswith("linux"):
        return False
    try:
        mapped = Path("/proc/self/maps").read_text(errors="replace")
    except OSError:
        return False
    return "libLLVM" in mapped
