"""Whole rollouts on a real cluster, under load, and what they cost: `make test-rollouts`."""
