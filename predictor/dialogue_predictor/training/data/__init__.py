"""Dialogues to train on: reading, checking, simulating, mixing them and cutting them into examples.

What may live here: functions from files and seeds to dialogues and examples. What may not: gradients, and torch anywhere
but in `topics`, which loads it when it is asked.
"""
