"""Vector files: reading layers, repairing and reprojecting geometries, writing GeoParquet."""
