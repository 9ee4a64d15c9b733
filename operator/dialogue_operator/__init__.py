"""The operator: turns a DialogueModel into InferenceServices, routes and traffic.

Data flows one way: manifest → `api` → observe → `rollout.decide` → record → `render` → apply → status.
`api`, `rollout` and `render` are pure; only `cluster` awaits Kubernetes and only `controller` knows kopf.
"""

__version__ = "0.1.0"
