"""How good a model is: figures beside those of plain baselines, and the reports that show them.

What may live here: metrics as pure functions, baselines, the measurements that feed them, and pages and plots of their
results. What may not: gradients, and anything that a model is changed by.
"""
