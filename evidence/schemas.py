"""JSON Schemas of the predicates, one per kind: ``python -m evidence.schemas FOLDER`` writes them."""

import json
import sys
from pathlib import Path
from typing import Any, Literal

from pydantic import create_model

from evidence.kinds import RESULTS
from evidence.statement import EvidencePredicate, predicate_type


def schema_of(kind: str) -> dict[str, Any]:
    """The schema of a kind's predicate. For test suites it is that of the extension field ``gonogo`` of test-result."""
    model = create_model(
        f"{kind} evidence",
        __base__=EvidencePredicate,
        kind=(Literal[kind], ...),  # type: ignore[arg-type]
        result=(RESULTS[kind], ...),
    )
    schema = model.model_json_schema(by_alias=True)
    return (
        {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"urn:gonogo:evidence:{kind}:v1"}
        | schema
        | {"description": f"predicateType {predicate_type(kind)}" + (", field gonogo" if kind == "test-suite" else "")}
    )


def write_schemas(folder: Path) -> None:
    """Write the schema of each kind into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind in RESULTS:
        (folder / f"{kind}.schema.json").write_text(json.dumps(schema_of(kind), indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    write_schemas(Path(sys.argv[1]))
