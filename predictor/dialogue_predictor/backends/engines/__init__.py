"""Engines: one model each, ready to decode on one kind of device, behind the search's seam.

May live here: kernels chosen for a device, layouts of weights and caches. May not: search, queueing, text. They read
a `DialogueTransformer`'s weights and never change the module.
"""
