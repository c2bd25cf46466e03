"""Vector files: layers read, repaired, moved between CRSs, written as GeoParquet."""
