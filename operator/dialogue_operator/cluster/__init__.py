"""Hands: the only code that awaits Kubernetes, and the only one that imports its client.

May live here: reading the world into `rollout` values, writing rendered objects, the Lease. May not: judgement about
rollouts, kopf, anything that waits for a doorbell.
"""
