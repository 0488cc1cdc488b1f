import json
from pathlib import Path

import jsonschema
import pytest

from evidence.dsse import parse_strict
from evidence.kinds import RESULTS
from evidence.schemas import schema_of
from evidence.statement import build_statement
from tests.unit.evidence.conftest import SUBJECT, measurement

FOLDER = Path(__file__).resolve().parents[3] / "docs" / "schemas"


@pytest.mark.parametrize("kind", sorted(RESULTS))
def test_the_schemas_in_the_documentation_are_those_of_the_code(kind: str) -> None:
    assert json.loads((FOLDER / f"{kind}.schema.json").read_text()) == schema_of(kind)


def test_there_is_a_schema_for_each_kind_and_no_other() -> None:
    assert {path.name.removesuffix(".schema.json") for path in FOLDER.iterdir()} == set(RESULTS)


def test_a_predicate_follows_its_schema_and_a_wrong_one_does_not() -> None:
    statement = build_statement(SUBJECT, "documents", {}, measurement(), [])
    predicate = parse_strict(json.dumps(statement).encode())["predicate"]
    jsonschema.validate(predicate, schema_of("documentation"))
    predicate["result"]["lines"] = -1
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(predicate, schema_of("documentation"))
