// What the demo page tells of a failover, from the patches it saw and from what the cluster says.

import { describe, expect, test } from "vitest";
import type { Cluster, ClusterFailover, ClusterNode } from "../../client-demo/cluster.ts";
import { FailoverWatch, tell, type Failover } from "../../client-demo/failovers.ts";
import { Motion } from "../../client-demo/motion.ts";
import { nodeColour } from "../../client-demo/palette.ts";
import type { Picture, PlayerPicture } from "../../client-demo/picture.ts";

const ROOM = "r1";

function cluster(options: {
  epoch: number;
  nodeId?: string | null;
  failover?: Partial<ClusterFailover>;
  fromNode?: Partial<ClusterNode>;
  players?: number;
}): Cluster {
  const { epoch, nodeId = "node-b", failover, fromNode, players = 3 } = options;
  const node = {
    nodeId: "node-b",
    state: "up",
    leaseLeftMs: 2_000,
    rooms: 1,
    players: 3,
    process: "running",
  } as const;
  return {
    nodes: [{ ...node, ...fromNode }],
    rooms: [
      {
        roomId: ROOM,
        nodeId,
        epoch,
        players,
        phase: nodeId === null ? "unowned" : "active",
        checkpoint: null,
        rpoMs: 0,
      },
    ],
    failovers:
      failover === undefined
        ? []
        : [
            {
              roomId: ROOM,
              fromNodeId: "node-b",
              toNodeId: "node-c",
              epoch,
              at: 0,
              checkpointAgeMs: 900,
              seats: 3,
              back: 3,
              backMs: 200,
              why: "recovery",
              ...failover,
            },
          ],
  };
}

/** A page that has seen two seconds of patches, tick 1 to 40 at 0 to 1950 ms, and epoch 1 at the end of them. */
function watching(): FailoverWatch {
  const watch = new FailoverWatch();
  for (let tick = 1; tick <= 40; tick++) watch.onPatch({ tick, resumedTick: 0 }, (tick - 1) * 50);
  expect(watch.onCluster(cluster({ epoch: 1 }), ROOM, 1_960)).toBeUndefined();
  return watch;
}

/** Patches of a room that was restored at `fromTick`, or never when that is not below what was seen. */
function patches(
  watch: FailoverWatch,
  fromTick: number,
  fromMs: number,
  count: number,
  resumedTick = fromTick,
): void {
  for (let index = 0; index < count; index++) {
    watch.onPatch({ tick: fromTick + index, resumedTick }, fromMs + index * 50);
  }
}

const died = cluster({
  epoch: 2,
  nodeId: "node-c",
  failover: {},
  fromNode: { state: "down", process: "exited" },
});

describe("the story", () => {
  test("tells who died, who took over, and what this page measured", () => {
    const watch = watching();
    patches(watch, 24, 2_262, 6);
    const failover = watch.onCluster(died, ROOM, 2_520);
    expect(failover).toMatchObject({ downMs: 312, rolledBackMs: 800, epoch: 2, did: "died" });
    const { title, facts } = tell(failover as Failover);
    expect([title, ...facts].join(" · ")).toBe(
      "node-b died - back on node-c, epoch 2 · down for 312 ms · rolled back 0.8 s · 3 of 3 players back",
    );
  });

  test("counts what was undone from where the room went on, not from where it was when this page came back", () => {
    const watch = watching();
    patches(watch, 38, 2_800, 6, 24);
    expect(watch.onCluster(died, ROOM, 3_060)).toMatchObject({ downMs: 850, rolledBackMs: 800 });
  });

  test("a node that was seen or told to leave has not died", () => {
    const watch = watching();
    watch.onDrain("node-b", 1_990);
    patches(watch, 41, 2_262, 6, 40);
    expect(watch.onCluster(died, ROOM, 2_520)).toMatchObject({ did: "left", rolledBackMs: 0 });
  });

  test("waits until the game runs again", () => {
    const watch = watching();
    expect(watch.onCluster(died, ROOM, 2_460)).toBeUndefined();
    expect(watch.onCluster(died, ROOM, 2_960)).toBeUndefined();
    patches(watch, 30, 3_000, 4);
    expect(watch.onCluster(died, ROOM, 3_200)).toMatchObject({ downMs: 1_050, rolledBackMs: 500 });
  });

  test("waits when the cluster tells of it before the next patch is even missed", () => {
    const watch = watching();
    expect(watch.onCluster(died, ROOM, 2_030)).toBeUndefined();
    patches(watch, 35, 2_200, 6);
    expect(watch.onCluster(died, ROOM, 2_530)).toMatchObject({ downMs: 250, rolledBackMs: 250 });
  });

  test("a move that nobody could notice is told too, and nothing was lost", () => {
    const watch = watching();
    patches(watch, 41, 2_010, 10, 0);
    const moved = cluster({ epoch: 2, nodeId: "node-c", failover: { why: "move" } });
    expect(watch.onCluster(moved, ROOM, 2_465)).toBeUndefined();
    patches(watch, 51, 2_510, 8, 0);
    const failover = watch.onCluster(moved, ROOM, 2_900);
    expect(failover).toMatchObject({ did: "left", downMs: 60, rolledBackMs: 0 });
    expect(tell(failover as Failover).title).toBe("node-b left - moved to node-c, epoch 2");
  });

  test("is told once, and again only when more players are back", () => {
    const watch = watching();
    patches(watch, 24, 2_262, 6);
    const back = (count: number | null, players: number): Cluster =>
      cluster({ epoch: 2, nodeId: "node-c", failover: { back: count }, players });
    expect(watch.onCluster(back(null, 1), ROOM, 2_520)).toMatchObject({ back: 1 });
    expect(watch.onCluster(back(null, 1), ROOM, 2_530)).toBeUndefined();
    expect(watch.onCluster(back(null, 2), ROOM, 2_540)).toMatchObject({ back: 2, downMs: 312 });
    expect(watch.onCluster(back(null, 1), ROOM, 2_550)).toBeUndefined();
    expect(watch.onCluster(back(3, 3), ROOM, 2_560)).toMatchObject({ back: 3 });
  });

  test.each([
    { fromNode: { process: "frozen", state: "silent" }, did: "froze" },
    { fromNode: { process: "running", state: "silent" }, did: "was cut off" },
    { fromNode: { process: "exited", state: "down" }, did: "died" },
    { fromNode: { process: "running", state: "up" }, did: "died" },
  ] as const)("a node that is $fromNode.process and $fromNode.state $did", ({ fromNode, did }) => {
    const watch = watching();
    patches(watch, 24, 2_262, 6);
    expect(watch.onCluster(cluster({ epoch: 2, failover: {}, fromNode }), ROOM, 2_520)).toMatchObject({
      did,
    });
  });

  test("failovers from before this page came are not its story", () => {
    const watch = new FailoverWatch();
    patches(watch, 1, 0, 20);
    expect(watch.onCluster(died, ROOM, 960)).toBeUndefined();
    expect(watch.onCluster(died, ROOM, 1_000)).toBeUndefined();
  });
});

describe("colours", () => {
  test("the first nodes differ, and a name keeps its colour", () => {
    const names = ["node-a", "node-b", "node-c", "node-d", "node-e"];
    expect(new Set(names.map(nodeColour)).size).toBe(names.length);
    expect(nodeColour("eu-west-game-7f9")).toBe(nodeColour("eu-west-game-7f9"));
  });
});

describe("motion", () => {
  function picture(tick: number, x: number): Picture {
    const player = { key: "p", x, y: 0, vx: 0, vy: 0, facing: 0 } as PlayerPicture;
    // Only what Motion reads.
    return { tick, players: new Map([["p", player]]) } as unknown as Picture;
  }

  test("others are shown between two pictures, a little in the past", () => {
    const motion = new Motion();
    for (let tick = 0; tick <= 10; tick++) motion.push(picture(tick, tick * 10), tick * 50);
    const x = motion.poses(1_000 + 500, "me", true).get("p")?.x ?? NaN;
    expect(x).toBe(100);
    const between = new Motion();
    for (let tick = 0; tick <= 10; tick++) between.push(picture(tick, tick * 10), tick * 50);
    between.poses(0, "me", true);
    expect(between.poses(510, "me", true).get("p")?.x).toBeCloseTo(85, 0);
  });

  test("after a rollback everybody glides from where they were shown, and arrives", () => {
    const motion = new Motion();
    for (let tick = 100; tick <= 110; tick++) motion.push(picture(tick, 500), tick * 50);
    motion.poses(110 * 50, "me", true);
    motion.push(picture(95, 400), 6_000);
    expect(motion.poses(6_001, "me", true).get("p")?.x).toBeGreaterThan(480);
    motion.push(picture(96, 400), 6_050);
    expect(motion.poses(6_500, "me", true).get("p")?.x).toBe(400);
  });

  test("while the connection is away everybody stays where they were shown", () => {
    const motion = new Motion();
    for (let tick = 0; tick <= 10; tick++) motion.push(picture(tick, tick * 10), tick * 50);
    const shown = motion.poses(500, "me", true).get("p");
    expect(motion.poses(9_000, "me", false).get("p")).toEqual(shown);
  });
});
