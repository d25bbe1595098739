// What GET /api/cluster answers: the whole cluster, from whichever node is asked. Ownership and checkpoints come from
// Postgres; what only an owner knows of its rooms (who is connected, what would be lost now) is asked of each node, with
// a short deadline, and a node that does not answer leaves its rooms as Postgres has them.

import http from "node:http";
import type { Activation } from "../actor/activation.ts";
import type { Config } from "../config.ts";
import type { Incarnation, NodeId } from "../ids.ts";
import { KEY_HEADER } from "../membership/peer-http.ts";
import type { Member, View } from "../membership/view.ts";
import type { Database } from "../postgres/query.ts";
import type { Clock } from "../runtime/clock.ts";
import { rpoMs, summarizeRpo, type Rpo } from "./rpo.ts";

/** The path on the internal port under which a node tells of its own rooms. */
export const ROOMS_PATH = "/ringside/rooms";
const ASK_MS = 400;
const ANSWER_BYTES_MAX = 8 * 1024 * 1024;
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
  readonly nodes: readonly NodeReport[];
  readonly rooms: readonly RoomReport[];
  /**
   * What would be lost if the whole cluster died now (CKP6): of every room in `rooms`, and of those beyond ROOMS_MAX that
   * their owners have told of.
   */
  readonly rpo: Rpo;
  readonly failovers: readonly FailoverReport[];
}

/** What an owner tells of one of its rooms. */
export interface OwnRoom {
  readonly roomId: string;
  readonly epoch: number;
  readonly phase: "active" | "moving" | "frozen";
  readonly players: number;
  readonly seats: number;
  readonly checkpoint: RoomReport["checkpoint"];
  readonly rpoMs: number;
}

/** This node's rooms, as only it knows them. */
export function reportOwnRooms(
  activations: Iterable<Activation>,
  isLeaseHeld: boolean,
  nowMs: number,
): OwnRoom[] {
  return [...activations].map((activation) => ({
    roomId: activation.roomId,
    epoch: activation.epoch,
    phase: !isLeaseHeld ? "frozen" : activation.phase.name === "active" ? "active" : "moving",
    players: activation.players,
    seats: activation.occupants.size,
    checkpoint:
      activation.saved === undefined
        ? null
        : {
            seq: activation.saved.seq,
            ageMs: Math.round(nowMs - activation.saved.atMs),
            bytes: activation.saved.bytes,
          },
    rpoMs: rpoMs(activation, nowMs),
  }));
}

export interface ReportParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly database: Database;
  readonly self: Incarnation;
  readonly view: () => View;
  readonly ownRooms: () => OwnRoom[];
}

export async function reportCluster(parts: ReportParts): Promise<ClusterReport> {
  const { config, database, self, view, ownRooms } = parts;
  const members = view().members;
  const [nodes, rooms, failovers, ...told] = await Promise.all([
    database.run<NodeRow>("cluster-nodes", []),
    database.run<RoomRow>("cluster-rooms", [ROOMS_MAX]),
    database.run<FailoverRow>("recent-failovers", [FAILOVERS_MAX]),
    ...members.map((member) =>
      member.incarnation === self ? ownRooms() : askRooms(member, config.clusterKey),
    ),
  ]);
  // Of two nodes that tell of a room, the one at the newer epoch is heard: the other has not noticed yet.
  const byEpoch = told.flat().sort((a, b) => a.epoch - b.epoch);
  const known = new Map(byEpoch.map((room) => [room.roomId, room]));
  const roomReports = rooms.map((row) => toRoom(row, known.get(row.room_id)));
  for (const { roomId } of roomReports) known.delete(roomId);
  return {
    version: 1,
    answeredBy: config.nodeId,
    view: view().version,
    nodes: nodes.map((row) => toNode(row, roomReports)),
    rooms: roomReports,
    rpo: summarizeRpo([...roomReports, ...known.values()].map((room) => room.rpoMs)),
    failovers: failovers.map(toFailover),
  };
}

/** Another node's word on its rooms; nothing when it does not answer in time. */
function askRooms(member: Member, key: string): Promise<OwnRoom[]> {
  return new Promise((resolve) => {
    const nothing = (): void => resolve([]);
    const request = http.get(
      {
        host: member.host,
        port: member.internalPort,
        path: ROOMS_PATH,
        headers: { [KEY_HEADER]: key },
        agent: false,
        timeout: ASK_MS,
      },
      (response) => {
        const chunks: Buffer[] = [];
        let bytes = 0;
        response.on("data", (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes > ANSWER_BYTES_MAX) request.destroy();
          else chunks.push(chunk);
        });
        response.on("error", nothing);
        response.on("end", () => {
          try {
            // From a node of this cluster, which has shown by the key that it is one.
            resolve(JSON.parse(Buffer.concat(chunks).toString()) as OwnRoom[]);
          } catch {
            nothing();
          }
        });
      },
    );
    request.on("timeout", () => request.destroy());
    request.on("error", nothing);
    request.on("close", nothing);
  });
}

interface NodeRow {
  node_id: NodeId;
  incarnation: Incarnation;
  pid: number;
  host: string;
  public_port: number;
  internal_port: number;
  management_port: number;
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
