"""The example for Locust's operator: only fields that its documentation lists, only arguments that Locust takes."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import jsonschema
from ruamel.yaml import YAML

FOLDER = Path(__file__).resolve().parents[1] / "loadtests" / "kubernetes"
TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
AMOUNTS = {"type": "object", "additionalProperties": {"type": ["string", "integer"]}}
ROLE = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "labels": TEXTS,
        "annotations": TEXTS,
        "resources": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"requests": AMOUNTS, "limits": AMOUNTS},
        },
    },
}
# docs.locust.io/en/stable/kubernetes-operator.html, "LocustTest CRD Configuration"; `env` by its resource definition.
LOCUST_TEST = {
    "type": "object",
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "additionalProperties": False,
    "properties": {
        "apiVersion": {"const": "locust.io/v1"},
        "kind": {"const": "LocustTest"},
        "metadata": {
            "type": "object",
            "required": ["name"],
            "properties": {"name": {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "maxLength": 63}},
        },
        "spec": {
            "type": "object",
            "required": ["workers"],
            "additionalProperties": False,
            "properties": {
                "image": {"type": "string"},
                "workers": {"type": "integer", "minimum": 1},
                "args": {"type": "string"},
                "env": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["name"],
                        "additionalProperties": False,
                        "properties": {"name": {"type": "string"}, "value": {"type": "string"}},
                    },
                },
                "locustfile": {
                    "type": "object",
                    "additionalProperties": False,
                    "minProperties": 1,
                    "maxProperties": 1,
                    "properties": {
                        "content": {"type": "string"},
                        "configMap": {
                            "type": "object",
                            "required": ["name"],
                            "additionalProperties": False,
                            "properties": {"name": {"type": "string"}, "key": {"type": "string"}},
                        },
                    },
                },
                "labels": TEXTS,
                "annotations": TEXTS,
                "master": ROLE,
                "worker": ROLE,
                "imagePullPolicy": {"enum": ["IfNotPresent", "Always", "Never"]},
                "imagePullSecrets": {"type": "array", "items": {"type": "object", "required": ["name"]}},
            },
        },
    },
}

READ = """
import sys
from locust.argument_parser import get_parser
from locust.util.load_locustfile import load_locustfile
users = load_locustfile(sys.argv[1])[0]
told = get_parser().parse_args(sys.argv[2:])
from wireproof.load.settings import Settings
(user,) = [u for u in users.values() if u.spec]
settings = Settings(specs=(user.spec,), bases={}, plan=told.plan)
settings.endpoints(), settings.load_plan()
print(told.expect_workers, told.headless, told.live, told.budget)
"""


def resource() -> dict:
    return YAML(typ="safe", pure=True).load((FOLDER / "locusttest.yaml").read_text())


def test_the_resource_has_only_fields_that_the_operator_documents():
    jsonschema.validate(resource(), LOCUST_TEST)


def test_its_locustfile_and_its_arguments_are_taken_by_locust(tmp_path):
    spec = resource()["spec"]
    locustfile = tmp_path / "locustfile.py"
    locustfile.write_text(spec["locustfile"]["content"])
    words = [sys.executable, "-c", READ, str(locustfile), *shlex.split(spec["args"])]
    environment = {**os.environ, "PYTHONPATH": str(FOLDER.parents[1] / "harness")}
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, cwd=FOLDER, env=environment)
    assert done.stdout.split() == [str(spec["workers"]), "True", "True", "3.00USD"], done.stderr[-800:]


def test_no_key_is_in_the_example():
    assert not [e for e in resource()["spec"]["env"] if e["name"].endswith("KEY") and "put-the-key" not in e["value"]]
