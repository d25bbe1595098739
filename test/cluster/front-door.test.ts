// Garbage on the public port. Each of these ends a stock process or fools it; here a player next door must not notice.

import { expect, test } from "vitest";
import { startCluster } from "../kit/cluster.ts";
import { head, say, upgrade } from "../kit/raw-http.ts";
import { RawSocket } from "../kit/raw-socket.ts";
import { until } from "../kit/until.ts";

test("[GATE3] requests that cannot be read end nothing but themselves", async () => {
  await using cluster = await startCluster({ game: "kit/probe-game.ts", nodes: 2 });
  const [owner, gateway] = [cluster.node("node-a"), cluster.node("node-b")];
  const player = await cluster.place({ owner, gateway });
  const local = await cluster.place({ owner, gateway: owner });
  const { roomId } = player;

  const garbage: [string, string | Uint8Array, RegExp][] = [
    ["TRACE", head("TRACE / HTTP/1.1", "Host: x"), /^HTTP\/1\.1 (403|405)/],
    ["an unknown method", head("BREW / HTTP/1.1", "Host: x"), /^HTTP\/1\.1 4/],
    ["a malformed Host", head("GET /matchmake/ HTTP/1.1", "Host: a b:c:d"), /^HTTP\/1\.1 400/],
    ["a Host that is no host", head("GET / HTTP/1.1", "Host: [::1"), /^HTTP\/1\.1 400/],
    ["no Host", head("GET / HTTP/1.1"), /^HTTP\/1\.1 400/],
    [
      "a malformed X-Forwarded-Proto",
      head("GET /x HTTP/1.1", "Host: x", "X-Forwarded-Proto: ht tp:/"),
      /^HTTP\/1\.1 4/,
    ],
    ["a target that does not parse", head("GET http://[ HTTP/1.1", "Host: x"), /^HTTP\/1\.1 400/],
    ["a target that is hardly one", head("GET //[ HTTP/1.1", "Host: x"), /^HTTP\/1\.1 4/],
    ["an endless target", head(`GET /${"a".repeat(12_000)} HTTP/1.1`, "Host: x"), /^HTTP\/1\.1 4/],
    ["an upgrade with a target that does not parse", upgrade("//["), /^HTTP\/1\.1 400/],
    ["an upgrade with a broken escape", upgrade(`/%E0%A4%A/${roomId}?sessionId=%E0%A4%A`), /^HTTP\/1\.1 400/],
    ["an upgrade to nowhere", upgrade("/"), /^HTTP\/1\.1 400/],
    ["an upgrade with a malformed Host", upgrade(`/x/${roomId}?sessionId=abc`, "Host: a b"), /^HTTP\/1\.1/],
    ["an upgrade without a session", upgrade(`/x/${roomId}`), /^HTTP\/1\.1 400/],
    ["a session id that is no name", upgrade(`/x/${roomId}?sessionId=__proto__%00`), /^HTTP\/1\.1 400/],
    ["a session that has no seat", upgrade(`/x/${roomId}?sessionId=nobody`), /^HTTP\/1\.1 101/],
    ["a session named __proto__", upgrade(`/x/${roomId}?sessionId=__proto__`), /^HTTP\/1\.1/],
    [
      "a broken body",
      `${head("POST /matchmake/joinOrCreate/probe HTTP/1.1", "Host: x", "Content-Type: application/json", "Content-Length: 5")}{"a"]`,
      /^HTTP\/1\.1/,
    ],
    ["no HTTP at all", new Uint8Array(2_000).fill(0xff), /^HTTP\/1\.1 400/],
    ["a TLS greeting", Uint8Array.of(22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3), /^HTTP\/1\.1 400/],
  ];
  for (const [what, bytes, answer] of garbage) {
    for (const node of [owner, gateway]) {
      expect(await say(node.publicPort, bytes), `${what}, at ${node.nodeId}`).toMatch(answer);
    }
  }
  expect(cluster.nodes.map(({ nodeId }) => nodeId)).toEqual(["node-a", "node-b"]);
  for (const each of [player, local]) {
    await each.untilTicking();
    await each.inSync();
    each.expectUndisturbed();
  }
});

test("[GATE3] a seated player who sends nonsense harms nobody else", async () => {
  await using cluster = await startCluster({ game: "kit/probe-game.ts", nodes: 2 });
  const [owner, gateway] = [cluster.node("node-a"), cluster.node("node-b")];
  const player = await cluster.place({ owner, gateway });
  const frames: Uint8Array[] = [
    Uint8Array.of(),
    Uint8Array.of(255),
    Uint8Array.of(13), // a message without a type
    Uint8Array.of(13, 0xbf, 255, 255),
    Uint8Array.of(13, 0xa3, 97, 100, 100, 0xc1), // "add" with a byte that msgpack never uses
    Uint8Array.of(13, 0xa3, 97, 100, 100, 0xdd, 255, 255, 255, 255), // an array of four thousand million
    Uint8Array.of(21), // a request without a number
    Uint8Array.of(21, 1, 0xa5, 110, 111, 110, 101, 115), // a request that nobody answers
    Uint8Array.of(10, 10, 10),
    new Uint8Array(3_000).fill(17),
  ];
  for (const node of [owner, gateway]) {
    for (const frame of frames) {
      const raw = await RawSocket.join(node, player.roomId, { name: "raw" });
      raw.send(frame);
      raw.send(Uint8Array.of(12)); // leaves, if it is still heard
      await raw.closed;
    }
    // Not even a WebSocket frame: reserved bits, no mask, and a length that never comes.
    for (const bytes of [Uint8Array.of(0xff, 0x7f, 1, 2, 3), Uint8Array.of(0x82, 0x05, 1, 2, 3, 4, 5)]) {
      const raw = await RawSocket.join(node, player.roomId, { name: "raw" });
      raw.sendUnframed(bytes);
      await raw.closed;
    }
  }
  expect(cluster.nodes).toHaveLength(2);
  await player.untilTicking();
  await player.inSync();
  player.expectUndisturbed();
  await until(
    "the room holds its player's seat",
    async () => (await player.inSync()).players[player.sessionId] !== undefined,
  );
});
