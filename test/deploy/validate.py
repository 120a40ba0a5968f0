"""Holds rendered manifests to the schemas of Kubernetes and of the custom resources in them.

    validate.py KUBERNETES_VERSION CRD_FOLDER < manifests.yaml

Prints a line for each that does not fit, and exits with 1 then. A kind that there is no schema for is one of them.
"""

import sys
from pathlib import Path

import jsonschema
import kubernetes_validate
import yaml


def definitions(folder: Path) -> dict[tuple[str, str], dict]:
    """The schemas of custom resources, by apiVersion and kind."""
    found = {}
    for file in folder.glob("*.yaml"):
        for crd in yaml.safe_load_all(file.read_text()):
            if not crd or crd["kind"] != "CustomResourceDefinition":
                continue
            spec = crd["spec"]
            for version in spec["versions"]:
                name = f"{spec['group']}/{version['name']}"
                found[name, spec["names"]["kind"]] = closed(version["schema"]["openAPIV3Schema"])
    return found


def closed(schema: dict) -> dict:
    """With unknown fields refused, as the API server's strict field validation does."""
    properties = schema.get("properties")
    result = dict(schema)
    if properties is not None:
        result["properties"] = {name: closed(each) for name, each in properties.items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields") and "additionalProperties" not in schema:
            result["additionalProperties"] = False
    # Go takes a flag anywhere in a pattern, Python at its begin only.
    if "(?i)" in schema.get("pattern", ""):
        result["pattern"] = "(?i)" + schema["pattern"].replace("(?i)", "")
    if isinstance(schema.get("items"), dict):
        result["items"] = closed(schema["items"])
    if isinstance(schema.get("additionalProperties"), dict):
        result["additionalProperties"] = closed(schema["additionalProperties"])
    return result


def problem(manifest: dict, version: str, custom: dict) -> str | None:
    known = custom.get((manifest["apiVersion"], manifest["kind"]))
    try:
        if known is None:
            kubernetes_validate.validate(manifest, version, strict=True)
        else:
            # The API server fills in apiVersion, kind and metadata, which a definition leaves open.
            spec = {name: each for name, each in manifest.items() if name not in ("apiVersion", "kind", "metadata")}
            jsonschema.validate(spec, {**known, "required": [], "additionalProperties": False})
    except kubernetes_validate.ValidationError as error:
        return f"{'.'.join(map(str, error.path))}: {error.message}"
    except jsonschema.ValidationError as error:
        return f"{'.'.join(map(str, error.absolute_path))}: {error.message}"
    except Exception as error:  # a kind or a version without a schema
        return str(error)
    return None


def main(version: str, crds: str) -> int:
    custom = definitions(Path(crds))
    wrong = 0
    for manifest in yaml.safe_load_all(sys.stdin):
        if manifest is None:
            continue
        found = problem(manifest, version, custom)
        if found is not None:
            wrong += 1
            print(f"{manifest['kind']}/{manifest['metadata']['name']}: {found}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
