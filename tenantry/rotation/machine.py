"""The steps of a rotation, each safe to repeat: create, test, publish, overlap, retire, delete.

Where a pair stands is read from the systems before each walk, so a walk that died is gone on with
by the next one, at the step that is left. One walk a pair at a time: whoever walks holds the
team's lock.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import assert_never

from tenantry.errors import (
    ChangedMeanwhile,
    NotEffective,
    SystemRefused,
    SystemUnavailable,
    TenantryError,
)
from tenantry.rotation.assess import Outcome, Step, assess, next_due
from tenantry.rotation.due import RotationRequest
from tenantry.rotation.pair import Found, Pair, Unread, known
from tenantry.rotation.probe import Probe
from tenantry.rotation.removed import Removed
from tenantry.rotation.retirement import Retirement, assess_removed
from tenantry.rotation.sinks import Sink
from tenantry.systems.credentials.contents import Credential
from tenantry.systems.credentials.issuing import Created
from tenantry.systems.credentials.pairs import (
    PREVIOUS,
    ROBOT,
    SINCE,
    UNTIL,
    other,
    written,
)
from tenantry.systems.harbor.client import Row
from tenantry.systems.harbor.robots import expires_at, robot_fields
from tenantry.systems.systems import Systems


class Machine:
    """Walks pairs.

    Args:
        systems: the systems.
        order: what somebody asked for.
        now: the time.
        token_lifetime: how long a token of the registry lives.
        check: asked before each write; raises if nothing may be written any more.
        told: is told of each thing done.
    """

    def __init__(
        self,
        systems: Systems,
        order: RotationRequest,
        now: datetime,
        token_lifetime: timedelta,
        check: Callable[[], None] = lambda: None,
        told: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._systems = systems
        self._order = order
        self._now = now
        self._token_lifetime = token_lifetime
        self._check = check
        self._told = told

    def walk(self, pair: Found) -> Outcome:
        """Does what there is to do for a pair; what stops it is in the outcome, not raised."""
        try:
            if not isinstance(pair, Unread):
                self._order.record_robots(pair.name, pair.numbers)
            if isinstance(pair, Removed):
                return self._retire(pair)
            outcome = assess(pair, self._order, self._now)
        except Exception as odd:  # noqa: BLE001 one pair's failure, whatever it is
            failure = Unread(pair.team, pair.purpose, known(odd))
            return assess(failure, self._order, self._now)
        if isinstance(pair, Unread) or not outcome.steps:
            return outcome
        walk = _Walk(self, pair, outcome)
        refused = pair.refusal
        try:
            for step in outcome.steps:
                try:
                    walk.take(step)
                except SystemRefused as refusal:
                    if step != "publish":
                        raise
                    refused = refusal  # no sink may keep a robot until it expires
            if refused is not None:
                raise refused
        except Exception as odd:  # noqa: BLE001 one pair's failure, whatever it is
            error = known(odd)
            return replace(walk.outcome, state="failed", error=error, note=str(error))
        return walk.outcome

    def _retire(self, removed: Removed) -> Outcome:
        """Retire the robots of a purpose that the team no longer has."""
        outcome = assess_removed(removed, self._order, self._now)
        work = Retirement(self._systems, removed, outcome, self._now, self._check, self._told)
        try:
            for step in outcome.steps:
                work.take(step)
        except Exception as odd:  # noqa: BLE001 one purpose's failure, whatever it is
            error = known(odd)
            return replace(work.outcome, state="failed", error=error, note=str(error))
        return work.outcome


class _Walk:
    """One pair's."""

    def __init__(self, machine: Machine, pair: Pair, outcome: Outcome) -> None:
        self._machine = machine
        self._pair = pair
        self._now = machine._now
        self._systems = machine._systems
        self._issuer = machine._systems.credentials.issuer
        self._secrets = machine._systems.credentials.secrets
        self._harbor = machine._systems.harbor_client
        self.outcome = outcome

    def _did(self, text: str, **changes: object) -> None:
        changes.setdefault("done", (*self.outcome.done, text))
        self.outcome = replace(self.outcome, **changes)  # type: ignore[arg-type]
        self._machine._told(f"{self._pair.name}: {text}")

    # Steps

    def take(self, step: Step) -> None:
        """Takes one of the steps."""
        match step:
            case "kill":
                self.kill()
            case "end":
                self.end()
            case "rotate":
                self.rotate()
            case "drop":
                self.drop()
            case "publish":
                self.publish()
            case "overlap":
                self.overlap()
            case "retire":
                self.retire()
            case "delete":
                self.delete()
            case "shorten" | "clear":
                raise AssertionError(f"a pair has no step '{step}'")
            case _:
                assert_never(step)

    def rotate(self) -> None:
        """Publish the other robot of the pair, created again; or the same one, if that is dead."""
        pair = self._pair
        compromised = self.outcome.why == "compromised"
        doomed = pair.compromised(self._machine._order) if compromised else {}
        self._kill(doomed)
        target = other(pair.live)
        last = pair.in_use.get(target) and not pair.is_past_limit(self._now)
        if pair.published is None and not compromised and last:
            target = pair.live  # the other one may be the last that works
            self._make_sure_that_it_is_dead()
        probe = Probe(self._systems, pair.project, pair.robot)
        left = {name: row for name, row in pair.rows.items() if name not in doomed}
        made = self._create(target, left)
        try:
            tested = probe.before_publishing(made.credential)
            self._did(f"tested it: {tested}")
        except TenantryError:
            self._drop_candidate(target, made)
            raise
        self._publish_first(target, made, {} if compromised else self._overlapping(target))
        self._did(
            f"published it in {pair.place.namespace}/{pair.place.name}",
            state="rotated",
            rotated=True,
            robot=target,
            since=self._now,
            expires=(expires := self._expiry()),
            next=next_due(pair, self._now, expires),
        )
        self._write_sinks(pair.sinks, made.credential, target)
        if self._read_back() != made.credential:
            call = f"Secret {pair.place.namespace}/{pair.place.name}"
            raise ChangedMeanwhile("kubernetes", call, "somebody else has written it meanwhile")
        tested = probe.after_publishing(made.credential)
        self._did(f"tested what is published: {tested}", test="opens Harbor")
        self._tell_end(compromised)

    def kill(self) -> None:
        """Delete the compromised robots at once, overlapping or not."""
        self._kill(self._pair.compromised(self._machine._order))
        self.outcome = replace(self.outcome, state="in order", until=None)
        self._tell_end(compromised=True)

    def end(self) -> None:
        """Disable all robots of a pair that is far too old and cannot be published."""
        for name, row in self._pair.rows.items():
            if not row["disable"]:
                self._disable(name, row)

    def drop(self) -> None:
        """Deletes a robot that was never published."""
        row = self._pair.candidate
        assert row is not None
        self._delete(other(self._pair.live), row, "it was made and never published")

    def publish(self) -> None:
        """Brings the published credential to where it is not yet."""
        pair = self._pair
        assert pair.published is not None
        old = self._end(pair.in_use)
        if pair.in_use or None in pair.outdated:
            since = pair.since or self._now
            annotations = {ROBOT: pair.live, SINCE: written(since), **old}
            self._write_first(pair.published, annotations)
            self._did(f"wrote {pair.place.namespace}/{pair.place.name} again")
        self._write_sinks([s for s in pair.outdated if s is not None], pair.published, pair.live)

    def overlap(self) -> None:
        """Settles until when an old robot serves of which nothing is written."""
        pair = self._pair
        assert pair.published is not None
        since = pair.since or self._now
        annotations = {ROBOT: pair.live, SINCE: written(since), **self._end(pair.in_use)}
        self._write_first(pair.published, annotations)
        self._tell_end(compromised=False)

    def retire(self) -> None:
        """Disables the old robots."""
        for name, row in self._pair.in_use.items():
            self._disable(name, row)
            self.outcome = replace(self.outcome, state="in order", until=None)

    def delete(self) -> None:
        """Deletes old robots that are disabled for long enough."""
        for name, row in self._pair.old.items():
            if row["disable"] and self._pair.gone_at(row) <= self._now:
                self._delete(name, row, "it was disabled for long enough")

    # Parts of them

    def _make_sure_that_it_is_dead(self) -> None:
        """Ask again before the live robot gets another secret, if the Secret holds its credential."""
        first = self._pair.first
        held: Credential | None = first.handle["credential"] if first else None
        live = self._pair.rows.get(self._pair.live)
        if live is not None and self._issuer.accepts(held, {live["name"]}, {}):
            assert held is not None
            reason = f"'{held.username}' is let in again"
            raise ChangedMeanwhile("harbor", "GET /service/token", reason)

    def _kill(self, rows: Mapping[str, Row]) -> None:
        for name, row in rows.items():
            self._delete(name, row, "its secret is known to others")

    def _disable(self, name: str, row: Row) -> None:
        self._machine._check()
        self._harbor.put(f"/robots/{row['id']}", {**row, "disable": True})
        self._did(f"disabled {name}")

    def _create(self, target: str, rows: Mapping[str, Row]) -> Created:
        pair = self._pair
        if (row := rows.get(target)) is not None:
            if row["id"] == max(each["id"] for each in rows.values()) and self._is_usable(row):
                return self._renew(target, row)
            self._delete(target, row, "it makes room")
        self._machine._check()
        # If the answer is lost, it may be there, and nobody has its secret: the next run drops it.
        made = self._issuer.create(pair.team.slug, target, pair.robot, pair.mark)
        self._did(f"made {target}")
        return made

    def _is_usable(self, row: Row) -> bool:
        """Whether a robot needs no more than a new secret to be as declared."""
        expires = expires_at(row)
        alive = not row["disable"] and (expires is None or expires > self._now)
        return alive and robot_fields(row, self._now)["access"] == sorted(
            {*self._pair.robot.access}
        )

    def _renew(self, target: str, row: Row) -> Created:
        """Give the newest robot another secret.

        It is not created again. The time that an older robot may serve counts from its creation, and
        a team that puts the older credential back again and again does not make that longer.
        """
        self._machine._check()
        made = Created(row["id"], self._issuer.renew(row["id"], row["name"]))
        self._did(f"gave {target} a new secret")
        return made

    def _drop_candidate(self, target: str, made: Created) -> None:
        if target == self._pair.live:
            return  # the Secret names it: it is mended by the next run
        try:
            self._harbor.delete(f"/robots/{made.number}")
            self._did(f"deleted {target} again: it failed its test")
        except TenantryError:
            self._did(f"could not delete {target}, which failed its test: the next run does")

    def _overlapping(self, target: str) -> dict[str, str]:
        pair = self._pair
        if pair.is_past_limit(self._now) and target == pair.live:
            return {}
        old = {name: row for name, row in pair.replaced.items() if not row["disable"]}
        live = pair.rows.get(pair.live)
        if target != pair.live:
            if live is not None:
                old[pair.live] = live
        elif beside := pair.in_use.get(other(target)):
            old[other(target)] = beside
        return self._end(old)

    def _end(self, old: Mapping[str, Row]) -> dict[str, str]:
        if not old:
            return {}
        declared = timedelta(hours=self._pair.robot.effective_rotation.overlap_hours)
        until = self._now + max(declared, self._machine._token_lifetime)
        self.outcome = replace(self.outcome, until=until)
        return {PREVIOUS: " ".join(sorted(old)), UNTIL: written(until)}

    def _publish_first(self, target: str, made: Created, old: Mapping[str, str]) -> None:
        annotations = {ROBOT: target, SINCE: written(self._now), **old}
        try:
            self._write_first(made.credential, annotations)
        except SystemRefused:
            self._drop_candidate(target, made)
            raise
        except SystemUnavailable:
            # It may have been written all the same. Only what is there tells.
            if self._read_back() != made.credential:
                raise

    def _write_first(self, credential: Credential, annotations: Mapping[str, str]) -> None:
        self._machine._check()
        self._secrets.write(self._pair.place, self._pair.first, credential, annotations)

    def _read_back(self) -> Credential:
        place = self._pair.place
        live = self._secrets.read(place)
        found: Credential | None = live.handle["credential"] if live else None
        if found is None:
            call = f"Secret {place.namespace}/{place.name}"
            raise ChangedMeanwhile("kubernetes", call, "it does not hold what was written")
        return found

    def _write_sinks(
        self, sinks: "list[Sink] | tuple[Sink, ...]", credential: Credential, short: str
    ) -> None:
        """Writes all of them, whichever fails, and raises the first failure then."""
        failures: list[TenantryError] = []
        for sink in sinks:
            self._machine._check()
            try:
                sink.write(credential, short)
                if sink.read() != credential:
                    reason = "what was written there cannot be read back"
                    raise NotEffective("kubernetes", f"sink {sink.name}", reason)
            except TenantryError as error:
                failures.append(error)
            else:
                self._did(f"published it in {sink.name}")
        if failures:
            raise failures[0]

    def _delete(self, name: str, row: Row, why: str) -> None:
        self._machine._check()
        self._harbor.delete(f"/robots/{row['id']}")
        self._did(f"deleted {name}: {why}")

    def _expiry(self) -> datetime | None:
        days = self._pair.robot.expiry_days
        return None if days == "never" else self._now + timedelta(days=days)

    def _tell_end(self, compromised: bool) -> None:
        if compromised:
            until = self._now + self._machine._token_lifetime
            self._did(
                "tokens that Harbor issued to the old robots may be used until "
                f"{until:%Y-%m-%d %H:%M} UTC"
            )
        elif self.outcome.until is not None:
            self._did(f"the old one serves until {self.outcome.until:%Y-%m-%d %H:%M} UTC")
