"""Judgement, pure: from what is wanted, recorded and observed to what shall be.

May live here: values and functions of values. May not: clocks, I/O, randomness, Kubernetes objects. `machine.decide` is
the one entry; time comes in as `now`.
"""
