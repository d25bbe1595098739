// What GET /api/cluster answers: the whole cluster, from whichever node is asked. Ownership and checkpoints come from
// Postgres; what only an owner knows of its rooms (who is connected, what would be lost now) is asked of each node, with
// a short deadline, and a node that does not answer leaves its rooms as Postgres has them. While Postgres is away the
// nodes' own words are all there is: an operator needs to see most when something is wrong.

import type { Config, Role } from "../config.ts";
import type { Incarnation, NodeId } from "../ids.ts";
import type { Member, View } from "../membership/view.ts";
import type { Database } from "../postgres/query.ts";
import { askWord, type NodeWord, type OwnRoom } from "./node-word.ts";
import { summarizeRpo, type Rpo } from "./rpo.ts";

const ROOMS_MAX = 2_000;
const FAILOVERS_MAX = 20;

export interface NodeReport {
  readonly nodeId: NodeId;
  readonly incarnation: Incarnation;
  readonly pid: number;
  readonly host: string;
  readonly publicPort: number;
  readonly internalPort: number;
  readonly managementPort: number;
  readonly state: "up" | "draining" | "silent" | "down";
  readonly roles: readonly Role[];
  readonly leaseLeftMs: number;
  readonly rooms: number;
  readonly players: number;
  readonly startedAt: number;
}

export interface RoomReport {
  readonly roomId: string;
  readonly name: string;
  readonly nodeId: string | null;
  readonly epoch: number;
  readonly phase: "active" | "moving" | "unowned" | "frozen";
  /** Connected now. */
  readonly players: number;
  /** Held, those of players who are away included. */
  readonly seats: number;
  readonly checkpoint: { readonly seq: number; readonly ageMs: number; readonly bytes: number } | null;
  /**
   * What would be lost if the owner died now, in ms. By the owner's word: 0 when nothing is unsaved. Where there is no such
   * word (no owner, or one that does not answer), the age of the newest checkpoint, which it cannot exceed.
   */
  readonly rpoMs: number;
}

export interface FailoverReport {
  readonly roomId: string;
  readonly name: string;
  readonly fromNodeId: string | null;
  readonly toNodeId: string;
  readonly fromEpoch: number;
  readonly epoch: number;
  readonly at: number;
  readonly checkpointAgeMs: number;
  readonly restoreMs: number;
  readonly seats: number;
  /** Null while players are still awaited. */
  readonly back: number | null;
  readonly backMs: number | null;
  readonly why: string;
}

export interface ClusterReport {
  readonly version: 1;
  readonly answeredBy: NodeId;
  readonly view: number;
  /**
   * For how long the node that answers has not reached Postgres, in ms; null while it does. The report is then what nodes
   * tell of themselves: rooms that nobody owns and past failovers are missing.
   */
  readonly postgresAwayMs: number | null;
  readonly nodes: readonly NodeReport[];
  readonly rooms: readonly RoomReport[];
  /**
   * What would be lost if the whole cluster died now (CKP6): of every room in `rooms`, and of those beyond ROOMS_MAX that
   * their owners have told of.
   */
  readonly rpo: Rpo;
  readonly failovers: readonly FailoverReport[];
}

export interface ReportParts {
  readonly config: Config;
  readonly database: Database;
  readonly self: Incarnation;
  readonly view: () => View;
  /** For how long Postgres has not answered this node's heartbeat; undefined while it does. */
  readonly postgresAwayMs: () => number | undefined;
  readonly ownWord: () => NodeWord;
}

interface Stored {
  readonly nodes: readonly NodeRow[];
  readonly rooms: readonly RoomRow[];
  readonly failovers: readonly FailoverRow[];
}

/** @throws the driver's error when Postgres fails although the heartbeat reaches it */
export async function reportCluster(parts: ReportParts): Promise<ClusterReport> {
  const { config, self, view, postgresAwayMs, ownWord } = parts;
  const members = view().members;
  // One after the other: to find out that Postgres does not answer takes a while, and what nodes told before is old by then.
  const stored = await readStored(parts);
  const words = await Promise.all(
    members.map((member) =>
      member.incarnation === self ? Promise.resolve(ownWord()) : askWord(member, config.clusterKey),
    ),
  );
  // Of two nodes that tell of a room, the one at the newer epoch is heard: the other has not noticed yet.
  const told = words.flatMap((word) => word?.rooms.map((room) => ({ word, room })) ?? []);
  const newest = new Map(
    told.sort((a, b) => a.room.epoch - b.room.epoch).map((one) => [one.room.roomId, one]),
  );
  const rooms =
    stored === undefined
      ? [...newest.values()].slice(0, ROOMS_MAX).map(({ word, room }) => ownersRoom(room, word, members))
      : stored.rooms.map((row) => toRoom(row, newest.get(row.room_id)?.room));
  for (const { roomId } of rooms) newest.delete(roomId);
  const beyond = [...newest.values()].map(({ room }) => room.rpoMs);
  return {
    version: 1,
    answeredBy: config.nodeId,
    view: view().version,
    postgresAwayMs: postgresAwayMs() ?? null,
    nodes:
      stored === undefined
        ? members.map((member, index) => ownNode(member, words[index], rooms))
        : stored.nodes.map((row) => toNode(row, rooms)),
    rooms,
    rpo: summarizeRpo([...rooms.map((room) => room.rpoMs), ...beyond]),
    failovers: stored?.failovers.map(toFailover) ?? [],
  };
}

/** @returns undefined while Postgres is away: who asks must not wait for what will not come */
async function readStored({ database, postgresAwayMs }: ReportParts): Promise<Stored | undefined> {
  if (postgresAwayMs() !== undefined) return undefined;
  try {
    const [nodes, rooms, failovers] = await Promise.all([
      database.run<NodeRow>("cluster-nodes", []),
      database.run<RoomRow>("cluster-rooms", [ROOMS_MAX]),
      database.run<FailoverRow>("recent-failovers", [FAILOVERS_MAX]),
    ]);
    return { nodes, rooms, failovers };
  } catch (error) {
    if (postgresAwayMs() !== undefined) return undefined; // noticed meanwhile
    throw error;
  }
}

/** A node as its peers know it while Postgres is away. */
function ownNode(member: Member, word: NodeWord | undefined, rooms: readonly RoomReport[]): NodeReport {
  const { nodeId, incarnation, host, publicPort, internalPort, managementPort, state } = member;
  const own = rooms.filter((room) => room.nodeId === nodeId);
  return {
    nodeId,
    incarnation,
    pid: word?.pid ?? 0,
    host,
    publicPort,
    internalPort,
    managementPort,
    state: word === undefined ? "silent" : state,
    roles: member.roles ?? [],
    leaseLeftMs: Math.round(word?.leaseLeftMs ?? 0),
    rooms: own.length,
    players: own.reduce((sum, room) => sum + room.players, 0),
    startedAt: word?.startedAt ?? 0,
  };
}

function ownersRoom(room: OwnRoom, word: NodeWord, members: readonly Member[]): RoomReport {
  const owner = members.find((member) => member.incarnation === word.incarnation);
  return { ...room, nodeId: owner?.nodeId ?? null };
}

interface NodeRow {
  node_id: NodeId;
  incarnation: Incarnation;
  pid: number;
  host: string;
  public_port: number;
  internal_port: number;
  management_port: number;
  roles: readonly Role[];
  state: "up" | "draining" | "down";
  lease_left_ms: number;
  started_at: number;
}

interface RoomRow {
  room_id: string;
  name: string;
  owner_node: string | null;
  owned: boolean;
  epoch: number;
  players: number;
  seats: number;
  seq: number | null;
  bytes: number;
  age_ms: number;
}

interface FailoverRow {
  at: number;
  node_id: string;
  room_id: string;
  epoch: number;
  facts: {
    name: string;
    fromNodeId: string | null;
    fromEpoch: number;
    checkpointAgeMs: number;
    restoreMs: number;
    seats: number;
    why: string;
  };
  settled: { back: number; backMs: number } | null;
}

function toNode(row: NodeRow, rooms: readonly RoomReport[]): NodeReport {
  const own = row.state === "down" ? [] : rooms.filter((room) => room.nodeId === row.node_id);
  return {
    nodeId: row.node_id,
    incarnation: row.incarnation,
    pid: row.pid,
    host: row.host,
    publicPort: row.public_port,
    internalPort: row.internal_port,
    managementPort: row.management_port,
    state: row.state !== "down" && row.lease_left_ms < 0 ? "silent" : row.state,
    roles: row.roles,
    leaseLeftMs: row.state === "down" ? 0 : Math.max(0, Math.round(row.lease_left_ms)),
    rooms: own.length,
    players: own.reduce((sum, room) => sum + room.players, 0),
    startedAt: Math.round(row.started_at),
  };
}

function toRoom(row: RoomRow, told: OwnRoom | undefined): RoomReport {
  const saved = row.seq === null ? null : { seq: row.seq, ageMs: Math.round(row.age_ms), bytes: row.bytes };
  const own = told?.epoch === row.epoch ? told : undefined;
  return {
    roomId: row.room_id,
    name: row.name,
    nodeId: row.owned ? row.owner_node : null,
    epoch: row.epoch,
    // An owner that does not answer is frozen, as far as anybody can see.
    phase: !row.owned ? "unowned" : (own?.phase ?? "frozen"),
    players: own?.players ?? 0,
    seats: own?.seats ?? row.seats,
    checkpoint: own?.checkpoint ?? saved,
    rpoMs: own?.rpoMs ?? saved?.ageMs ?? 0,
  };
}

function toFailover({ at, node_id, room_id, epoch, facts, settled }: FailoverRow): FailoverReport {
  return {
    roomId: room_id,
    name: facts.name,
    fromNodeId: facts.fromNodeId,
    toNodeId: node_id,
    fromEpoch: facts.fromEpoch,
    epoch,
    at: Math.round(at),
    checkpointAgeMs: facts.checkpointAgeMs,
    restoreMs: facts.restoreMs,
    seats: facts.seats,
    back: settled?.back ?? null,
    backMs: settled?.backMs ?? null,
    why: facts.why,
  };
}
