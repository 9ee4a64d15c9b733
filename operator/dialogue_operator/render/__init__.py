"""Words, pure: what is wanted as Kubernetes objects. One file an object kind; no I/O, no decisions."""
