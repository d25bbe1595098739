// The page: it takes a seat, draws what comes in, sends what the player wants, and shows where the room is.
//
// `window.ringsideDemo` is for the curious and for browser tests:
//   room   the SDK's room, undefined before the first join
//   stats  { status, sessionId, roomId, name, score, players, tick, patches, node, epoch, pingMs, lastFailover }
//          as they are at the moment of reading. `lastFailover` is null, or what the banner tells (see failovers.ts)
//          with the banner's words in `text`.

import { DASH, TICK_MS } from "../rooms/arena/arena-field.ts";
import { ClusterPanel } from "./cluster-panel.ts";
import { ClusterWatch, type Cluster } from "./cluster.ts";
import { Connection, type ArenaConnection, type Status } from "./connection.ts";
import { Controls, type Wish } from "./controls.ts";
import { FailoverWatch, tell, type Failover } from "./failovers.ts";
import { Hud } from "./hud.ts";
import { Motion } from "./motion.ts";
import { byId } from "./page.ts";
import { takePicture, type Picture } from "./picture.ts";
import { Scene } from "./scene.ts";

/** The room sends a patch every tick; so long without one, and something is wrong. */
const SILENT_MS = 700;
const WORDS_AFTER_MS = 180;
/** Longer than a silent node keeps its lease: by then the cluster knows. */
const LAG_MS = 4_500;
const SEND_MS = TICK_MS;
/** A direction is sent again now and then: a restored room may have an older one. */
const RESEND_MS = 500;
const PING_MS = 2_000;
const NAME_KEY = "ringside.name";

const endpoint = serverAddress();
const scene = new Scene(byId("canvas") as HTMLCanvasElement);
const hud = new Hud();
const motion = new Motion();
const failoverWatch = new FailoverWatch();
const nameInput = byId("name") as HTMLInputElement;

let picture: Picture | undefined;
let cluster: Cluster | undefined;
let status: Status = { name: "joining" };
let lastFailover: Failover | undefined;
let owner: string | null = null;
let pingMs: number | undefined;
let patchedAtMs = 0;
let patches = 0;
let sent: Wish = { x: 0, y: 0 };
let sentAtMs = 0;
let reseatedUntilMs = 0;
let aliveAtMs = 0;
let aliveEpoch = 0;
let isOwned = true;

nameInput.value = localStorage.getItem(NAME_KEY) ?? `Guest ${10 + Math.floor(Math.random() * 90)}`;

const connection = new Connection(endpoint.href, () => nameInput.value, {
  onStatus(next) {
    status = next;
    if (next.name === "reseated") reseatedUntilMs = performance.now() + 6_000;
    sentAtMs = 0;
  },
  onPatch(room) {
    const nowMs = performance.now();
    patches += 1;
    patchedAtMs = nowMs;
    picture = takePicture(room.state, DASH.waitTicks);
    motion.push(picture, nowMs);
    failoverWatch.onPatch(picture, nowMs);
    hud.show(picture, room.sessionId);
  },
});

const panel = new ClusterPanel(() => clusterWatch);
const clusterWatch = new ClusterWatch(
  managementAddress(endpoint),
  (next) => {
    cluster = next;
    const roomId = connection.room?.roomId ?? "";
    const room = next?.rooms.find((one) => one.roomId === roomId);
    // While nobody owns the room the frame keeps its last colour, dimmed.
    if (room?.nodeId !== null && room?.nodeId !== undefined) owner = room.nodeId;
    if (next === undefined) owner = null;
    isOwned = room === undefined || room.nodeId !== null;
    if (next !== undefined && roomId !== "") {
      const failover = failoverWatch.onCluster(next, roomId, performance.now());
      if (failover !== undefined) {
        lastFailover = failover;
        panel.showFailover(failover);
      }
    }
    panel.showNodes(next, room?.nodeId ?? null);
    panel.showStrip({ roomId, cluster: next, pingMs });
  },
  (nodeId) => failoverWatch.onDrain(nodeId, performance.now()),
);

const controls = new Controls(
  byId("stage"),
  byId("stick"),
  byId("dash"),
  () => connection.send("dash"),
  () => byId("hint").classList.add("is-known"),
);

nameInput.addEventListener("change", () => {
  nameInput.value = nameInput.value.trim();
  localStorage.setItem(NAME_KEY, nameInput.value);
  connection.send("name", { name: nameInput.value });
  nameInput.blur();
});
nameInput.addEventListener("keydown", (event) => {
  if (event.key === "Enter") nameInput.blur();
});
// A hidden page gets its patches late and in heaps; what it measures then is about itself.
document.addEventListener("visibilitychange", () => failoverWatch.forget());

function frame(nowMs: number): void {
  requestAnimationFrame(frame);
  sendWish(nowMs);
  const { room } = connection;
  if (picture === undefined || room === undefined) {
    hud.showAway(nowMs > 1_200 ? "Finding an arena…" : undefined);
    return;
  }
  const isSilent = performance.now() - patchedAtMs > SILENT_MS;
  const isAlive = !isSilent && status.name !== "away";
  if (isAlive) {
    aliveAtMs = nowMs;
    aliveEpoch = stats.epoch ?? 0;
  }
  // A failover that is over in a blink dims the light for a moment; words would only flash.
  hud.showAway(nowMs - aliveAtMs < WORDS_AFTER_MS ? seatNote(nowMs) : whyAway(room, nowMs - aliveAtMs));
  const poses = motion.poses(nowMs, room.sessionId, isAlive);
  scene.draw({ picture, poses, ownKey: room.sessionId, owner, isOwned, isAlive, nowMs });
}

function sendWish(nowMs: number): void {
  const wish = controls.wish();
  const isNew = Math.hypot(wish.x - sent.x, wish.y - sent.y) > 0.03;
  const sinceMs = nowMs - sentAtMs;
  if (!(isNew && sinceMs >= SEND_MS) && sinceMs < RESEND_MS) return;
  connection.send("move", { x: wish.x, y: wish.y });
  sent = wish;
  sentAtMs = nowMs;
}

function whyAway(room: ArenaConnection, awayMs: number): string {
  const listed = cluster?.rooms.find((one) => one.roomId === room.roomId);
  const before = owner ?? "Your node";
  if (cluster === undefined) return "Connection lost - finding your room…";
  if (listed?.nodeId === null || listed === undefined) return `${before} is gone - finding your room…`;
  if (listed.epoch > aliveEpoch) return `Your room is on ${listed.nodeId} - returning to your seat…`;
  if (listed.phase === "moving") return `${listed.nodeId} is leaving - your room is on its way…`;
  const node = cluster.nodes.find((one) => one.nodeId === listed.nodeId);
  const isWell = node?.state === "up" && (node.process ?? "running") === "running";
  // For a moment the cluster has not noticed yet; if it never does, the fault is on this side.
  if (isWell && awayMs > LAG_MS) return `Connection lost - returning to your seat on ${listed.nodeId}…`;
  return `${listed.nodeId} is gone - finding your room…`;
}

function seatNote(nowMs: number): string | undefined {
  return nowMs < reseatedUntilMs ? "Your old seat was gone - you have joined anew" : undefined;
}

/** Where the rooms are: where this page came from, or what `?server=` names while one works on the page. */
function serverAddress(): URL {
  const named = new URLSearchParams(location.search).get("server");
  const here = new URL("./", location.href);
  if (named === null || !URL.canParse(named)) return here;
  const url = new URL(named);
  // Only from one's own machine to one's own machine: a link must not lead a player to somebody else's server.
  return isLocal(here.hostname) && isLocal(url.hostname) ? url : here;
}

function managementAddress(server: URL): string | undefined {
  const port = Number(server.port) + 1_000;
  return server.port === "" || port > 65_535 ? undefined : `${server.protocol}//${server.hostname}:${port}`;
}

function isLocal(hostname: string): boolean {
  return hostname === "localhost" || hostname === "127.0.0.1" || hostname === "[::1]";
}

setInterval(() => {
  connection.ping((ms) => {
    pingMs = ms;
    if (cluster === undefined) panel.showStrip({ roomId: connection.room?.roomId ?? "", cluster, pingMs });
  });
}, PING_MS);

const stats = {
  get status() {
    return status.name;
  },
  get sessionId() {
    return connection.room?.sessionId;
  },
  get roomId() {
    return connection.room?.roomId;
  },
  get name() {
    return picture?.players.get(connection.room?.sessionId ?? "")?.name;
  },
  get score() {
    return picture?.players.get(connection.room?.sessionId ?? "")?.score;
  },
  get players() {
    return picture?.players.size;
  },
  get tick() {
    return picture?.tick;
  },
  get patches() {
    return patches;
  },
  get node() {
    return cluster?.rooms.find((one) => one.roomId === connection.room?.roomId)?.nodeId ?? null;
  },
  get epoch() {
    return cluster?.rooms.find((one) => one.roomId === connection.room?.roomId)?.epoch;
  },
  get pingMs() {
    return pingMs;
  },
  get lastFailover() {
    if (lastFailover === undefined) return null;
    const { title, facts } = tell(lastFailover);
    return { ...lastFailover, text: [title, ...facts].join(" · ") };
  },
};

declare global {
  interface Window {
    ringsideDemo: { readonly room: ArenaConnection | undefined; readonly stats: typeof stats };
  }
}
window.ringsideDemo = {
  get room() {
    return connection.room;
  },
  stats,
};

requestAnimationFrame(frame);
void connection.start();
