"""What must never be lost: every accepted object, on disk before the window says so."""

from __future__ import annotations

from napari_simmat.journal.journal import Entry, Journal, Record, Story
from napari_simmat.journal.rle import decode_mask, encode_mask, encode_window

__all__ = ["Entry", "Journal", "Record", "Story", "decode_mask", "encode_mask", "encode_window"]
