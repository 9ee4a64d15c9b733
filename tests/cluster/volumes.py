"""Persistent volumes for bundles: folders of this machine that a claim of class `dialogue-local` binds at once."""

import json
import shutil

from cluster import api
from cluster.places import VOLUMES

STORAGE_CLASS = "dialogue-local"
NAMES = tuple(f"models-{number}" for number in range(4))


def create() -> None:
    for name in NAMES:
        folder = VOLUMES / name
        folder.mkdir(parents=True)
        folder.chmod(0o777)  # pods run as some other user, and none of them as root
    VOLUMES.chmod(0o777)
    api.apply(_storage_class(), *(_volume(name) for name in NAMES))


def free() -> list[str]:
    """Empty the volumes whose claim is gone and make them available again; returns their names."""
    freed = []
    for item in json.loads(api.kubectl("get", "persistentvolumes", "-o", "json"))["items"]:
        name = item["metadata"]["name"]
        if name not in NAMES or item["status"].get("phase") != "Released":
            continue
        for entry in (VOLUMES / name).iterdir():
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        api.kubectl("patch", "pv", name, "--type=json", "-p", '[{"op": "remove", "path": "/spec/claimRef"}]')
        freed.append(name)
    return freed


def _storage_class() -> api.Manifest:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": STORAGE_CLASS},
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "Immediate",
    }


def _volume(name: str) -> api.Manifest:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteMany", "ReadOnlyMany"],
            "storageClassName": STORAGE_CLASS,
            "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": str(VOLUMES / name)},
        },
    }
