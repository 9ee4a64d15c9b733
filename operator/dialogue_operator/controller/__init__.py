"""The clock: doorbells, the work queue, the workers, health, the process. The only code that imports kopf.

May live here: what runs when, and for how long. May not: judgement about rollouts, words of Kubernetes objects.
"""
