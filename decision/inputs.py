"""Digests of what a measurement depends on: the subject, and the inputs of each collector.

A folder's digest is in-toto's ``dirHash1``: the sha256 of the sorted ``sha256sum`` lines of its files, which
``find . -type f | cut -c3- | LC_ALL=C sort | xargs -r sha256sum | sha256sum`` gives too (byte-compiled Python apart).
"""

import hashlib
import importlib.util
import os.path
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from decision.claims import Wanted
from decision.collect import DataQualityCollect, TestSuiteCollect
from decision.collect_rollout import LivedCollect
from decision.objectives import Slo, Stage
from decision.plan_file import PlanFile
from evidence.allowed_signers import Signer, read_allowed_signers
from evidence.dsse import json_sha256
from evidence.record import Subject
from processes.errors import UsageError


def subject_of(plan_file: PlanFile) -> Subject:
    """The subject of a plan as it is on disk now. Raises UsageError when its source is no folder."""
    spec = plan_file.plan.subject
    source = plan_file.resolve(spec.source)
    if not source.is_dir():
        raise UsageError(f"{plan_file.path}: subject.source: {source} is no folder")
    return Subject(name=spec.name, version=spec.version, digest=folder_digest(source), commit=_commit(source))


def wanted_of(plan_file: PlanFile) -> dict[str, Wanted]:
    """What the evidence of each collector must have been measured on, to count for the plan as it is on disk now."""
    subject = subject_of(plan_file).digest
    return {name: Wanted(subject=subject, inputs=inputs_of(plan_file, name)) for name in plan_file.plan.collect}


def inputs_of(plan_file: PlanFile, collector: str) -> dict[str, str]:
    """The digest of each input of one collector: its part of the plan, and the files and folders that it reads."""
    plan = plan_file.plan
    collect = plan.collect[collector]
    if isinstance(collect, LivedCollect):
        stage = next(stage for stage in plan.rollout.stages if stage.name == collect.stage)
        return inputs_of_stage(plan_file, collector, stage, plan.slo)
    parts = {
        "targets": lambda: _digest_of(plan.targets),
        "slo": lambda: _digest_of_slo(plan.slo),
        "rollout": lambda: _digest_of(plan.rollout),
    }
    inputs = {"plan collect": _digest_of(collect)} | {f"plan {part}": parts[part]() for part in sorted(collect.uses)}
    paths = [*collect.files()]
    if "targets" in collect.uses:
        paths += [*plan.targets.stable.inputs, *plan.targets.candidate.inputs]
    if isinstance(collect, TestSuiteCollect):
        paths += _paths_in_command(plan_file, collect)
    if isinstance(collect, DataQualityCollect):
        paths += _module_files(collect.suite)
    for path in {plan_file.resolve(p) for p in paths}:
        inputs[_name(path, plan_file.base)] = path_digest(path)
    return inputs


def inputs_of_stage(plan_file: PlanFile, collector: str, stage: Stage, slo: Slo) -> dict[str, str]:
    """What evidence of a stage in production depends on: the stage and the objectives by which it was lived through."""
    collect = plan_file.plan.collect[collector]
    inputs = {"plan collect": _digest_of(collect), "plan stage": _digest_of(stage), "plan slo": _digest_of_slo(slo)}
    return inputs | {_name(p, plan_file.base): path_digest(p) for p in map(plan_file.resolve, collect.files())}


def signers_of(plan_file: PlanFile) -> dict[str, tuple[Signer, ...]]:
    """The allowed signers of each role, as the plan's files have them now.

    Raises UsageError for a wrong file, and for a key that two people share: whose word would it be?
    """
    signers = {
        role: read_allowed_signers(plan_file.resolve(person.signers))
        for role, person in plan_file.plan.people.items()
        if person.signers is not None
    }
    holder: dict[bytes, str] = {}
    for role, keys in signers.items():
        name = plan_file.plan.people[role].name
        for signer in keys:
            if (other := holder.setdefault(signer.key.public_bytes_raw(), name)) != name:
                raise UsageError(f"{plan_file.path}: {other} and {name} share a key: nobody could tell who signed")
    return signers


def path_digest(path: Path) -> str:
    """``sha256:hex`` of a file, ``dirHash1:hex`` of a folder, ``missing`` of neither."""
    if path.is_dir():
        return folder_digest(path)
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}" if path.is_file() else "missing"


def folder_digest(folder: Path) -> str:
    """The dirHash1 of a folder. Raises UsageError for a symbolic link, whose content the digest would not cover."""
    files = []
    for path in folder.rglob("*"):
        if "__pycache__" in path.parts or path.suffix == ".pyc":
            continue
        if path.is_symlink():
            raise UsageError(f"{path}: a symbolic link cannot be part of a digest")
        if path.is_file():
            files.append(path)
    relative = sorted((p.relative_to(folder).as_posix().encode(), p) for p in files)
    lines = b"".join(hashlib.sha256(p.read_bytes()).hexdigest().encode() + b"  " + name + b"\n" for name, p in relative)
    return f"dirHash1:{hashlib.sha256(lines).hexdigest()}"


def json_digest(value: object) -> str:
    """``sha256:hex`` of a value as RFC 8785 canonical JSON."""
    return f"sha256:{json_sha256(value)}"


def _digest_of_slo(slo: Slo) -> str:
    return json_digest({name: objective.model_dump(mode="json") for name, objective in slo.items()})


def _digest_of(part: BaseModel) -> str:
    return json_digest(part.model_dump(mode="json"))


def _paths_in_command(plan_file: PlanFile, collect: TestSuiteCollect) -> Iterator[Path]:
    """The words of a test command that name files or folders (``tests/a.py::test_b`` names its file)."""
    for word in shlex.split(collect.run or ""):
        cwd = plan_file.resolve(collect.cwd)
        path = plan_file.resolve(collect.cwd / word.split("::")[0])
        if path.exists() and path != cwd:
            yield path
            if path.is_file() and path.is_relative_to(cwd):
                yield from (c for folder in path.parents if (c := folder / "conftest.py").is_file() and folder != cwd)


def _module_files(module: str) -> Iterator[Path]:
    """The package that holds a module, because modules of one package share values; a module on its own."""
    spec = importlib.util.find_spec(module)
    if spec and spec.origin:
        yield Path(spec.origin).parent if spec.parent else Path(spec.origin)


def _name(path: Path, base: Path) -> str:
    return Path(os.path.relpath(path, base)).as_posix()


def _commit(source: Path) -> str | None:
    """The commit of the repository that holds the source, with ``-dirty`` when the source differs from it."""
    try:
        described = subprocess.run(
            ["git", "-C", str(source), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return described.stdout.strip() or None if described.returncode == 0 else None
