"""The kinds of evidence, and what each says."""

from evidence.ab_result import AbTestResult
from evidence.accuracy_result import AccuracyResult
from evidence.acts import ApprovalResult, RevocationResult, WaiverResult
from evidence.results import (
    ContractResult,
    DataQualityResult,
    DecisionResult,
    DocumentationResult,
    DrillResult,
    LoadResult,
    MonitoringResult,
    Result,
    RetentionResult,
    RolloutResult,
    TestSuiteResult,
)
from evidence.soak_result import SoakResult

RESULTS: dict[str, type[Result]] = {
    "test-suite": TestSuiteResult,
    "contract": ContractResult,
    "data-quality": DataQualityResult,
    "accuracy": AccuracyResult,
    "load": LoadResult,
    "soak": SoakResult,
    "drill": DrillResult,
    "monitoring": MonitoringResult,
    "documentation": DocumentationResult,
    "rollout": RolloutResult,
    "ab-test": AbTestResult,
    "decision": DecisionResult,
    "approval": ApprovalResult,
    "waiver": WaiverResult,
    "revocation": RevocationResult,
    "retention": RetentionResult,
}
"""The result model of each kind of evidence."""

ACTS: frozenset[str] = frozenset({"approval", "waiver", "revocation"})
"""The kinds that persons sign, not collectors."""

KIND_OF: dict[type[Result], str] = {model: kind for kind, model in RESULTS.items()}
