"""What people and other tools read about a dataset: ledger, plan, audit, report and descriptors.

`ledger` says what became of each tile, `plan` what a run would do, `audit` how well the splits are separated.
`report` renders the HTML page from the modules for its parts (tile_map, contact_sheet, timelines, class_table,
band_table, histograms). `descriptors` writes card, Croissant, STAC and ArcGIS files from one `dataset_summary`.
"""
