"""Scene catalogues searched, and the scenes of each tile pinned in a lock."""
