"""Reads answers (JSON lines) from standard input and holds each against Neon's OpenAPI document, given as argument.

Runs in a Python of its own, with the fetched packages. Prints one line per fault; exit 1 when there is one.
"""

import json
import re
import sys
from pathlib import Path

import yaml
from openapi_schema_validator import OAS30Validator, oas30_format_checker

#: Only JSON's own types: a date-time stays the text that it is on the wire.
LOADER = type("Loader", (getattr(yaml, "CSafeLoader", yaml.SafeLoader),), {})
LOADER.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in entries if tag != "tag:yaml.org,2002:timestamp"]
    for first, entries in LOADER.yaml_implicit_resolvers.items()
}


def main(document_file: str) -> int:
    document = yaml.load(Path(document_file).read_text(encoding="utf-8"), LOADER)
    shapes = {re.sub(r"\{[^}]*\}", "{}", path): item for path, item in document["paths"].items()}
    seen = faults = 0
    for line in sys.stdin:
        answer = json.loads(line)
        seen += 1
        for fault in faults_of(answer, shapes, document):
            faults += 1
            print(f"{answer['method']} {answer['path']} {answer['status']}: {fault}")
    print(f"{seen} answers, {faults} faults")
    return 1 if faults or not seen else 0


def faults_of(answer, shapes, document):
    operation = shapes.get(re.sub(r"\{[^}]*\}", "{}", answer["path"]), {}).get(answer["method"].lower())
    if operation is None:
        return ["Neon's document has no such operation"]
    responses = {str(status): response for status, response in operation["responses"].items()}
    status = str(answer["status"])
    described = resolve(responses.get(status), document)
    if described is None and status[0] != "2":
        described = resolve(responses["default"], document)
    if described is None:
        return [f"this status is not described; there are {', '.join(responses)}"]
    content = described.get("content")
    if content is None:
        return [] if answer["body"] is None else ["no body is described"]
    schema = {**content["application/json"]["schema"], "components": document["components"]}
    found = OAS30Validator(schema, format_checker=oas30_format_checker).iter_errors(answer["body"])
    return [f"{'/'.join(map(str, each.absolute_path)) or 'the body'}: {each.message[:300]}" for each in found]


def resolve(described, document):
    if described is None or "$ref" not in described:
        return described
    for part in described["$ref"].removeprefix("#/").split("/"):
        document = document[part]
    return document


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
