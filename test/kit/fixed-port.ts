// A port for what cannot take a free one by itself, or is to have the same one again when it starts anew.

import { randomInt } from "node:crypto";
import { createServer } from "node:net";

/** Below those that Linux gives to whoever asks for any, connections that go out included: nobody else comes across it. */
const FIRST = 10_000;
const LAST = 32_000;

/** A port of this machine that nobody listens on. */
export async function fixedPort(): Promise<number> {
  for (let tries = 0; tries < 100; tries++) {
    const port = randomInt(FIRST, LAST);
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once("error", () => resolve(false));
      server.listen(port, "127.0.0.1", () => resolve(true));
    });
    await new Promise((resolve) => server.close(resolve));
    if (isFree) return port;
  }
  throw new Error("none of 100 ports is free");
}
