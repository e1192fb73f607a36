"""The verb revert: which promotion, what it would do and lose, and doing it. Knows no adapter."""

from collections.abc import Callable

from orchestrator.errors import Refused
from orchestrator.lifecycle import Promotion, Store
from orchestrator.steps.revert import Outlook
from orchestrator.steps.ways import Ways
from orchestrator.turns import in_turn

Say = Callable[[str], None]


class Reverts:
    """Takes promotions of one project back.

    Args:
        store: the diary.
        project: the project's key.
        ways: the two ways back.
        under_way: who changes main at this moment, in words.
        detail: told what is being done.
    """

    def __init__(
        self, *, store: Store, project: str, ways: Ways, under_way: Callable[[], str], detail: Say
    ) -> None:
        self._store = store
        self._project = project
        self._ways = ways
        self._under_way = under_way
        self._detail = detail

    def choose(self, promotion_id: str | None) -> Promotion:
        """The promotion that is meant: the last one that can be taken back, or the one whose revert has stopped.

        Raises:
            UnknownPromotion: there is no such promotion.
            Refused: there is nothing to take back.
        """
        promotions = self._store.promotions(self._project)
        if promotion_id is not None:
            found = promotions.get(promotion_id)
            if found.kind == "revert" and found.reverts:
                if found.state != "done":
                    return promotions.get(found.reverts)
                raise Refused(
                    f"{promotion_id} is a revert; what it took back is promoted again as any other change",
                    hint=f"`preview up {found.preview_name}`, then `preview promote {found.preview_name}`",
                )
            return self._revertable(found)
        for each in reversed(promotions.all()):
            if each.kind == "promotion" and each.touched and each.state in ("done", "failed"):
                revert = promotions.revert_of(each.id)
                if (revert is None or revert.state != "done") and self._undone_with(each) is None:
                    return self._revertable(each)
        raise Refused("there is no promotion to revert", hint="`preview history` tells what was promoted")

    def last_reverted(self) -> Promotion | None:
        """The project's last promotion, if it is taken back already; None: it is not, or there is none."""
        promotions = self._store.promotions(self._project)
        for each in reversed(promotions.all()):
            if each.kind == "promotion" and each.touched:
                revert = promotions.revert_of(each.id)
                return each if revert is not None and revert.state == "done" else None
        return None

    def _revertable(self, promotion: Promotion) -> Promotion:
        revert = self._store.promotions(self._project).revert_of(promotion.id)
        if revert is not None and revert.state == "done":
            raise Refused(
                f"the promotion {promotion.id} of {promotion.preview_name} is reverted already, by {revert.who} "
                f"at {revert.at:%Y-%m-%d %H:%M}",
                hint=f"`preview history show {revert.id}` tells more",
            )
        if (undone := self._undone_with(promotion)) is not None:
            raise Refused(
                f"the promotion {promotion.id} of {promotion.preview_name} was undone with another, by {undone.who} "
                f"at {undone.at:%Y-%m-%d %H:%M}: main went to the restore point of {undone.reverts}, which is older",
                hint=f"`preview history show {undone.id}` tells more",
            )
        return promotion

    def _undone_with(self, promotion: Promotion) -> Promotion | None:
        """The revert to a restore point from before this promotion, which took it with it; None: there is none."""
        everything = self._store.promotions(self._project).all()
        numbers = {each.id: each.number for each in everything}
        return next(
            (
                each
                for each in everything
                if each.kind == "revert"
                and each.state == "done"
                and each.facts.get("way") == "restore_point"
                and numbers.get(each.reverts or "", promotion.number) < promotion.number < each.number
            ),
            None,
        )

    def look(self, promotion: Promotion, *, to_restore_point: bool) -> Outlook:
        """What a revert would do and lose; changes nothing.

        Raises:
            Refused: there is no such way back, or main moved.
        """
        revert = self._store.promotions(self._project).revert_of(promotion.id)
        return self._ways.look(promotion, revert, self._way(revert, to_restore_point), self._detail)

    def _way(self, revert: Promotion | None, to_restore_point: bool) -> str:
        wanted = "restore_point" if to_restore_point else "reverse_plan"
        if revert is not None and revert.touched and revert.facts.get("way") != wanted:
            way = str(revert.facts["way"]).replace("_", " ")
            raise Refused(
                f"the revert {revert.id} by {way} has stopped half-way",
                hint=f"`preview revert {revert.reverts}"
                f"{' --to-restore-point' if revert.facts['way'] == 'restore_point' else ''}` goes on with it",
            )
        return wanted

    def revert(self, outlook: Outlook, *, wait: Callable[[str], bool] = lambda _holder: False) -> Promotion:
        """Do what was shown; running again after a crash goes on.

        Args:
            outlook: what a person said yes to.
            wait: asked while somebody else has the turn on main.

        Raises:
            PromotionUnderWay: somebody else has the turn on main.
            Refused: it would not do any more what was shown; nothing was changed.
            ApplyError: a statement failed; running again goes on.
        """
        promotions = self._store.promotions(self._project)
        promotion = outlook.promotion

        def act() -> Promotion:
            self._revertable(promotion)  # somebody who came first may have done it
            revert = promotions.revert_of(promotion.id)
            if revert is None or not revert.touched:
                revert = promotions.begin(
                    preview_id=promotion.preview_id,
                    preview_name=promotion.preview_name,
                    reverts=promotion.id,
                    facts={
                        "way": outlook.way,
                        "losses": list(outlook.losses),
                        "way_back": outlook.plan.to_json() if outlook.plan else None,
                        "plan": outlook.plan.to_json() if outlook.plan else None,
                        "answers": promotion.facts.get("answers"),
                    },
                    note="preview revert",
                )
            else:
                promotions.record(revert.id, "resumed", note="going on with the revert")
            self._ways.run(outlook, revert, self._detail)
            return promotions.get(revert.id)

        return in_turn(
            self._store.line(self._project),
            f"revert {promotion.preview_name}",
            act,
            under_way=self._under_way,
            wait=wait,
        )
