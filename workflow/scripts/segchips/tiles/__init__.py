"""Which tiles an area holds: the tile manifest."""
