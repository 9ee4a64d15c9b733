"""Search as pure functions over a frozen state, and the seam through which it sees a model.

May live here: options, constraints on the next token, the search's state and its steps. May not: modules,
files, text, asyncio, clocks. `options` imports no torch. Semantics are Hugging Face transformers v5
`generate`, token for token; diverse beam search, which v5 has no more, follows its paper.

Shape legend: B sources in the batch · K beams · G groups of beams · V vocabulary · T new tokens at most ·
R rows, which are sources' beams one after another.
"""
