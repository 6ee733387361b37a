"""Policies as files that people edit: YAML with a description, wherever one may stand."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from nurture_envs.yaml_once import read_yaml
from nurture_rl.errors import ConfigError
from nurture_rl.policies.policy import Spec

RULES = "rules.yaml"  # of a folder that a verb writes rules into
_ENDINGS = (".yaml", ".yml")
_PARTS = ("policy", "other", "base", "with", "anchor", "usual")  # where another one may stand


def with_files(spec: Any) -> Any:
    """A description whose files are read: a text that ends in .yaml stands for what is in it.

    Args:
        spec: a description, as settings hold it.

    Raises:
        ConfigError: a file is not there or holds no description.
    """
    if isinstance(spec, str) and spec.endswith(_ENDINGS):
        return read_policy_file(Path(spec))
    if not isinstance(spec, Mapping):
        return spec
    return {key: with_files(part) if key in _PARTS else part for key, part in spec.items()}


def read_policy_file(path: Path) -> Spec:
    """The description in a file.

    Raises:
        ConfigError: it is not there or holds no description; names the line.
    """
    what = f"{path}: expected a policy file, YAML with a kind"
    try:
        found = read_yaml(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{what}, and cannot read it: {error}; give its path") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{what}, got no YAML: {error}; mend that line") from error
    if not isinstance(found, Mapping) or "kind" not in found:
        got = ", ".join(map(str, found)) if isinstance(found, Mapping) else repr(found)
        raise ConfigError(f"{what} such as `kind: rules`, got {got}; `nurture distil` writes one")
    return {str(key): value for key, value in found.items()}


def require_unedited(out: Path, record: str, verb: str) -> None:
    """Guard rules that somebody edited against being written over.

    Args:
        out: folder that is to be made, with `rules.yaml` in it.
        record: the file beside it that knows the SHA-256 of the rules as they were written.
        verb: that wrote both.

    Raises:
        ConfigError: `out` holds other rules than were written there, or something else.
    """
    if not out.exists():
        return
    try:
        written = json.loads((out / record).read_text("utf-8"))["file"]
        now = hashlib.sha256((out / RULES).read_bytes()).hexdigest()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"out: expected a folder that is not there, or one of an earlier `{verb}`, got {out}; "
            "name another"
        ) from error
    if now != written:
        raise ConfigError(
            f"out: {out / RULES} was edited since it was written, and would be lost; name another "
            "folder, or move it away"
        )


def rules_text(spec: Spec, heading: Sequence[str], about: Sequence[str]) -> str:
    """Rules as the text of a policy file.

    Args:
        spec: of kind `rules`, with its rules.
        heading: what stands first, a comment a line.
        about: a comment for each rule, and one for what is done otherwise.
    """
    lines = [f"# {line}".rstrip() for line in heading]
    lines += ["kind: rules", "rules:" if spec["rules"] else "rules: []"]
    for rule, told in zip(spec["rules"], about[:-1], strict=True):
        when = ", ".join(
            f"{_key(name)}: {json.dumps(asked)}" for name, asked in rule["when"].items()
        )
        lines += [f"  # {told}", f"  - {{when: {{{when}}}, do: {json.dumps(rule['do'])}}}"]
    lines += [f"# {about[-1]}", f"otherwise: {json.dumps(spec['otherwise'])}"]
    return "\n".join(lines) + "\n"


def _key(name: str) -> str:
    """A name as YAML takes it: quoted where it would be read as something else."""
    return str(yaml.safe_dump(name)).removesuffix("\n").removesuffix("\n...")
