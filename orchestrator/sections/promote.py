"""What a promotion may do: `[promote]`. Reads nothing."""

from typing import Literal

from pydantic import Field

from orchestrator.sections.base import Section


class PromoteSection(Section):
    """What a promotion may do."""

    block: list[str] = Field(
        default_factory=lambda: ["deletes_data"],
        description="Hazard codes that stop a promotion until they are allowed by name.",
    )
    allow: list[str] = Field(
        default_factory=list, description="Hazards allowed for every preview: `code` or `code:object`."
    )
    approval: Literal["implicit", "required"] = Field(
        "implicit",
        description="`implicit`: `preview promote` is the yes of whoever runs it; `required`: it refuses without a "
        "`preview approve` before it.",
    )
    lock_attempts: int = Field(
        12,
        ge=1,
        le=1000,
        description="How often statements are tried when a lock is not granted in time; between two tries "
        "everybody else goes first.",
    )
    restore_point: Literal["branch", "off"] = Field(
        "branch",
        description="`branch`: a branch of main is taken, opened and compared before the first statement; `off`: only "
        "the point in main's own history is written down.",
    )
    drops: Literal["soft", "real"] = Field(
        "soft",
        description="What a plan drops: `soft` keeps it aside for `keep_days`, out of the app's and of every "
        "comparison's sight, so that a revert brings it back with its values; `real` drops it at once.",
    )
    keep_days: int = Field(
        7,
        ge=1,
        le=30,
        description="How many days what a way back needs is kept: restore points, earlier versions of the app, "
        "and what was set aside.",
    )
    budget_ms: int = Field(
        500,
        ge=10,
        description="How long anybody may wait because of a statement of a promotion, in milliseconds; then it is "
        "cancelled and tried again later. A statement whose hazard says that it blocks may work for longer, but stands "
        "in no line for longer.",
    )
    terminate: list[Literal["idle_in_transaction", "autovacuum", "any"]] = Field(
        default_factory=list,
        description="Sessions that a promotion may end when they stand in its way: those `idle_in_transaction`, "
        "`autovacuum`, or `any`. By default nobody is ended; who is in the way is named.",
    )
    terminate_after_ms: int = Field(
        10_000,
        ge=0,
        description="How long such a session must have stood in the way before it is ended, in milliseconds.",
    )
