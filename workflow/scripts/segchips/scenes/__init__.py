"""The scenes step: searches scene catalogues, and pins the scenes of each tile in a lock."""
