"""The KServe edge: protocols in, ReplyRequest out, and back; limits, metrics, start and drain.

What may live here: kserve, FastAPI, gRPC, uvicorn, the codecs, the guard. What may not: how a reply is made
(`inference`), torch, or anything a command line needs before the server is imported.
"""
