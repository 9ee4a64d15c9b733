"""The network and its shape: an mBART-shaped encoder-decoder in plain PyTorch.

May live here: modules, their configuration, initialisation and the cached incremental step. May not: search,
files (but for `families`), tokenizers, asyncio. `config` imports no torch, so that it can be read and checked without
it.

Shape legend: B batch · S source · T target · K beams · D width · H heads · V vocabulary.
"""
