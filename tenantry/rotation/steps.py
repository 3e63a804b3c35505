"""The steps of one pair's rotation: create, test, publish, overlap, retire, delete."""

from collections.abc import Mapping, Sequence
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
from tenantry.rotation.assess import ACCEPTED, Outcome, Step, next_due
from tenantry.rotation.left_secrets import LeftSecrets
from tenantry.rotation.pair import Pair
from tenantry.rotation.probe import Probe
from tenantry.rotation.recorded import Context, RecordedSteps
from tenantry.rotation.sinks import Sink
from tenantry.systems.credentials.contents import Credential
from tenantry.systems.credentials.issuing import Created
from tenantry.systems.credentials.pairs import PREVIOUS, ROBOT, SINCE, UNTIL, other, written
from tenantry.systems.harbor.client import Row
from tenantry.systems.harbor.robots import expires_at, robot_fields


class PairSteps(RecordedSteps):
    """The steps of one pair's rotation.

    Args:
        context: the values of the rotation.
        pair: the state of the pair.
        outcome: the steps that the pair requires.
    """

    def __init__(self, context: Context, pair: Pair, outcome: Outcome) -> None:
        super().__init__(context, pair.name, outcome)
        self._issuer = context.systems.credentials.issuer
        self._secrets = context.systems.credentials.secrets
        self._pair = pair

    def take(self, step: Step) -> None:
        """Take a step."""
        match step:
            case "kill":
                self.delete_compromised()
            case "end":
                self.disable_all()
            case "rotate":
                self.rotate()
            case "drop":
                self.delete_unpublished()
            case "publish":
                self.publish()
            case "overlap":
                self.set_overlap()
            case "retire":
                self.retire()
            case "delete":
                self.delete()
            case "shorten" | "clear":
                raise AssertionError(f"a pair has no step '{step}'")
            case _:
                assert_never(step)

    def rotate(self) -> None:
        """Re-create the other robot of the pair, and publish it.

        If the published credential does not work and the other robot may be the only one that does,
        the live robot gets another secret instead.
        """
        pair = self._pair
        compromised = self.outcome.why == "compromised"
        deleted = pair.compromised(self._context.request) if compromised else {}
        self._delete_compromised(deleted)
        target = pair.live if pair.adopted else other(pair.live)
        is_last = pair.in_use.get(target) and not pair.is_past_limit(self._now)
        if pair.published is None and not compromised and is_last:
            target = pair.live
            self._check_live_is_rejected()
        probe = Probe(self._context.systems, pair.project, pair.robot)
        existing = {name: row for name, row in pair.rows.items() if name not in deleted}
        made = self._create(target, existing)
        try:
            tested = probe.before_publishing(made.credential)
            self._record(f"tested it: {tested}")
        except TenantryError:
            self._delete_untested(target, made)
            raise
        self._publish_first(target, made, {} if compromised else self._overlap_with(target))
        self._record(
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
            raise ChangedMeanwhile("kubernetes", call, "another client has written it meanwhile")
        tested = probe.after_publishing(made.credential)
        self._record(f"tested the published credential: {tested}", test=ACCEPTED)
        self._record_end(compromised)
        if compromised:
            self._delete_left_secrets(target)

    def delete_compromised(self) -> None:
        """Delete the compromised robots at once, without an overlap."""
        self._delete_compromised(self._pair.compromised(self._context.request))
        self.outcome = replace(self.outcome, state="in sync", until=None)
        self._record_end(compromised=True)

    def disable_all(self) -> None:
        """Disable all robots of a pair that is far too old and cannot be published."""
        for name, row in self._pair.rows.items():
            if not row["disable"]:
                self._disable(name, row)

    def delete_unpublished(self) -> None:
        """Delete a robot that was never published."""
        row = self._pair.candidate
        assert row is not None
        self._delete(other(self._pair.live), row, "it was never published")

    def publish(self) -> None:
        """Write the published credential to the sinks that lack it."""
        pair = self._pair
        assert pair.published is not None
        overlap = self._overlap(pair.in_use)
        if pair.in_use or None in pair.outdated:
            since = pair.since or self._now
            annotations = {ROBOT: pair.live, SINCE: written(since), **overlap}
            self._write_first(pair.published, annotations)
            self._record(f"wrote {pair.place.namespace}/{pair.place.name} again")
        sinks = [sink for sink in pair.outdated if sink is not None]
        self._write_sinks(sinks, pair.published, pair.live)

    def set_overlap(self) -> None:
        """Record the end of the overlap, if none is recorded for the old robots."""
        pair = self._pair
        assert pair.published is not None
        since = pair.since or self._now
        annotations = {ROBOT: pair.live, SINCE: written(since), **self._overlap(pair.in_use)}
        self._write_first(pair.published, annotations)
        self._record_end(compromised=False)

    def retire(self) -> None:
        """Disable the old robots."""
        for name, row in self._pair.in_use.items():
            self._disable(name, row)
            self.outcome = replace(self.outcome, state="in sync", until=None)
        self._delete_left_secrets(self._pair.live)

    def delete(self) -> None:
        """Delete old robots whose time as disabled robots is over."""
        self._delete_left_secrets(self._pair.live)
        for name, row in self._pair.old.items():
            if row["disable"] and self._pair.deletion_time(row) <= self._now:
                self._delete(name, row, "it was disabled for long enough")

    def _delete_left_secrets(self, live: str) -> None:
        """Delete the Secrets that the team no longer declares, if their credential does not work.

        A Secret with the credential of the live robot is deleted after the next rotation.

        Args:
            live: the robot whose credential works. The other one is disabled or deleted.
        """
        left = LeftSecrets(self._context.systems, self._pair.team, self._pair.purpose)
        for secret in left.find():
            if secret.robot == other(live):
                self._delete_secret(left, secret, ", which is no longer declared")

    # Robots

    def _check_live_is_rejected(self) -> None:
        """Check that Harbor rejects the published credential, before the robot gets another secret.

        Raises:
            ChangedMeanwhile: Harbor accepts it again.
        """
        first = self._pair.first
        held: Credential | None = first.handle["credential"] if first else None
        live = self._pair.rows.get(self._pair.live)
        if live is not None and self._issuer.accepts(held, {live["name"]}, {}):
            assert held is not None
            reason = f"Harbor accepts '{held.username}' again"
            raise ChangedMeanwhile("harbor", "GET /service/token", reason)

    def _delete_compromised(self, rows: Mapping[str, Row]) -> None:
        for name, row in rows.items():
            self._delete(name, row, "its secret is compromised")

    def _create(self, target: str, rows: Mapping[str, Row]) -> Created:
        pair = self._pair
        if (row := rows.get(target)) is not None:
            is_newest = row["id"] == max(known["id"] for known in rows.values())
            if is_newest and self._is_as_declared(row):
                return self._renew(target, row)
            self._delete(target, row, "it is re-created")
        self._context.check()
        # If the answer is lost, the robot may exist without a known secret. The next run deletes it.
        made = self._issuer.create(pair.team, target, pair.robot, pair.mark)
        self._record(f"created {target}")
        return made

    def _is_as_declared(self, row: Row) -> bool:
        """Return whether a robot works and has the declared access, and needs only another secret."""
        expires = expires_at(row)
        works = not row["disable"] and (expires is None or expires > self._now)
        access = robot_fields(row, self._now)["access"]
        return works and access == sorted({*self._pair.robot.access})

    def _renew(self, target: str, row: Row) -> Created:
        """Give the newest robot another secret.

        It is not re-created: an older robot may work for a limited time from the newest one's
        creation, and a team could extend that time by publishing the older credential repeatedly.
        """
        self._context.check()
        made = Created(row["id"], self._issuer.renew(row["id"], row["name"]))
        self._record(f"gave {target} a new secret")
        return made

    def _delete_untested(self, target: str, made: Created) -> None:
        if target == self._pair.live and self._pair.adopted is None:
            return  # The Secret names it. The next run repairs it.
        try:
            self._harbor.delete(f"/robots/{made.number}")
            self._record(f"deleted {target}: its test failed")
        except TenantryError:
            self._record(f"could not delete {target}, whose test failed. The next run deletes it")

    def _expiry(self) -> datetime | None:
        days = self._pair.robot.expiry_days
        return None if days == "never" else self._now + timedelta(days=days)

    # The overlap

    def _overlap_with(self, target: str) -> dict[str, str]:
        """Return the annotations for the robots that keep working after `target` is published."""
        pair = self._pair
        if pair.adopted is not None:
            working = {n: row for n, row in pair.replaced.items() if not row["disable"]}
            return self._overlap(working)
        if pair.is_past_limit(self._now) and target == pair.live:
            return {}
        old = {name: row for name, row in pair.replaced.items() if not row["disable"]}
        live = pair.rows.get(pair.live)
        if target != pair.live:
            if live is not None:
                old[pair.live] = live
        elif previous := pair.in_use.get(other(target)):
            old[other(target)] = previous
        return self._overlap(old)

    def _overlap(self, old: Mapping[str, Row]) -> dict[str, str]:
        if not old:
            return {}
        declared = timedelta(hours=self._pair.robot.effective_rotation.overlap_hours)
        until = self._now + max(declared, self._context.token_lifetime)
        self.outcome = replace(self.outcome, until=until)
        return {PREVIOUS: " ".join(sorted(old)), UNTIL: written(until)}

    def _record_end(self, compromised: bool) -> None:
        adopted = self._pair.adopted
        if adopted is not None and adopted["name"] not in self._pair.replaced:
            self._record(
                f"left '{adopted['name']}', which Tenantry did not create: 'replaces' of the robot "
                "does not name it"
            )
        if compromised:
            until = self._now + self._context.token_lifetime
            self._record(
                "tokens that Harbor issued to the old robots are valid until "
                f"{until:%Y-%m-%d %H:%M} UTC"
            )
        elif self.outcome.until is not None:
            self._record(f"the old robot works until {self.outcome.until:%Y-%m-%d %H:%M} UTC")

    # Secrets and other sinks

    def _publish_first(self, target: str, made: Created, overlap: Mapping[str, str]) -> None:
        annotations = {ROBOT: target, SINCE: written(self._now), **overlap}
        try:
            self._write_first(made.credential, annotations)
        except SystemRefused:
            self._delete_untested(target, made)
            raise
        except SystemUnavailable:
            # The answer may be lost although the Secret was written: read it.
            if self._read_back() != made.credential:
                raise

    def _write_first(self, credential: Credential, annotations: Mapping[str, str]) -> None:
        self._context.check()
        self._secrets.write(self._pair.place, self._pair.first, credential, annotations)

    def _read_back(self) -> Credential:
        place = self._pair.place
        live = self._secrets.read(place)
        found: Credential | None = live.handle["credential"] if live else None
        if found is None:
            call = f"Secret {place.namespace}/{place.name}"
            raise ChangedMeanwhile("kubernetes", call, "it does not hold what was written")
        return found

    def _write_sinks(self, sinks: Sequence[Sink], credential: Credential, robot: str) -> None:
        """Write all sinks, even if some fail.

        Raises:
            TenantryError: the first failure.
        """
        failures: list[TenantryError] = []
        for sink in sinks:
            self._context.check()
            try:
                sink.write(credential, robot)
                if sink.read() != credential:
                    reason = "it does not hold what was written"
                    raise NotEffective("kubernetes", f"sink {sink.name}", reason)
            except TenantryError as error:
                failures.append(error)
            else:
                self._record(f"published it in {sink.name}")
        if failures:
            raise failures[0]
