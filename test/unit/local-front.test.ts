// The local front's decisions: which node gets a connection, and when one counts as gone.

import { describe, expect, test } from "vitest";
import {
  FROZEN_MS,
  judge,
  mustCut,
  pickBackend,
  type Backend,
  type Health,
  type Look,
} from "../../src/local/backends.ts";

function backend(nodeId: string, isDraining = false): Backend {
  return { nodeId, pid: nodeId.charCodeAt(5), publicPort: 1, managementPort: 2, isDraining };
}

const [a, b, c] = [backend("node-a"), backend("node-b"), backend("node-c")];

function pick(
  health: Record<string, Health>,
  turn: number,
  tried: string[] = [],
  all = [a, b, c],
): string | undefined {
  return pickBackend(all, (each) => health[each.nodeId] ?? "live", turn, new Set(tried))?.nodeId;
}

describe("[LOC2] the local front sends nobody to a dead node", () => {
  test("[LOC2] live nodes take turns", () => {
    expect([0, 1, 2, 3].map((turn) => pick({}, turn))).toEqual(["node-a", "node-b", "node-c", "node-a"]);
  });

  test.each<Health>(["starting", "unwell", "frozen", "dead"])(
    "[LOC2] a node that is %s gets no connection",
    (health) => {
      expect([0, 1, 2, 3].map((turn) => pick({ "node-b": health }, turn))).not.toContain("node-b");
    },
  );

  test("[LOC2] a draining node gets no new connection", () => {
    expect([0, 1].map((turn) => pick({}, turn, [], [a, backend("node-b", true)]))).toEqual([
      "node-a",
      "node-a",
    ]);
  });

  test("[LOC2] a connection that a node refused goes to another one, and to none when all refused", () => {
    expect(pick({}, 0, ["node-a"])).toBe("node-b");
    expect(pick({}, 7, ["node-a", "node-b", "node-c"])).toBeUndefined();
  });

  test("[LOC2] with no node there is none", () => {
    expect(pick({}, 3, [], [])).toBeUndefined();
  });

  test.each<{ look: Look; from: Health; silentMs: number; to: Health; cut: boolean }>([
    { look: "ok", from: "starting", silentMs: 0, to: "live", cut: false },
    { look: "ok", from: "frozen", silentMs: 9_000, to: "live", cut: false },
    { look: "notOk", from: "live", silentMs: 100, to: "unwell", cut: false },
    { look: "refused", from: "live", silentMs: 100, to: "dead", cut: true },
    { look: "silent", from: "live", silentMs: FROZEN_MS - 1, to: "live", cut: false },
    { look: "silent", from: "live", silentMs: FROZEN_MS, to: "frozen", cut: true },
    { look: "silent", from: "frozen", silentMs: 5_000, to: "frozen", cut: false },
    { look: "refused", from: "frozen", silentMs: 5_000, to: "dead", cut: false },
  ])(
    "[LOC2] $from, then $look after $silentMs ms, is $to; sessions cut: $cut",
    ({ look, from, silentMs, to, cut }) => {
      const after = judge({ health: from, answeredAt: 1_000 }, 1_000 + silentMs, look, FROZEN_MS);
      expect(after.health).toBe(to);
      expect(mustCut(from, after.health)).toBe(cut);
    },
  );

  test("[LOC2] a look that was late itself, for want of a processor, cuts nobody", () => {
    const before = { health: "live", answeredAt: 1_000 } as const;
    expect(judge(before, 4_000, "silent", 3_000)).toEqual(before);
  });
});
