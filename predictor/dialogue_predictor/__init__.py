"""The predictor: from a request to a reply, and the model behind it.

Layers, from the bottom: names, errors, config → text → model | decoding → artifacts → backends → inference →
serving → cli; training stands above artifacts, beside serving. Nothing here knows kopf or Kubernetes.
"""
