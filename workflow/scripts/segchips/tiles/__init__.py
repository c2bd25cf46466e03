"""The tiles step: which tiles an area holds, and the split of each that follows from its location."""
