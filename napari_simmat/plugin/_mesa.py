"""Keep a deleted layer from crashing the canvas where Mesa draws in software.

When a layer is deleted, vispy deletes its shader program. Mesa's software renderer (tried with 22.3:
Linux without a graphics driver, virtual machines, remote desktops) then reads the freed shader when it
draws the next layer, and the process dies in a segmentation fault. People delete layers while they
annotate, and a crash is the one thing that an annotation tool must not have, so there the programs are
kept until the window closes; each is a few kilobytes.
"""

from __future__ import annotations

from typing import Any

from vispy.gloo import gl, glir

_SOFTWARE = ("llvmpipe", "softpipe", "swrast")


def keep_programs_of_deleted_layers() -> None:
    """Make vispy keep shader programs where deleting them crashes; harmless if called again."""
    program: Any = glir.GlirProgram
    delete = program.delete
    if getattr(delete, "keeps_programs", False):
        return

    def delete_unless_in_software(self: Any) -> None:
        if not any(name in str(gl.glGetParameter(gl.GL_RENDERER)).lower() for name in _SOFTWARE):
            delete(self)

    delete_unless_in_software.keeps_programs = True  # type: ignore[attr-defined]
    program.delete = delete_unless_in_software
