"""What to serve: the serving part of a manifest, and where it is read from (a file, a bundle, the environment).

What may live here: pydantic models and their reading. What may not: torch, kserve, the bundle's contents, or
anything that takes long to import: a pod must be able to refuse a bad spec within a second.
"""
