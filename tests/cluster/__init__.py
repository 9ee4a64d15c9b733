"""The local cluster: real Kubernetes, KServe and a Gateway on one Linux machine, compiled here and taken away again.

`python -m cluster` runs it. What may live here: everything that starts, feeds and ends that cluster, with the
standard library alone, so that it works before any virtual environment exists. What may not: anything of the
product (no import of `dialogue_operator` or `dialogue_predictor`), and no test.

Layers, lower ones first:

    versions, places, console → shell → tools, processes, network, pki, cgroups
        → build, oci → api, store, base_images → image_build, control_plane, node, fake_nodes, kserve, gateway, volumes,
          add_ons
        → lifecycle → commands
"""
