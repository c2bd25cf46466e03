"""A stand-in for the Descartes Labs / EarthOne platform on 127.0.0.1; it serves the scenes of a static STAC catalogue.

    with Platform("resources/sample/catalog.json") as platform:
        subprocess.run(command, env=platform.environment())
        platform.log.max_concurrent("raster")

Each collection is a product of the same id, each item an image `<product>:<item id>`, each band of each asset a band.
An asset without the role `data` (a mask) is a class band of its item, and also a product of its own,
`<collection>:<asset>`, with images of the same names and the asset's bands.

In a raster of several ids the last lies on top, and each band shows its first valid pixel from the top. Pixels under
the mask hold arbitrary values.
"""
