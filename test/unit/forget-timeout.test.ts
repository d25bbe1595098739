// A timeout that was called off leaves nothing behind; one that runs is left alone.

import net from "node:net";
import { expect, test } from "vitest";
import { forgetTimeout } from "../../src/runtime/forget-timeout.ts";

const timerOf = (socket: net.Socket): unknown => {
  const key = Object.getOwnPropertySymbols(socket).find(({ description }) => description === "timeout");
  if (key === undefined) throw new Error("this Node keeps a socket's timer elsewhere");
  return (socket as unknown as Record<symbol, unknown>)[key];
};

test("a timeout that was called off is forgotten, and another can be set", async () => {
  const socket = new net.Socket();
  const none = timerOf(socket);
  socket.setTimeout(60_000);
  socket.setTimeout(0);
  expect(timerOf(socket)).not.toBe(none);
  forgetTimeout(socket);
  expect(timerOf(socket)).toBe(none);
  await new Promise<void>((resolve) => void socket.setTimeout(1, resolve));
});

test("a timeout that runs goes on", async () => {
  const socket = new net.Socket();
  const over = new Promise<void>((resolve) => void socket.setTimeout(1, resolve));
  forgetTimeout(socket);
  await over;
});
