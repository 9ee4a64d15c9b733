"""The parts of an evaluation: each a function from the setting to its figures, run alone or with the others."""
