"""`make test`: every tier that this machine can run, one after the other, and a summary of what was left out and why."""

import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NEEDS_ROOT = "needs root: it makes network namespaces and mounts"


@dataclass(frozen=True)
class Tier:
    """Tests of one mark expression below some paths; `needs_root` tiers run a real cluster."""

    name: str
    marks: str
    needs_root: bool
    paths: tuple[str, ...] = ("tests",)


LOCAL_CLUSTER = "tests/e2e/test_local_cluster.py"  # starts and stops clusters of its own
TIERS = (
    Tier("quick: unit, contract, chart, serving", "not cluster and not e2e", needs_root=False),
    Tier("operator: real API server and KServe controller", "cluster", True, ("tests", f"--ignore={LOCAL_CLUSTER}")),
    Tier("local cluster: start, stop, lose a node", "cluster", needs_root=True, paths=(LOCAL_CLUSTER,)),
    Tier("e2e: the demo, images, pods, gateway, traffic", "e2e", needs_root=True),
)


@dataclass
class Count:
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __iadd__(self, other: "Count") -> "Count":
        self.passed, self.failed, self.skipped = (
            self.passed + other.passed,
            self.failed + other.failed,
            self.skipped + other.skipped,
        )
        return self

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed" + (f", {self.skipped} skipped" if self.skipped else "")


def run(tier: Tier, report: Path) -> tuple[Count, list[str]]:
    """Run one tier with pytest; returns its counts and the reasons of what it skipped."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-m",
        tier.marks,
        f"--junitxml={report}",
        "--durations=5",
        "-rs",
        *tier.paths,
    ]
    status = subprocess.run(command, cwd=ROOT, check=False).returncode
    if not report.exists():
        return Count(failed=1), [f"pytest ended with status {status} before it ran anything"]
    cases = list(ElementTree.parse(report).iter("testcase"))
    bad = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    skipped = [case.find("skipped") for case in cases]
    reasons = sorted({element.get("message", "") for element in skipped if element is not None})
    count = Count(passed=len(cases) - len(bad) - sum(e is not None for e in skipped), failed=len(bad),
                  skipped=sum(e is not None for e in skipped))  # fmt: skip
    if status not in (0, 1):  # interrupted, internal error, nothing collected
        count.failed += 1
    return count, reasons


def compile_programs() -> bool:
    """helm for the chart tests, and the cluster for the others: here, with its progress, not inside a test's time-out."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
    return (
        subprocess.run([sys.executable, "-m", "cluster", "build"], cwd=ROOT, env=environment, check=False).returncode
        == 0
    )


def main() -> int:
    total, lines = Count(), []
    if not compile_programs():
        total.failed += 1
        lines.append("FAILED    the local cluster's programs could not be compiled; see above")
    with tempfile.TemporaryDirectory() as folder:
        for index, tier in enumerate(TIERS):
            if tier.needs_root and os.geteuid() != 0:
                lines.append(f"left out  {tier.name}: {NEEDS_ROOT}")
                continue
            print(f"\n=== {tier.name}", flush=True)
            began = time.monotonic()
            count, reasons = run(tier, Path(folder) / f"{index}.xml")
            total += count
            lines.append(
                f"{'ok' if not count.failed else 'FAILED':8}  {tier.name}: {count} in {time.monotonic() - began:.0f} s"
            )
            lines += [f"          skipped: {reason}" for reason in reasons]
    print("\n=== summary\n" + "\n".join(lines) + f"\n{total}", flush=True)
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
