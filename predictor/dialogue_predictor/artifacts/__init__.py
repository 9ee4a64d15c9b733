"""Models at rest: the bundle, its digest, its weights, and how one is published.

What may live here: reading, verifying and writing bundles. What may not: torch outside `weights`, pickle anywhere,
decoding, serving, training.
"""
