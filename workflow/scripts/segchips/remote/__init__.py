"""Parts of remote files, fetched once into local copies that GDAL reads."""
