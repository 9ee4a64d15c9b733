"""`make generate`: everything that is printed from the code, written to where it is kept."""

from collections.abc import Callable, Mapping
from pathlib import Path

import yaml

from dialogue_operator.api.crd import crd
from dialogue_operator.cli.reference import reference
from support.phases import diagram, transitions

ROOT = Path(__file__).resolve().parents[2]
HEADER = "# Printed by `make generate` from operator/dialogue_operator/api; edit that instead.\n"
BEGIN, END = "<!-- phases: printed by `make generate` -->\n", "<!-- end of phases -->\n"


def _crd() -> str:
    return HEADER + yaml.safe_dump(crd(), sort_keys=False, allow_unicode=True, width=120)


def _rollouts() -> str:
    """The page that people wrote, with the diagram between its marks."""
    before, _, rest = (ROOT / "docs/rollouts.md").read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{diagram(transitions())}\n{END}{after}"


GENERATED: Mapping[Path, Callable[[], str]] = {
    ROOT / "manifests/crd.yaml": _crd,
    ROOT / "charts/dialogue-operator/files/crd.yaml": _crd,
    ROOT / "docs/reference/dialoguemodel.md": lambda: reference(crd()),
    ROOT / "docs/rollouts.md": _rollouts,
}


def main() -> None:
    for path, text in GENERATED.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    main()
