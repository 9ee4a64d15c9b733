"""Text on its way to and from token ids: turns, the tokenizer, the prompt and its truncation.

What may live here: pure functions and frozen values over strings and ids. What may not: torch, sockets, files
other than a tokenizer's, anything that knows a request or a model's weights.
"""
