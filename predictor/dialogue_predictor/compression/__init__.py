"""Smaller and faster models from larger ones: distilled, pruned, quantised, each measured before and after.

May live here: what decides which parts stay, the tasks that teach what stays, the recipes of the three steps and their
comparison. What may not: a training loop of its own, formats of files but for the teacher's sequences, serving.
"""
