"""The images step: reads a tile's scenes, composites them and writes the image chip."""
