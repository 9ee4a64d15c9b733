"""Training in several processes that `torchrun` starts: copies of the model, pieces of it, or both on one device mesh.

What may live here: how ranks are laid out, how a task is spread over them, and what the loop asks of them (`Ranks`).
What may not: what is learnt, and from what; the loop and the tasks are those of a single process.
"""
