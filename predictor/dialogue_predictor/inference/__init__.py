"""From a request to a reply in one function, whatever protocol it came by.

What may live here: the frozen request and reply, the engine that joins prompt, backend and text, and judgement of
a finished reply. What may not: HTTP, gRPC, kserve, metrics libraries or the search itself.
"""
