"""The parts of the panel, in the order of the work; each is a small widget that knows only the controller."""
