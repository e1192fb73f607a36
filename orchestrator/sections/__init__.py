"""The sections of preview.toml as frozen values, a file for each subject. Read nothing.

The descriptions in them are the manual: `docs/settings.md` is generated from them.
"""

from orchestrator.sections.access import AccessSection
from orchestrator.sections.app import AppSection, RuntimeSection
from orchestrator.sections.base import Section, parse_duration, parse_size
from orchestrator.sections.dashboard import DashboardSection
from orchestrator.sections.gateway import GatewaySection
from orchestrator.sections.lifetime import LifetimeSection, LimitsSection
from orchestrator.sections.migration import MigrationSection, MigrationStepSection
from orchestrator.sections.notify import NotifySection, NotifyTarget
from orchestrator.sections.project import GoalSection, ProjectSection, StoreSection
from orchestrator.sections.promote import PromoteSection
from orchestrator.sections.release import ReleaseSection
from orchestrator.sections.report import IgnoreRule, ReportSection
from orchestrator.sections.safety import SafetySection, VerifySection
from orchestrator.sections.server import ServerSection
from orchestrator.sections.services import ServiceSection, in_order

__all__ = [
    "AccessSection",
    "AppSection",
    "DashboardSection",
    "GatewaySection",
    "GoalSection",
    "IgnoreRule",
    "LifetimeSection",
    "LimitsSection",
    "MigrationSection",
    "MigrationStepSection",
    "NotifySection",
    "NotifyTarget",
    "ProjectSection",
    "PromoteSection",
    "ReleaseSection",
    "ReportSection",
    "RuntimeSection",
    "SafetySection",
    "Section",
    "ServerSection",
    "ServiceSection",
    "StoreSection",
    "VerifySection",
    "in_order",
    "parse_duration",
    "parse_size",
]
