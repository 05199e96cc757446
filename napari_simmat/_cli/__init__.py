"""The parts of `napari_simmat.cli`, which is the front door."""
