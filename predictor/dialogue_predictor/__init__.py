"""The predictor: from a request to a reply, and the model behind it.

Layers, from the bottom: names, errors, config → text → model | decoding → artifacts → backends → inference →
serving → cli; beside serving stand bench, and training → evaluation → compression → recipe. Nothing here knows kopf or
Kubernetes.
"""
