// A refused upgrade: whatever the player does with the answer ends nothing but their socket.

import { createServer } from "node:http";
import net, { type AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { answer } from "../../src/gateway/route.ts";

test.each([
  ["resets the connection", (client: net.Socket) => client.resetAndDestroy()],
  ["goes on sending and then closes", (client: net.Socket) => void client.end("more")],
])("[GATE3] a player who %s after the answer leaves no socket and no error behind", async (_what, react) => {
  const server = createServer();
  const closed = new Promise<void>((resolve) => {
    server.on("upgrade", (_request, socket) => {
      socket.on("close", () => resolve());
      answer(socket, "ROOM_MOVING");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const client = net.connect((server.address() as AddressInfo).port, "127.0.0.1");
  client.write("GET /p/r HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  const text = await new Promise<string>((resolve) => client.once("data", (chunk) => resolve(String(chunk))));
  expect(text).toMatch(/^HTTP\/1\.1 503 /);
  react(client);
  await closed; // an error that nobody hears would fail this run
  await new Promise((resolve) => server.close(resolve));
});
