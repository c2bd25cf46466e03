"""Label chips: vector features rasterised on the grid of a tile's image chip.

`features` reads vector layers and burns them, with the help of `values` (attribute values to label values) and
`thinning` (fewer vertices). `lock` says which features each tile depends on, `chip` writes one tile's file,
`conflicts` counts pixels that features of different classes claim, and `shared_folder` lets datasets share chips.
Vector features are the only source of label pixels; the other modules use them through `LabelFeatures`.
"""
