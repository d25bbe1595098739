// The room classes that the cluster tests play, on a server that has never heard of Ringside.

import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Client } from "@colyseus/sdk";
import { expect, test } from "vitest";
import { Player } from "../kit/player.ts";
import { until } from "../kit/until.ts";

const SERVER = fileURLToPath(new URL("../kit/plain-server.ts", import.meta.url));
const ROOMS = fileURLToPath(new URL("../kit/probe-room.ts", import.meta.url));

test("[ROOM2] the same room classes play, and take players back, on a plain Colyseus server", async () => {
  expect(readFileSync(ROOMS, "utf8"), "what the rooms import").not.toMatch(/from "[^"]*(src|ringside)\//);
  const child = spawn(process.execPath, [SERVER], { stdio: ["ignore", "pipe", "inherit"] });
  const exited = new Promise((resolve) => child.once("exit", resolve));
  try {
    const port = await new Promise<number>((resolve, reject) => {
      // stdout is a pipe: see `stdio` above. Colyseus may print lines of its own.
      createInterface({ input: child.stdout }).on("line", (line) => {
        if (line.startsWith('{"port":')) resolve((JSON.parse(line) as { port: number }).port);
      });
      child.once("exit", (code) => reject(new Error(`the plain server ended with ${code}`)));
    });
    const client = new Client(`ws://127.0.0.1:${port}`);
    const ada = await Player.create(client, "probe", {
      name: "ada",
      label: "plain",
      metadata: { map: "dunes" },
    });
    const bob = await Player.join(client, ada.roomId, { name: "bob" });
    expect(await ada.ask("add", 3)).toBe(3);
    expect(await bob.ask("add", 4)).toBe(4);
    expect(await ada.ask("sum")).toBe(7);
    await ada.untilTicking();
    expect(await ada.facts()).toMatchObject({
      label: "plain",
      metadata: { map: "dunes" },
      auth: { user: "ada" },
    });

    ada.room.connection.close(4010); // what a planned restart says; the SDK comes back by itself
    await until("ada is back", () => ada.returns === 1);
    const seen = await ada.inSync();
    expect(seen.calls[ada.sessionId]).toEqual({ joins: 1, reconnects: 1, leaves: 0 });
    await bob.room.leave();
    await until("bob is gone", async () => (await ada.inSync()).calls[bob.sessionId]?.leaves === 1);
  } finally {
    child.kill("SIGKILL");
    await exited;
  }
});
