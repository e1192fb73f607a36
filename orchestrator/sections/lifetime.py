"""How long previews live and how many there may be: `[lifetime]`, `[limits]`. Reads nothing."""

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from orchestrator.sections.base import Section, checked_duration, checked_size

Duration = Annotated[str, AfterValidator(checked_duration)]
Size = Annotated[str, AfterValidator(checked_size)]


class LifetimeSection(Section):
    """How long a preview lives when nobody says otherwise."""

    ttl: Duration | None = Field(
        "7d",
        description="How long a preview lives after its last `preview up`: `12h`, `7d`, `2w`; `0` for ever. "
        "`preview extend` and `preview keep` change it for one preview. Expired ones are discarded by `preview sweep "
        "--yes` and by the team's server; Neon itself ends a preview's branch a day later (at most 30 days ahead), "
        "even when no program of ours runs any more.",
    )
    idle: Duration | None = Field(
        None, description="A preview that nobody has asked for anything so long sleeps; its URL wakes it."
    )
    keep_discarded: Duration | None = Field(
        None,
        description="How long `preview discard` keeps the branch, so that `preview restore NAME` brings the preview "
        "back; at most 30 days. Not given: it is gone at once.",
    )


class LimitsSection(Section):
    """What makes `preview up` refuse a new preview, before anything is made."""

    previews: int | None = Field(None, ge=1, description="How many previews of the project may live at once.")
    per_person: int | None = Field(None, ge=1, description="How many of them one person may have.")
    free_disk: Size | None = Field(
        "1g", description="This much must be free on the disk that holds $PREVIEW_HOME; `0`: not looked at."
    )
    disk: Size | None = Field(
        None,
        description="What all previews' branches, images and folders may take together, as far as it is known.",
    )
    cost: float | None = Field(
        None,
        gt=0,
        description="What all live previews may have cost together on Neon, by your prices.",
    )
    compute_hour_price: float | None = Field(
        None,
        gt=0,
        description="What an hour of one compute unit costs you on Neon. Without it seconds are shown, not money; "
        "needed for `cost`.",
    )
    storage_gb_month_price: float | None = Field(
        None,
        gt=0,
        description="What a gigabyte (10^9 bytes) of a branch's own storage costs you a month; counts where your "
        "plan on Neon tells what branches store.",
    )
    currency: str = Field(
        "", max_length=8, description="The currency of your prices, shown beside what a preview costs: `EUR`."
    )

    @model_validator(mode="after")
    def _priced(self) -> "LimitsSection":
        if self.cost is not None and self.compute_hour_price is None:
            raise ValueError("`cost` needs `compute_hour_price`")
        return self
