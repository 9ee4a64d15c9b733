"""`make test-scale`: autoscaling on a real local cluster, with the operator, KEDA, metrics-server and Prometheus.

Prints figures and fails where a request fails or a size is not reached; stores nothing. What may live here: the steps of
that one story. Uses the demo's cluster, client and load.
"""
