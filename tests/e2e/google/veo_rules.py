"""What Google documents of a call to Veo: every field's name, type and range. No other passes."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

Rule = Callable[[Any], bool]
Rules = Mapping[str, Rule]

BUCKET: Final = re.compile(r"gs://[a-z0-9][a-z0-9._-]{1,61}[a-z0-9](/.*)?")


def _one_of(*choices: Any) -> Rule:
    return lambda value: any(type(value) is type(each) and value == each for each in choices)


def _integer(least: int, most: int) -> Rule:
    # To Python, True is an integer.
    return lambda value: type(value) is int and least <= value <= most


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_storage_uri(value: Any) -> bool:
    return isinstance(value, str) and BUCKET.fullmatch(value) is not None


def _is_media(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    content = value.keys() & {"bytesBase64Encoded", "gcsUri"}
    return len(content) == 1 and value.keys() == content | {"mimeType"}


INSTANCE: Final[Rules] = {
    "prompt": _is_text,
    "image": _is_media,
    "lastFrame": _is_media,
    "referenceImages": lambda value: isinstance(value, list) and len(value) in range(1, 4),
}
PARAMETERS: Final[Rules] = {
    "aspectRatio": _one_of("16:9", "9:16"),
    "compressionQuality": _one_of("optimized", "lossless"),
    "durationSeconds": _one_of(4, 6, 8),
    "generateAudio": _one_of(True, False),
    "negativePrompt": _is_text,
    "personGeneration": _one_of("allow_adult", "dont_allow", "allow_all"),
    "resizeMode": _one_of("pad", "crop"),
    "resolution": _one_of("720p", "1080p"),
    "sampleCount": _integer(1, 4),
    "seed": _integer(0, 2**32 - 1),
    "storageUri": _is_storage_uri,
}


def violations(body: Any) -> list[str]:
    """Everything in the body of ``predictLongRunning`` that Google does not document."""
    if not isinstance(body, dict):
        return ["the body is no object"]
    found = [f"unknown field {name}" for name in body.keys() - {"instances", "parameters"}]
    instances = body.get("instances")
    if not isinstance(instances, list) or len(instances) != 1:
        return [*found, "instances must be a list of one"]
    found += _against(INSTANCE, "instances[0]", instances[0])
    if "prompt" not in instances[0]:
        found.append("instances[0].prompt is missing")
    parameters = body.get("parameters")
    found += _against(PARAMETERS, "parameters", parameters)
    # Documented as optional; without it the video comes in the answer, and nobody wants that.
    if isinstance(parameters, dict) and "storageUri" not in parameters:
        found.append("parameters.storageUri is missing")
    return found


def _against(rules: Rules, where: str, fields: Any) -> list[str]:
    if not isinstance(fields, dict):
        return [f"{where} is no object"]
    found = [f"unknown field {where}.{name}" for name in fields.keys() - rules.keys()]
    found += [
        f"{where}.{name} may not be {fields[name]!r}"
        for name in fields.keys() & rules.keys()
        if not rules[name](fields[name])
    ]
    return sorted(found)
