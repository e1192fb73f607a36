"""The verb revert: which promotion, what it would do and lose, and doing it. Knows no adapter."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from orchestrator.errors import PromotionUnderWay, Refused
from orchestrator.lifecycle import Promotion, State, Store, Wanted
from orchestrator.lifecycle.lease import Lease
from orchestrator.steps.outlook import Outlook, changed_since
from orchestrator.steps.ways import Ways
from orchestrator.turns import in_turn

#: What a preview knows of a promotion of its own; when that is taken back, another one needs another yes.
_OF_A_PROMOTION = ("promotion_id", "phase", "resumed", "expanded", "approval")

Say = Callable[[str], None]


class Reverts:
    """Takes promotions of one project back.

    Args:
        store: the diary.
        project: the project's key.
        database: which of its databases; what was promoted in another one is taken back beside that one's settings.
        ways: the two ways back.
        under_way: who changes main at this moment, in words.
        elsewhere: who changes another database of main, in words.
        detail: told what is being done.
    """

    def __init__(
        self,
        *,
        store: Store,
        project: str,
        database: str,
        ways: Ways,
        under_way: Callable[[], str],
        elsewhere: Callable[[], str],
        detail: Say,
    ) -> None:
        self._store = store
        self._project = project
        self._database = database
        self._ways = ways
        self._under_way = under_way
        self._elsewhere = elsewhere
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
            if each.kind == "promotion" and each.touched and each.state != "refused" and self._is_here(each):
                revert = promotions.revert_of(each.id)
                if (revert is None or revert.state != "done") and self._undone_with(each) is None:
                    return self._revertable(each)
        raise Refused("there is no promotion to revert", hint="`preview history` tells what was promoted")

    def _is_here(self, promotion: Promotion) -> bool:
        return promotion.database in (None, self._database)

    def _revertable(self, promotion: Promotion) -> Promotion:
        if not self._is_here(promotion):
            raise Refused(
                f"the promotion {promotion.id} of {promotion.preview_name} changed database {promotion.database}, "
                f"and this is about {self._database}",
                hint=f'run it beside the preview.toml that says project.database = "{promotion.database}"',
            )
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

    def _gone_on_with(self, promotion: Promotion) -> Promotion | None:
        """The promotion of that name that stands on what this one left half done; None: there is none."""
        promotions = self._store.promotions(self._project)
        for each in promotions.all():
            later = each.number > promotion.number and each.preview_name == promotion.preview_name
            if later and each.kind == "promotion" and each.touched and each.state != "refused":
                revert = promotions.revert_of(each.id)
                if revert is None or revert.state != "done":
                    return each
        return None

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
            PromotionUnderWay: it is being done at this moment.
            Refused: there is no such way back, or main moved.
        """
        if not promotion.ended and (holder := self._under_way()):
            raise PromotionUnderWay(
                f"production is being changed by the {holder}", hint="look again when that is done"
            )
        stands_on = None if promotion.ended or to_restore_point else self._gone_on_with(promotion)
        if stands_on is not None:
            raise Refused(
                f"the promotion {promotion.id} of {promotion.preview_name} stopped half-way, and {stands_on.id} went "
                "on with what was left",
                hint=f"`preview revert {stands_on.id}` first, then `preview revert {promotion.id}`",
            )
        revert = self._store.promotions(self._project).revert_of(promotion.id)
        return self._ways.look(promotion, revert, self._way(revert, to_restore_point), self._detail)

    def assert_meant(self, outlook: Outlook, digest: str) -> None:
        """Refuse a yes that was given for something else; one that a revert was begun with goes on with that.

        Args:
            outlook: what would be done now.
            digest: of what was shown to whoever said yes.

        Raises:
            MainMoved: it would do something else by now.
        """
        if digest == outlook.digest:
            return
        revert = self._store.promotions(self._project).revert_of(outlook.promotion.id)
        if revert is None or digest not in _begun_with(revert):
            raise changed_since(outlook)

    def done(self, promotion_id: str, digest: str) -> Promotion | None:
        """The revert of a promotion that came to its end with this yes; None: there is none."""
        revert = self._store.promotions(self._project).revert_of(promotion_id)
        return revert if revert and revert.state == "done" and digest in _begun_with(revert) else None

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
        of_all = outlook.way == "restore_point"  # it changes every database of main

        def act() -> Promotion:
            self._revertable(promotion)  # somebody who came first may have done it
            revert = promotions.revert_of(promotion.id)
            if revert is not None and not revert.touched and revert.state == "running":
                promotions.record(
                    revert.id, "superseded", note="it ended before its first statement; begun anew"
                )
            if revert is None or not revert.touched:
                revert = promotions.begin(
                    preview_id=promotion.preview_id,
                    preview_name=promotion.preview_name,
                    reverts=promotion.id,
                    facts={
                        "way": outlook.way,
                        "digest": outlook.digest,
                        "losses": list(outlook.losses),
                        "way_back": outlook.plan.to_json() if outlook.plan else None,
                        "plan": outlook.plan.to_json() if outlook.plan else None,
                        "answers": promotion.facts.get("answers"),
                    },
                    note="preview revert",
                )
            else:
                promotions.record(
                    revert.id, "resumed", note="going on with the revert", detail={"digest": outlook.digest}
                )
            self._ways.run(outlook, revert, self._detail, lambda: self._ready_again(held, promotion, revert))
            return promotions.get(revert.id)

        with self._held(promotion, wait) as held:
            return in_turn(
                self._store.line(self._project),
                f"revert {promotion.preview_name}",
                act,
                under_way=lambda: self._under_way() or (self._elsewhere() if of_all else ""),
                wait=wait,
            )

    @contextmanager
    def _held(self, promotion: Promotion, wait: Callable[[str], bool]) -> Iterator[Lease | None]:
        """The lease of the preview that would go on with a promotion that stopped; None: there is no such preview."""
        preview = self._store.get(promotion.preview_id)
        goes_on = preview.facts.get("promotion_id") == promotion.id and not preview.shadow
        if promotion.ended or not goes_on or preview.state in (State.CLOSED, State.DISCARDING):
            yield None
            return
        with self._store.lease(preview.id, wait=wait) as lease:
            yield lease

    def _ready_again(self, held: Lease | None, promotion: Promotion, revert: Promotion) -> None:
        """The preview of a promotion that stopped is what it was before; nothing of it is on main."""
        if held is None or self._store.get(held.preview_id).facts.get("promotion_id") != promotion.id:
            return
        note = f"promotion {promotion.id} was taken back by revert {revert.id}"
        if self._store.get(held.preview_id).wanted is Wanted.PROMOTED:
            self._store.want(held.preview_id, Wanted.READY, note=note)
        self._store.record(
            held, to=State.READY, kind="taken back", note=note, facts=dict.fromkeys(_OF_A_PROMOTION)
        )


def _begun_with(revert: Promotion) -> set[object]:
    """The digests of what people said yes to when they began a revert, or went on with it."""
    resumed = (each.detail.get("digest") for each in revert.events if each.kind == "resumed")
    return {revert.facts.get("digest"), *resumed}
