"""The description of the API (OpenAPI) as tests read it: does an answer fit it, what would fit a body."""

from typing import Any

from tests.scrm.test_urls import FOREIGN

KINDS: dict[str, Any] = {
    "integer": int, "number": (int, float), "string": str, "boolean": bool, "array": list, "object": dict,
}  # fmt: skip


class Described:
    def __init__(self, document: dict[str, Any]) -> None:
        self.paths: dict[str, Any] = document["paths"]
        self._parts = document["components"]["schemas"]

    def whole(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Without references."""
        while "$ref" in schema or len(schema.get("allOf", ())) == 1:
            if "$ref" in schema:
                schema = self._parts[schema["$ref"].rsplit("/", 1)[1]]
            else:
                rest = {key: value for key, value in schema.items() if key != "allOf"}
                schema = {**self.whole(schema["allOf"][0]), **rest}
        return schema

    def misfits(self, value: Any, schema: dict[str, Any], at: str = "") -> list[str]:
        """Where a value is not as described."""
        schema = self.whole(schema)
        if "oneOf" in schema:
            found = [self.misfits(value, one, at) for one in schema["oneOf"]]
            return [] if [] in found else found[0]
        if value is None:
            is_fine = schema.get("nullable") or not {"type", "properties", "enum"} & set(schema)
            return [] if is_fine else [f"{at}: null"]
        if "enum" in schema and value not in schema["enum"]:
            return [f"{at}: {value!r} is none of {schema['enum']}"]
        kind = schema.get("type")
        if kind and (not isinstance(value, KINDS[kind]) or (isinstance(value, bool) and kind != "boolean")):
            return [f"{at}: {value!r} is no {kind}"]
        wrong: list[str] = []
        if isinstance(value, dict) and "properties" in schema:
            known = {
                name: one
                for name, one in schema["properties"].items()
                if not self.whole(one).get("writeOnly")
            }
            if "additionalProperties" not in schema:
                wrong += [f"{at}.{name}: not described" for name in value if name not in known]
            needed = [name for name in schema.get("required", ()) if name in known]
            wrong += [f"{at}.{name}: missing" for name in needed if name not in value]
            for name in known.keys() & value.keys():
                wrong += self.misfits(value[name], known[name], f"{at}.{name}")
        elif isinstance(value, dict) and isinstance(schema.get("additionalProperties"), dict):
            for name, one in value.items():
                wrong += self.misfits(one, schema["additionalProperties"], f"{at}.{name}")
        elif isinstance(value, list):
            for one in value:
                wrong += self.misfits(one, schema.get("items", {}), f"{at}[]")
        return wrong

    def fitting(self, schema: dict[str, Any], name: str = "") -> Any:
        """A value that fits; ids are FOREIGN."""
        schema = self.whole(schema)
        if "enum" in schema:
            return schema["enum"][0]
        if "properties" in schema:
            return {
                key: self.fitting(one, key)
                for key, one in schema["properties"].items()
                if not self.whole(one).get("readOnly")
            }
        kind = schema.get("type")
        if kind == "array":
            return [self.fitting(schema.get("items", {}), name)]
        if kind == "integer":
            is_id = name.endswith(("_id", "_ids")) or name in ("ids", "contacts", "add", "remove")
            return FOREIGN if is_id else max(schema.get("minimum", 1), min(5, schema.get("maximum", 5)))
        if kind == "string":
            forms = {"date-time": "2026-11-20T10:00:00Z", "date": "2026-11-20", "time": "10:00"}
            return forms.get(schema.get("format", ""), "https://example.com/x" if name == "url" else "word")
        return {"number": 1.5, "boolean": True}.get(kind or "", {})
