"""`make explore`: everything that a rollout can meet within each scope, to the last state or as many as the scope says."""

from support.exploring.scopes import LONG, QUICK
from support.exploring.search import explore


def main() -> None:
    for scope in (*QUICK, *LONG):
        print(f"{scope.name}: {explore(scope)}", flush=True)


if __name__ == "__main__":
    main()
