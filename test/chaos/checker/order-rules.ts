// What a ledger's lists must be, through all of its epochs: one order each, and nothing lost that was promised.

import type { List, Violation } from "../history.ts";
import { viewEpochs, type EpochView, type Rule, type RoomHistory } from "./room-history.ts";

/**
 * Reads of one epoch are prefixes of one order; each epoch starts from a prefix of the one before, with no fewer plain
 * entries than a commit had made durable; what was left behind there never comes back.
 */
export const ordersGoOn: Rule = (room) => {
  const { epochs, violations } = viewEpochs(room);
  for (const [index, view] of epochs.entries()) {
    const before = epochs[index - 1];
    if (before !== undefined) violations.push(...startsFromPrefix(room, before, view));
  }
  return [...violations, ...keepsWhatCommitsCovered(room, epochs), ...deadStayDead(room, epochs)];
};

/** Of epochs between the two nobody may have heard: what differs then was theirs, if `before` never had it. */
function startsFromPrefix(room: RoomHistory, before: EpochView, view: EpochView): Violation[] {
  const violations: Violation[] = [];
  const isNext = view.epoch === before.epoch + 1;
  for (const list of ["plain", "committed"] as const) {
    const had = new Set(before[list].ids.values());
    for (const [index, id] of before[list].ids) {
      const now = view[list].ids.get(index);
      if (now === undefined || now === id || index >= (view.base?.[list] ?? 0)) continue;
      if (!isNext && !had.has(now)) break;
      const what = `epoch ${view.epoch} began with ${now} as ${list}[${index}], which was ${id} at epoch ${before.epoch}`;
      violations.push({ rule: "prefix", roomId: room.roomId, what, at: firstHeard(room, view.epoch) });
      break; // all that follow differ too
    }
  }
  return violations;
}

/** A commit makes durable what the room held at that moment: no later epoch may begin with less. */
function keepsWhatCommitsCovered(room: RoomHistory, epochs: readonly EpochView[]): Violation[] {
  const violations: Violation[] = [];
  for (const view of epochs) {
    const covering = room.appends.filter(
      ({ kind, outcome, at }) =>
        kind === "committed" && outcome === "ok" && at !== undefined && at.epoch < view.epoch,
    );
    const most = Math.max(0, ...covering.map(({ at }) => at?.plain ?? 0));
    const have = view.base?.plain ?? most;
    if (have >= most) continue;
    const what = `epoch ${view.epoch} began with ${have} plain entries, though a commit before it had made ${most} durable`;
    violations.push({ rule: "not-older", roomId: room.roomId, what, at: firstHeard(room, view.epoch) });
  }
  return violations;
}

/** What an epoch did not begin with, although the one before had it, is gone for good. */
function deadStayDead(room: RoomHistory, epochs: readonly EpochView[]): Violation[] {
  const violations: Violation[] = [];
  for (const list of ["plain", "committed"] as const satisfies List[]) {
    const diedAt = new Map<string, number>();
    for (const [index, view] of epochs.entries()) {
      const before = epochs[index - 1];
      const { base } = view;
      if (before !== undefined && base !== undefined) {
        for (const [place, id] of before[list].ids) if (place >= base[list]) diedAt.set(id, view.epoch);
      }
      for (const id of view[list].ids.values()) {
        const died = diedAt.get(id);
        // A commit whose fate was unknown may be asked for again, and then stands for the first time.
        if (died === undefined || list === "committed") continue;
        const what = `${id} was lost when epoch ${died} began, and is back at epoch ${view.epoch}`;
        violations.push({
          rule: "dead-stay-dead",
          roomId: room.roomId,
          what,
          at: firstHeard(room, view.epoch),
        });
      }
    }
  }
  return violations;
}

/** Every acknowledged commit, and every one that anybody has seen, is in every later read, once; what failed is in none. */
export const commitsStand: Rule = (room) => {
  const violations: Violation[] = [];
  const add = (what: string, at: number): void =>
    void violations.push({ rule: "commits-stand", roomId: room.roomId, what, at });
  const invoked = new Map(room.appends.map((append) => [append.id, append]));
  const acknowledged = room.appends
    .filter(({ kind, outcome }) => kind === "committed" && outcome === "ok")
    .sort((one, other) => one.endedAt - other.endedAt);
  /** Of reads that had ended, in that order. */
  const seen: { readonly id: string; readonly at: number }[] = [];
  const wasSeen = new Set<string>();
  for (const { got, invokedAt, endedAt, client } of room.reads) {
    const here = new Set(got.committed);
    for (const list of ["plain", "committed"] as const) {
      for (const id of repeated(got[list])) add(`${client} read ${id} twice`, endedAt);
      for (const id of new Set(got[list])) {
        const append = invoked.get(id);
        if (append?.kind !== list) add(`${client} read ${id}, which nobody has asked for`, endedAt);
        else if (append.outcome === "fail")
          add(`${client} read ${id}, which had failed: ${append.why}`, endedAt);
      }
    }
    const missed = acknowledged.find((append) => append.endedAt < invokedAt && !here.has(append.id));
    if (missed !== undefined)
      add(
        `${missed.id} was acknowledged to ${missed.client}, and ${client} does not read it at epoch ${got.epoch}`,
        endedAt,
      );
    const vanished = seen.find(({ id, at }) => at < invokedAt && !here.has(id));
    if (vanished !== undefined && vanished.id !== missed?.id)
      add(`${vanished.id} had been read, and ${client} does not read it at epoch ${got.epoch}`, endedAt);
    for (const id of here) {
      if (wasSeen.has(id)) continue;
      wasSeen.add(id);
      seen.push({ id, at: endedAt });
    }
  }
  return violations;
};

/** The rows that commits have written agree with what players were told: one for each acknowledged, none for a failed one. */
export const rowsAgree: Rule = (room) => {
  const violations: Violation[] = [];
  const add = (what: string, at: number): void =>
    void violations.push({ rule: "rows-agree", roomId: room.roomId, what, at });
  const rows = Map.groupBy(
    room.writes.filter(({ what }) => what === "entry"),
    ({ key }) => key ?? "",
  );
  const lastRead = room.reads.at(-1);
  const inTheEnd = new Set(lastRead?.got.committed);
  const known = new Set<string>();
  for (const { kind, id, outcome, endedAt, why } of room.appends) {
    if (kind !== "committed") continue;
    known.add(id);
    const count = rows.get(id)?.length ?? 0;
    if (count > 1) add(`${id} has ${count} rows`, endedAt);
    if (outcome === "ok" && count === 0) add(`${id} was acknowledged, and has no row`, endedAt);
    if (outcome === "fail" && count > 0) add(`${id} had failed (${why}), and has a row`, endedAt);
    if (lastRead === undefined || endedAt >= lastRead.invokedAt || inTheEnd.has(id) === count > 0) continue;
    add(
      count > 0 ? `${id} has a row, and the room has lost it` : `${id} is in the room, and has no row`,
      lastRead.endedAt,
    );
  }
  for (const [id, [write]] of rows)
    if (!known.has(id)) add(`there is a row for ${id}, which nobody has asked for`, write?.at ?? 0);
  return violations;
};

function* repeated(ids: readonly string[]): Generator<string> {
  const before = new Set<string>();
  for (const id of ids) {
    if (before.has(id)) yield id;
    before.add(id);
  }
}

function firstHeard(room: RoomHistory, epoch: number): number {
  return (
    room.reads.find(({ got }) => got.epoch === epoch)?.endedAt ??
    room.openings.find((one) => one.epoch === epoch)?.at ??
    0
  );
}
