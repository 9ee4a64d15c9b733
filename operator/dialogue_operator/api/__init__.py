"""What users write and read: the DialogueModel as pydantic models, and the CRD printed from them.

May live here: fields, bounds, defaults, texts. May not: clocks, I/O, anything that decides.
"""
