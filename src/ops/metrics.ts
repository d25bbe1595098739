// What this node measures of itself, as Prometheus reads it: GET /metrics on the management port.
//
// Counters and histograms follow the events (events.ts), gauges are read when they are asked for. No label names a room,
// a player or a node: what has a label here has a handful of values. What goes wrong here costs a number, never the node.
// The library counts in seconds and bytes, as all of Prometheus does; the rest of the project counts in ms.

import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "@prometheus-io/client";
import type { EventBus, EventListener, Events } from "../events.ts";
import { REASONS } from "../front-door/counts.ts";
import type { Clock } from "../runtime/clock.ts";
import { rpoMs, summarizeRpo, type AtRisk } from "./rpo.ts";

/** What is measured of a room. An activation has it. */
export interface MeasuredRoom extends AtRisk {
  readonly players: number;
  readonly awaited: { readonly size: number };
}

export interface MetricsParts {
  readonly clock: Clock;
  readonly events: EventBus;
  readonly lease: { readonly leftMs: number };
  readonly rooms: () => Iterable<MeasuredRoom>;
  /** Rooms that this node has still to open. */
  readonly backlog: () => { readonly waiting: number; readonly opening: number };
  /** What the front door has refused so far, by reason. */
  readonly refusals: { readonly totals: ReadonlyMap<string, number> };
  readonly onError: (error: unknown) => void;
}

export interface Metrics {
  readonly contentType: string;
  /** All of it, in Prometheus's text format. */
  text(): Promise<string>;
  /** Stops counting. */
  stop(): void;
}

/**
 * How often the library looks at the event loop by itself, in ms. At its own 10 and 100 that is a third of what a node with
 * nothing to do takes of a core.
 */
const SELDOM = { eventLoopMonitoringPrecision: 50, eventLoopUtilizationTimeout: 1_000 };
/** Reading a checkpoint back takes less than anything that asks a store. */
const REBUILD_SECONDS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1];
const WORK_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
/** The lease is 3 s by default: silence ends about there, refused connections far before. */
const SILENCE_SECONDS = [0.05, 0.1, 0.25, 0.5, 1, 2, 3, 4, 5, 10, 30];
/** The stock SDK tries again at 0.2, 0.6, 1.4, 3.0, 6.2 … 56 s. */
const RETURN_SECONDS = [0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 120];
const AGE_SECONDS = [0.1, 0.25, 0.5, 1, 1.5, 2, 3, 5, 10, 30, 60];
/** One statement claims 64 at most. */
const CLAIM_ROOMS = [1, 2, 4, 8, 16, 32, 64];
const WHY: readonly Events["room:restored"]["why"][] = ["recovery", "demand", "move"];
const WHY_CLAIMED: readonly Events["rooms:claimed"]["why"][] = ["recovery", "demand"];
const WHY_LOST: readonly Events["node:lost"]["reason"][] = ["refused", "replaced", "lapsed", "left"];

export function openMetrics(parts: MetricsParts): Metrics {
  const { backlog, clock, events, lease, refusals, rooms, onError } = parts;
  const registry = new Registry();
  const registers = [registry];
  try {
    collectDefaultMetrics({ register: registry, ...SELDOM }); // process_*, nodejs_*
  } catch (error) {
    onError(error); // a platform that lacks one of them still has ours
  }
  const gauge = (name: string, help: string): Gauge =>
    new Gauge({ name: `ringside_${name}`, help, registers });
  const counter = (name: string, help: string): Counter =>
    new Counter({ name: `ringside_${name}`, help, registers });

  const gauges = {
    rooms: gauge("rooms", "Rooms open on this node."),
    players: gauge("players", "Players connected to rooms of this node."),
    awaited: gauge("seats_awaited", "Seats of restored rooms whose players are not back yet."),
    waiting: gauge(
      "rooms_waiting",
      "Rooms without an owner that this node is to open, and that wait for their turn.",
    ),
    opening: gauge("rooms_opening", "Rooms that are being opened on this node."),
    lease: gauge(
      "lease_left_seconds",
      "How long this node may act as an owner without hearing from Postgres.",
    ),
    oldest: gauge("rpo_oldest_seconds", "Age of the oldest unsaved change of any room of this node."),
    p99: gauge(
      "rpo_p99_seconds",
      "Age of the oldest unsaved change that 99 of 100 rooms of this node do not exceed.",
    ),
  };
  const saved = counter("checkpoints_saved_total", "Checkpoints that Postgres has taken from this node.");
  const failed = counter(
    "checkpoints_failed_total",
    "Checkpoints that could not be saved; they are tried again.",
  );
  const refused = counter(
    "checkpoints_refused_total",
    "Checkpoints refused because another node owns the room.",
  );
  const stored = counter("checkpoint_stored_bytes_total", "Bytes of checkpoints sent to Postgres and taken.");
  const turnedAway = new Counter({
    name: "ringside_door_refused_total",
    help: "Requests and connections that the front door has refused.",
    labelNames: ["why"],
    registers,
  });
  const histogram = <Label extends string = never>(
    name: string,
    help: string,
    buckets: number[],
    ...labelNames: Label[]
  ): Histogram<Label> =>
    new Histogram<Label>({ name: `ringside_${name}`, help, buckets, labelNames, registers });
  const save = histogram(
    "checkpoint_save_seconds",
    "How long Postgres took for one statement of checkpoints.",
    WORK_SECONDS,
  );
  const silence = histogram(
    "node_lost_silence_seconds",
    "How long another node had been silent when this one marked it down.",
    SILENCE_SECONDS,
    "reason",
  );
  const claim = histogram(
    "claim_seconds",
    "How long Postgres took to give rooms to this node, with what was saved of them.",
    WORK_SECONDS,
    "why",
  );
  const claimed = histogram("claim_rooms", "Rooms that one claim gave to this node.", CLAIM_ROOMS, "why");
  const wait = histogram(
    "room_restore_wait_seconds",
    "From the claim of a room to its turn to be opened here.",
    WORK_SECONDS,
    "why",
  );
  const restore = histogram(
    "room_restore_seconds",
    "From a claimed room's turn to its being open here.",
    WORK_SECONDS,
    "why",
  );
  const rebuild = histogram(
    "room_rebuild_seconds",
    "How long decoding a room's checkpoint and putting it into the room held the event loop.",
    REBUILD_SECONDS,
    "why",
  );
  const rolledBack = histogram(
    "room_restore_checkpoint_age_seconds",
    "How old the checkpoint was that a room came back from: what its players lost at most.",
    AGE_SECONDS,
    "why",
  );
  const back = histogram(
    "seat_reclaimed_seconds",
    "From a room's being restored to each of its players being back in their seat.",
    RETURN_SECONDS,
  );
  const firstBack = histogram(
    "room_first_player_back_seconds",
    "From a room's being restored to the first of its players being back.",
    RETURN_SECONDS,
  );
  const lastBack = histogram(
    "room_last_player_back_seconds",
    "From a room's being restored to the last of its players being back who came back at all.",
    RETURN_SECONDS,
  );
  // There from the start, so that the first one is seen to be one more.
  for (const why of WHY) for (const each of [wait, restore, rebuild, rolledBack]) each.zero({ why });
  for (const why of WHY_CLAIMED) for (const each of [claim, claimed]) each.zero({ why });
  for (const reason of WHY_LOST) silence.zero({ reason });

  const count: { readonly [Name in keyof Events]?: (facts: Events[Name]) => void } = {
    "checkpoint:saved": ({ rooms, bytes, saveMs }) => {
      saved.inc(rooms);
      stored.inc(bytes);
      save.observe(seconds(saveMs));
    },
    "checkpoint:failed": ({ rooms }) => failed.inc(rooms),
    "checkpoint:refused": () => refused.inc(),
    "rooms:claimed": ({ why, claimMs, roomIds }) => {
      claim.observe({ why }, seconds(claimMs));
      claimed.observe({ why }, roomIds.length);
    },
    "room:restored": ({ why, waitedMs, restoreMs, rebuildMs, checkpointAgeMs }) => {
      wait.observe({ why }, seconds(waitedMs));
      restore.observe({ why }, seconds(restoreMs));
      rebuild.observe({ why }, seconds(rebuildMs));
      rolledBack.observe({ why }, seconds(checkpointAgeMs));
    },
    "seat:reclaimed": ({ afterMs }) => back.observe(seconds(afterMs)),
    "room:settled": ({ firstBackMs, backMs }) => {
      if (firstBackMs === null) return; // nobody came
      firstBack.observe(seconds(firstBackMs));
      lastBack.observe(seconds(backMs));
    },
    "node:lost": ({ reason, silentMs }) => silence.observe({ reason }, seconds(silentMs)),
  };
  const listener: EventListener = (name, facts) => count[name]?.(facts);

  const readGauges = (): void => {
    const here = [...rooms()];
    const nowMs = clock.monotonicMs();
    const rpo = summarizeRpo(here.map((room) => rpoMs(room, nowMs)));
    gauges.rooms.set(here.length);
    gauges.players.set(here.reduce((sum, room) => sum + room.players, 0));
    gauges.awaited.set(here.reduce((sum, room) => sum + room.awaited.size, 0));
    turnedAway.reset();
    for (const why of REASONS) turnedAway.inc({ why }, refusals.totals.get(why) ?? 0);
    const { waiting, opening } = backlog();
    gauges.waiting.set(waiting);
    gauges.opening.set(opening);
    gauges.lease.set(seconds(lease.leftMs));
    gauges.oldest.set(seconds(rpo.oldestMs));
    gauges.p99.set(seconds(rpo.p99Ms));
  };
  return {
    contentType: registry.contentType,
    text: async () => {
      try {
        readGauges();
      } catch (error) {
        // Without a value: an old one would be believed.
        for (const each of Object.values(gauges)) each.remove();
        onError(error);
      }
      return registry.metrics();
    },
    stop: events.listen(listener),
  };
}

/** Postgres's clock and ours may differ by a little: a span is never below 0. */
function seconds(ms: number): number {
  return Math.max(0, ms) / 1_000;
}
