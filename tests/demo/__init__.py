"""`make demo`: from `kubectl apply` to a reply, and on to a second version, on a real cluster with load on it.

May live here: the story that a newcomer sees, and what it needs to tell it. The e2e tests run it as it is.
"""
