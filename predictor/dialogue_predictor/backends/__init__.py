"""Where decoding runs, behind one coarse seam: token ids in, token ids out, never a hop per token.

May live here: the seam, queueing, batching, cancellation, the worker that computes. May not: text, protocols,
metrics libraries; numbers leave through the `Observer`.
"""
