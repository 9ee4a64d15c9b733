"""Offline work: from corpora to a bundle. One loop, objectives as functions.

What may live here: reading dialogues, batching, objectives, the training loop, checkpoints, and the recipes that put
them together. What may not: serving, request types, anything a pod imports while it answers.
"""
