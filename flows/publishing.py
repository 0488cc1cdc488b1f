"""What a waiting authorization shows in Prefect: the report, what is missing, and what there is to sign."""

import re

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from decision.approvals import ApprovalNeeded, Root
from decision.decide import Decision
from decision.levels import levels_up_to
from decision.plan_file import PlanFile
from evidence.dsse import canonical_json
from reports.untrusted import neutral


def publish(plan_file: PlanFile, decision: Decision, report: str, objection: str | None) -> None:
    """Publish a decision as artifacts of this flow run; their keys end in the name of the release."""
    release = re.sub("[^a-z0-9]+", "-", plan_file.plan.release)
    create_markdown_artifact(_code(report), key=f"report-{release}", description=f"{_word(decision)}: the report")
    levels = set(levels_up_to(decision.requested_level))
    missing = [
        {"missing": neutral(step.does), "owner": neutral(step.owner), "hours": step.hours}
        for step in decision.missing
        if levels & set(step.levels)
    ]
    if missing:
        create_table_artifact(missing, key=f"missing-{release}", description=f"{_word(decision)}: what is missing")
    if decision.lacks_only_signatures:
        create_markdown_artifact(
            "\n\n".join([waits_for(plan_file, decision, objection), *_requests(decision)]),
            key=f"request-{release}",
            description="What there is to sign, and how",
        )


def waits_for(plan_file: PlanFile, decision: Decision, objection: str | None) -> str:
    """What a suspended run waits for, as Markdown, and why its newest input was not accepted."""
    lines = [f"**{_word(decision)}**: signatures are all that is missing."]
    if objection:
        lines.append(f"The newest input was not accepted:\n\n{_code(neutral(objection))}")
    lines += [f"- {needed.person} ({needed.role}) for level {needed.level}" for needed in _needed(decision)]
    lines.append(
        "Sign on a machine of your own, and resume this run with what that prints; resume it with nothing to make it"
        " look into the ledger again:"
    )
    commands = [
        f"gonogo approve {plan_file.path.name} --level {root.level} --role ROLE --key FILE --root {root.digest}"
        f" --request request-{root.level}.json"
        for root in _roots(decision)
    ]
    lines.append(_code("\n".join(commands)))
    return "\n\n".join(lines)


def _requests(decision: Decision) -> list[str]:
    return [
        f"request-{root.level}.json:\n\n{_code(canonical_json(root.model_dump(mode='json')).decode())}"
        for root in _roots(decision)
    ]


def _roots(decision: Decision) -> list[Root]:
    levels = {needed.level for needed in _needed(decision)}
    return [root for level, root in decision.roots.items() if level in levels]


def _needed(decision: Decision) -> list[ApprovalNeeded]:
    levels = levels_up_to(decision.requested_level)
    return [needed for needed in decision.approvals_missing if needed.level in levels]


def _word(decision: Decision) -> str:
    return f"{decision.decision} at level {decision.requested_level}"


def _code(text: str) -> str:
    """Text as a Markdown code block, which nothing in it can end."""
    fence = "`" * (1 + max([2, *(len(run) for run in re.findall("`+", text))]))
    return f"{fence}\n{text.rstrip()}\n{fence}"
