import { expect, test } from "vitest";
import { closedFor, readinessForPlayers, readinessOf, type NodeFacts } from "../../src/ops/readiness.ts";

const serving: NodeFacts = { state: "ready", isLeaseHeld: true, isGateway: true };
const CASES: readonly [string, Partial<NodeFacts>, ready: boolean, forPlayers: boolean, closed?: string][] = [
  ["serves", {}, true, true],
  ["starts", { state: "starting" }, false, false, "NODE_NOT_READY"],
  ["leaves", { state: "draining" }, false, false, "DRAINING"],
  ["is without a lease: who is connected stays", { isLeaseHeld: false }, false, false],
  ["is for rooms only", { isGateway: false }, true, false, "NO_GATEWAY"],
  ["is for rooms only, and leaves", { isGateway: false, state: "draining" }, false, false, "NO_GATEWAY"],
];

test.each(CASES)("[GATE5] a node that %s", (_what, facts, ready, forPlayers, closed) => {
  const node = { ...serving, ...facts };
  expect(readinessOf(node).isReady).toBe(ready);
  expect(readinessForPlayers(node).isReady).toBe(forPlayers);
  expect(closedFor(node)).toBe(closed);
});
