// What must hold of Redis and of everything that leans on it, said once: while it is away, and when it is back.

import { isDeepStrictEqual } from "node:util";
import type { IRoomCache } from "@colyseus/core";
import type { Client, Room } from "@colyseus/sdk";
import { expect } from "vitest";
import type { TestCluster, TestNode } from "./cluster.ts";
import { Player } from "./player.ts";
import { until } from "./until.ts";

/** How long a player may wait for any answer of matchmaking, whatever Redis does. */
export const ANSWER_MS = 1_000;
/** Within how long all is right when Redis is back. */
export const RIGHT_MS = 5_000;

/** Matchmaking's answer: `undefined` when it was given a seat, else the status it was refused with. */
export interface Answer {
  readonly what: string;
  readonly via: string;
  readonly ms: number;
  readonly refusal: string | undefined;
}

/**
 * Every kind of matchmaking, through every node, with the stock SDK. Rooms and seats that come of it are left again.
 *
 * @param player in a room that all nodes can find
 */
export async function tryMatchmaking(cluster: TestCluster, player: Player): Promise<Answer[]> {
  const answers: Answer[] = [];
  for (const node of cluster.nodes) {
    const client = cluster.client(node);
    const ways: Readonly<Record<string, () => Promise<Room>>> = {
      joinOrCreate: () => client.joinOrCreate("wired"),
      join: () => client.join("wired"),
      create: () => client.create("quiet"),
      joinById: () => client.joinById(player.roomId),
      reconnect: () => comeBack(client, player.roomId),
    };
    for (const [what, go] of Object.entries(ways)) {
      const fromMs = performance.now();
      let refusal: string | undefined;
      const room = await go().catch((error: unknown) => void (refusal = String(error)));
      answers.push({ what, via: node.nodeId, ms: Math.round(performance.now() - fromMs), refusal });
      await room?.leave();
    }
  }
  return answers;
}

/** A page that was loaded again: the first connection is cut, and the seat is asked for with nothing but its token. */
async function comeBack(client: Client, roomId: string): Promise<Room> {
  const room = await client.joinById(roomId);
  room.reconnection.enabled = false;
  const { reconnectionToken } = room;
  const dropped = new Promise((resolve) => room.onLeave(resolve));
  room.connection.close();
  await dropped;
  return until("the seat is given back", () => client.reconnect(reconnectionToken), { ms: ANSWER_MS });
}

/** That nobody was refused, and nobody waited for longer than a player does. */
export function expectAnswered(answers: readonly Answer[]): void {
  expect(answers.filter(({ refusal }) => refusal !== undefined)).toEqual([]);
  // Coming back is two answers.
  expect(answers.filter(({ what, ms }) => ms > (what === "reconnect" ? 2 : 1) * ANSWER_MS)).toEqual([]);
}

/** That rooms on different nodes can call each other. Within a player's patience. */
export async function expectCalls(cluster: TestCluster, players: readonly Player[]): Promise<void> {
  for (const from of players) {
    for (const to of players) {
      const fromMs = performance.now();
      const pid = await from.ask<number>("call", to.roomId);
      expect(pid).toBe((await cluster.ownerOf(to.roomId)).pid);
      expect(performance.now() - fromMs, "ms for a call from room to room").toBeLessThan(2 * ANSWER_MS);
    }
  }
}

/** That what one room publishes is heard in all of these, each on another node. */
export async function expectNews(players: readonly Player[], ms = RIGHT_MS): Promise<void> {
  for (const from of players) {
    let word = "";
    let tries = 0;
    // What is published while Redis is on its way back is lost, so it is said again.
    await until(
      `what ${from.roomId} says is heard everywhere`,
      async () => {
        word = `from ${from.roomId}, ${++tries}`;
        await from.ask("tell", word);
        const heard = await Promise.all(players.map((each) => each.ask<string[]>("heard")));
        return heard.every((words) => words.includes(word));
      },
      { ms },
    );
  }
}

/** Rows as they stand in Redis, by room id. */
export type Rows = Readonly<Record<string, string>>;

/** Waits until what Redis holds of rooms is the truth: no ghost, none missing, each on its node, the counts right. */
export async function untilListingIsTrue(
  cluster: TestCluster,
  read: () => Promise<Rows>,
  ms = RIGHT_MS,
): Promise<void> {
  let seen: unknown;
  await until(
    "the listing is true",
    async () => {
      const nodes = await cluster.sql<{ process_id: string; node_id: string }>(
        "SELECT process_id, node_id FROM node WHERE state <> 'down'",
      );
      const nodeOf = new Map(nodes.map((row) => [row.process_id, row.node_id]));
      const rows = Object.entries(await read()).map(([roomId, text]) => {
        const row = JSON.parse(text) as IRoomCache;
        return {
          roomId,
          id: row.roomId,
          name: row.name,
          on: nodeOf.get(row.processId),
          players: row.clients,
        };
      });
      const truth = (await cluster.report()).rooms.map(({ roomId, name, nodeId, seats }) => ({
        roomId,
        id: roomId,
        name,
        on: nodeId ?? undefined,
        players: seats,
      }));
      const sort = (all: typeof rows): typeof rows => all.sort((a, b) => (a.roomId < b.roomId ? -1 : 1));
      seen = { rows, truth };
      expect(sort(rows)).toEqual(sort(truth));
      return true;
    },
    { ms, seen: () => seen },
  );
}

/** That every node finds the same rooms, and they are these: as soon as those that were left have ended. */
export async function expectFound(players: readonly Player[], roomIds: readonly string[]): Promise<void> {
  const expected = [...roomIds].sort();
  for (const player of players) {
    let found: string[] = [];
    await until(
      `${player.roomId} finds all rooms, and no others`,
      async () => {
        found = (await player.ask<string[]>("rooms")).sort();
        return isDeepStrictEqual(found, expected);
      },
      { ms: RIGHT_MS, seen: () => ({ found, expected }) },
    );
  }
}

/** That no process has ended, nobody was dropped, and nothing was left unhandled. */
export function expectHarmless(
  cluster: TestCluster,
  pids: readonly number[],
  players: readonly Player[],
): void {
  expect(cluster.nodes.map(({ pid }) => pid)).toEqual(pids);
  for (const player of players) player.expectUndisturbed();
  const output = cluster.nodes.flatMap((node) => node.output);
  expect(output.filter((line) => /unhandled rejection|uncaught/u.test(line))).toEqual([]);
}

/** The next time each node loses Redis, or has it back. Arm it before. */
export function onEach(
  cluster: TestCluster,
  event: "redis:lost" | "redis:regained",
): Promise<{ readonly error?: string; readonly awayMs?: number }[]> {
  const each = cluster.nodes.map((node: TestNode) =>
    cluster.events.next(event, (_facts, from) => from === node.nodeId).then(({ facts }) => facts),
  );
  const all = Promise.all(each);
  all.catch(() => {}); // see EventTap.next
  return all;
}
