"""The documentation page, made from the OpenAPI document: plain HTML and CSS, nothing fetched from elsewhere, no scripts."""

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, select_autoescape
from markupsafe import Markup, escape

TEMPLATES = Path(__file__).parent / "templates"
_CODE = re.compile(r"`([^`]+)`")
EXAMPLE_ID = "123e4567-e89b-12d3-a456-426614174000"


def docs_page(document: dict[str, Any], base_url: str) -> str:
    """The page, HTML in UTF-8; its examples call the API at `base_url`."""
    return _rendered(json.dumps(document), base_url)


@lru_cache(maxsize=8)
def _rendered(document_json: str, base_url: str) -> str:
    document = json.loads(document_json)
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=select_autoescape())
    environment.filters["prose"] = _prose
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            entry = _operation(document, path, method, operation)
            groups.setdefault(operation.get("tags", ["Other"])[0], []).append(entry)
    return environment.get_template("docs.html").render(info=document["info"], groups=groups, base_url=base_url)


def _operation(document: dict[str, Any], path: str, method: str, operation: dict[str, Any]) -> dict[str, Any]:
    body = _schema(document, operation.get("requestBody", {}).get("content", {}))
    answers = []
    for status, answer in sorted(operation["responses"].items()):
        answers.append({"status": status, "description": answer["description"]})
    good = next((answer for status, answer in sorted(operation["responses"].items()) if status < "300"), {})
    return {
        "id": operation["operationId"],
        "method": method.upper(),
        "path": path,
        "summary": operation.get("description") or operation.get("summary", ""),
        "parameters": [
            parameter | {"type": _type(parameter["schema"])} for parameter in operation.get("parameters", [])
        ],
        "body": _fields(document, body),
        "answer": _fields(document, _schema(document, good.get("content", {}))),
        "answers": answers,
        "curl": _curl(document, path, method, operation, body),
    }


def _schema(document: dict[str, Any], content: dict[str, Any]) -> dict[str, Any]:
    schema = content.get("application/json", {}).get("schema", {})
    return _resolved(document, schema.get("items", schema))


def _resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    return document["components"]["schemas"][name] if name else schema


def _fields(document: dict[str, Any], schema: dict[str, Any]) -> list[dict[str, Any]]:
    required = schema.get("required", [])
    return [
        {
            "name": name,
            "type": _type(field),
            "required": name in required,
            "default": json.dumps(field["default"]) if field.get("default") is not None else "",
            "description": field.get("description", ""),
        }
        for name, field in schema.get("properties", {}).items()
    ]


def _type(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_type(part) for part in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    if "$ref" in schema:
        return schema["$ref"].rpartition("/")[2]
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    text = str(schema.get("format") or schema.get("type") or "any")
    least, most = schema.get("minimum"), schema.get("maximum")
    return f"{text}, {least:,} to {most:,}" if least is not None and most is not None else text


def _prose(text: str) -> Markup:
    """Text with `code` in it."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))


def _curl(document: dict[str, Any], path: str, method: str, operation: dict[str, Any], body: dict[str, Any]) -> str:
    lines = ["curl" + (f" -X {method.upper()}" if method != "get" else "")]
    if operation.get("security"):
        lines.append('-H "Authorization: Api-Key YOUR_API_KEY"')
    if body:
        example = {name: field["examples"][0] for name, field in body["properties"].items() if "examples" in field}
        lines += ['-H "Content-Type: application/json"', f"-d '{json.dumps(example)}'"]
    target = path.replace("{job_id}", EXAMPLE_ID).replace("{file_type}", "ply")
    if "302" in operation["responses"]:
        lines.append("-L -o " + ("scene.ply" if "file_type" in path else "preview.jpg"))
    if "/events/" in path:
        lines.append("--no-buffer")
    return " \\\n  ".join([*lines, f'"URL:{target}"'])
