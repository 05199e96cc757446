"""What holds for all tests."""

from __future__ import annotations

import os

# A test must find nothing that an earlier one left on disk, nor leave anything in the user's folders.
os.environ["NAPARI_SIMMAT_EMBEDDINGS_MB"] = "0"
