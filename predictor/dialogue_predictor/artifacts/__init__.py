"""Models at rest: the bundle, its digest, its weights, how one is made or imported, and how one is published and pushed.

What may live here: reading, verifying, writing and moving bundles. What may not: pickle anywhere, torch where bundles are
only verified or moved (`bundle`, `config`, `safety`, `publish`, `push` and its stores), decoding, serving, training.
"""
