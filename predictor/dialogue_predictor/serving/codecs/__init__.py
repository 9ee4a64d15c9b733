"""Between each protocol's bytes and ReplyRequest: pure functions that validate before anything is computed.

What may live here: parsing, checking and shaping of values, with one clear error for each mistake. What may not:
the network, kserve's server classes, the engine. No message repeats what the client sent.
"""
