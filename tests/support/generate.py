"""`make generate`: everything that is printed from the code, written to where it is kept."""

from pathlib import Path

import yaml

from dialogue_operator.api.crd import crd
from dialogue_operator.cli.reference import reference

ROOT = Path(__file__).resolve().parents[2]
HEADER = "# Printed by `make generate` from operator/dialogue_operator/api; edit that instead.\n"


def generated() -> dict[Path, str]:
    """Each file and what must stand in it."""
    printed = HEADER + yaml.safe_dump(crd(), sort_keys=False, allow_unicode=True, width=120)
    return {
        ROOT / "manifests/crd.yaml": printed,
        ROOT / "charts/dialogue-operator/files/crd.yaml": printed,
        ROOT / "docs/reference/dialoguemodel.md": reference(crd()),
    }


def main() -> None:
    for path, text in generated().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
