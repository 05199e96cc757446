"""The parts of `napari_simmat.annotator.Annotator`, which is the front door."""
